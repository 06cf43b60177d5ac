"""Start spans. Without `start` (see `lifecycle`) a span is nothing, and costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any, Protocol

from prometheus_client import Histogram

from tongban_common.tracing import context as contexts
from tongban_common.tracing.attributes import ERROR_TYPE, Attributes, Value, allowed
from tongban_common.tracing.context import TraceContext
from tongban_kafka import Retry

_NOTHING: Attributes = {}


class Kind(Enum):
    """Names what a span stands for, as OpenTelemetry does."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Backend(Protocol):
    """Makes the spans that are recorded; `tongban_common.tracing.sdk` has the one on
    OpenTelemetry's SDK."""

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        links: Iterable[TraceContext],
        attributes: dict[str, Value],
    ) -> tuple[Any, TraceContext]:
        """Start a span; return it (with OpenTelemetry's interface) and its context."""


class _Active:
    """Holds the backend of this process; None while tracing is off."""

    backend: Backend | None = None


def use_backend(backend: Backend | None) -> None:
    """Record spans from now on, or with None no more."""
    _Active.backend = backend


def recording() -> bool:
    """Return True if tracing is on. Attributes that cost something to compute may be left out
    otherwise."""
    return _Active.backend is not None


class Span(Protocol):
    """A span under way."""

    def set(self, name: str, value: Value | None) -> None:
        """Set an attribute of `tongban_common.tracing.attributes`."""

    def rename(self, name: str) -> None:
        """Change the name, once it is known."""

    def failed(self, error_type: str) -> None:
        """Mark the span as failed, with the name of a class or a code, never with a text."""


class _NoSpan:
    __slots__ = ()

    def set(self, name: str, value: Value | None) -> None:
        """Do nothing."""

    def rename(self, name: str) -> None:
        """Do nothing."""

    def failed(self, error_type: str) -> None:
        """Do nothing."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Passing(_NoSpan):
    """Carries a trace that came in through a process that records nothing."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: TraceContext) -> None:
        self._context = context

    def __enter__(self) -> Span:
        self._token = contexts.activate(self._context)
        return self

    def __exit__(self, *_: object) -> None:
        contexts.deactivate(self._token)


_NO_SPAN = _NoSpan()


class _Recorded:
    __slots__ = ("_context", "_otel", "_token")

    def __init__(self, otel: Any, context: TraceContext) -> None:
        self._otel = otel
        self._context = context

    def __enter__(self) -> Span:
        self._token = contexts.activate(self._context)
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        contexts.deactivate(self._token)
        if isinstance(error, Retry):
            self.set("tongban.result", "retry")  # not a failure: a province that is closed
        elif error is not None:
            self.failed(type(error).__name__)
        self._otel.end()

    def set(self, name: str, value: Value | None) -> None:
        for key, kept in allowed({name: value}).items():
            self._otel.set_attribute(key, kept)

    def rename(self, name: str) -> None:
        self._otel.update_name(name)

    def failed(self, error_type: str) -> None:
        self.set(ERROR_TYPE, error_type)
        self._otel.set_status(_error_status())


def _error_status() -> Any:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - only while recording

    return Status(StatusCode.ERROR)


def span(
    name: str,
    kind: Kind = Kind.INTERNAL,
    *,
    attributes: Attributes = _NOTHING,
    parent: TraceContext | None = None,
    links: Iterable[TraceContext] = (),
    root: bool = False,
) -> AbstractContextManager[Span]:
    """Return a context manager that is a span, which its body may describe further.

    While tracing is off it makes `parent` the current context, and records nothing.

    Args:
        name: few different ones: a route, a topic, never an id.
        parent: the span that caused it, also of another process; by default the current one.
        links: spans that it has to do with, without being caused by one alone.
        root: without `parent` begin a new trace, whatever the current context is. Tasks inherit the
            context of whoever created them, which says nothing about their later work.
    """
    backend = _Active.backend
    if backend is None:
        return unrecorded(parent)
    if parent is None and not root:
        parent = contexts.current()
    return _Recorded(*backend.begin(name, kind, parent, links, allowed(attributes)))


def unrecorded(parent: TraceContext | None = None) -> AbstractContextManager[Span]:
    """Return what `span` returns while tracing is off, for callers on hot paths that have checked
    `recording`."""
    return _NO_SPAN if parent is None else _Passing(parent)


class observed:
    """Context manager that observes its seconds in a histogram, with the exemplar of the trace."""

    __slots__ = ("_began", "_histogram")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._histogram.observe(time.perf_counter() - self._began, exemplar())


def exemplar() -> dict[str, str] | None:
    """Return the exemplar for an observation of a histogram: the trace that a reader of the metric
    can look up. None if tracing is off, or this trace is not recorded."""
    if _Active.backend is None:
        return None
    context = contexts.current()
    if context is None or not context.sampled:
        return None
    return {"trace_id": context.trace_id, "span_id": context.span_id}
