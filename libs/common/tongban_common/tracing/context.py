"""The trace context of the running task, and its W3C form.

The context is kept in a variable of our own, not in OpenTelemetry's: a process whose tracing is off
still carries a caller's trace on to its logs and to what it sends, and never imports the SDK.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import NamedTuple

TRACEPARENT = "traceparent"
"""Name of the header, over HTTP and on Kafka (W3C Trace Context; CloudEvents distributed tracing
extension)."""
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_LONGEST = 128


class TraceContext(NamedTuple):
    """Names a span: the trace that it belongs to, and whether that trace is recorded."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool

    @property
    def traceparent(self) -> str:
        """Return the W3C form."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_CURRENT: ContextVar[TraceContext | None] = ContextVar("tongban_trace", default=None)


def parse(traceparent: str | bytes | None) -> TraceContext | None:
    """Return the context of a `traceparent`; None if it is missing or invalid.

    An invalid one is ignored, and a longer one of a later version is read as far as version 00
    goes, as W3C Trace Context (4.3) demands.
    """
    if not traceparent or len(traceparent) > _LONGEST:
        return None
    if isinstance(traceparent, bytes):
        traceparent = traceparent.decode("ascii", "replace")
    found = _FORM.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


def current() -> TraceContext | None:
    """Return the context of the innermost span of this task, or the one that came in."""
    return _CURRENT.get()


def current_traceparent() -> str | None:
    """Return the W3C form of the current context, for what this task sends."""
    context = _CURRENT.get()
    return None if context is None else context.traceparent


def activate(context: TraceContext | None) -> Token[TraceContext | None]:
    """Make a context the current one until `deactivate`."""
    return _CURRENT.set(context)


def deactivate(token: Token[TraceContext | None]) -> None:
    """Restore the context before `activate`."""
    _CURRENT.reset(token)


class _Continued:
    __slots__ = ("_context", "_token")

    def __init__(self, context: TraceContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self._context)

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)


_NOTHING: AbstractContextManager[None] = nullcontext()


def continuing(context: TraceContext | None) -> AbstractContextManager[None]:
    """Make a context the current one without a span; None changes nothing."""
    return _NOTHING if context is None else _Continued(context)
