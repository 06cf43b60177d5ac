"""Keep everything that the router does about a request in one trace, however long it lives.

The first traced input of a request gives it its trace, which the table keeps. Inputs of other
traces follow for days: timers, callbacks, an operator's decision. The span of such an input is of
the request's trace and links the span that sent it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tongban_common import topics, tracing
from tongban_common.tracing import TRACEPARENT, Kind, Span, TraceContext
from tongban_common.tracing import attributes as names
from tongban_router.domain.state import RequestState
from tongban_router.faust_runtime.consumer import header_pairs

_NOTHING: AbstractContextManager[None] = nullcontext()
TraceOf = Callable[[bytes], TraceContext | None]


def input_span(message: Any, trace_of: TraceOf) -> AbstractContextManager[Span]:
    """Return the span of one input (Faust's message).

    Args:
        trace_of: returns the trace that the table has for a request's key. It is called only while
            tracing is on, because it reads the state a second time.
    """
    sent = _sent_by(message.headers)
    if not tracing.recording():
        return tracing.span("process", parent=sent)
    key = message.key
    kept = trace_of(key) if isinstance(key, bytes) and key else None
    parent = sent
    if kept is not None and (sent is None or sent.trace_id != kept.trace_id):
        parent = kept
    return tracing.span(
        f"process {message.topic}",
        Kind.CONSUMER,
        parent=parent,
        root=True,
        links=() if sent is None or parent is sent else (sent,),
        attributes={
            names.MESSAGING_SYSTEM: "kafka",
            names.OPERATION: "process",
            names.OPERATION_TYPE: "process",
            names.DESTINATION: message.topic,
            names.PARTITION: str(message.partition),
            names.OFFSET: message.offset,
            names.GROUP: topics.ROUTER_APP,
            names.REQUEST_ID: names.request_id_of(key if isinstance(key, bytes) else None),
        },
    )


def keep_trace(before: RequestState | None, after: RequestState | None) -> None:
    """Set the trace of a state that has none yet and is going to be written anyway."""
    if after is None or after is before or after.traceparent is not None:
        return
    after.traceparent = tracing.current_traceparent()


def traced(
    topic: str, headers: list[tuple[str, bytes]], *, root: bool = False
) -> AbstractContextManager[Span | None]:
    """Return the span of a record that is handed to the producer, and add its context to `headers`.

    Args:
        root: it belongs to no trace yet, as the event of a timer.
    """
    if not tracing.recording() and (root or tracing.current() is None):
        return _NOTHING
    return _Sending(topic, headers, root)


class _Sending(AbstractContextManager[Span]):
    def __init__(self, topic: str, headers: list[tuple[str, bytes]], root: bool) -> None:
        self._headers = headers
        self._span = tracing.sending(topic, root=root)

    def __enter__(self) -> Span:
        span = self._span.__enter__()
        traceparent = tracing.current_traceparent()
        if traceparent is not None:
            self._headers.append((TRACEPARENT, traceparent.encode()))
        return span

    def __exit__(self, *error: Any) -> None:
        self._span.__exit__(*error)


def _sent_by(headers: Any) -> TraceContext | None:
    """Return the context in a message's headers."""
    for name, value in header_pairs(headers):
        if name == TRACEPARENT:
            return tracing.parse(value)
    return None
