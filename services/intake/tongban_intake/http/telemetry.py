"""Wrap every request: count it, add security headers, disconnect stalled clients."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tongban_common.tracing import TRACEPARENT, Span, continuing, exemplar, parse, recording
from tongban_common.tracing.http import NOT_TRACED, answered, server_span

log = structlog.get_logger(__name__)
_TRACEPARENT = TRACEPARENT.encode()
_NO_SPAN: AbstractContextManager[None] = nullcontext()
_STREAMS = "/events"

_EVERY = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_DATA = (*_EVERY, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
"""Headers of answers that no browser renders (OWASP REST Security Cheat Sheet: headers that protect
pages have no effect on them)."""
_SHOWN = (
    *_EVERY,
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"connect-src 'self'; frame-src 'self'; object-src 'self'; form-action 'self'; "
        b"base-uri 'none'; frame-ancestors 'self'",
    ),
)
_DATA_TYPES = (b"application/json", b"application/problem+json", b"text/event-stream")
_CACHE = (b"cache-control", b"no-store")
_UNROUTED = "unrouted"


class HttpMetrics:
    """Counts requests by route and status, and measures their seconds. The label `route` is the
    pattern of a route, never a path, which would have a value for each request."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._count = Counter(
            "tongban_intake_http_requests_total",
            "Requests answered",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "tongban_intake_http_seconds",
            "Seconds from head to the end of the answer; of a stream, its life",
            ["route"],
            buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=registry,
        )
        self.in_flight = 0
        watch(
            "tongban_intake_http_in_flight",
            "Requests being answered",
            lambda: self.in_flight,
            registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._count.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds, exemplar())


def watch(
    name: str, text: str, read: Callable[[], float], registry: CollectorRegistry = REGISTRY
) -> None:
    """Register a gauge whose value is read at each scrape."""
    Gauge(name, text, registry=registry).set_function(read)


class _Counted(Collector):
    """Exports a number of another object as a counter."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())


def count(
    name: str, text: str, read: Callable[[], float], registry: CollectorRegistry = REGISTRY
) -> None:
    """Register a counter whose value is read at each scrape."""
    registry.register(_Counted(name, text, read))


class Edge:
    """Wraps the ASGI application as the outermost middleware. It buffers nothing, so that event
    streams stay streams.

    A client that does not read for `send_seconds` loses its connection, so that it holds a socket
    no longer than that.
    """

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics, send_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # HEAD is GET without a body (RFC 9110, 9.3.2), so that no route has to declare it.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        status = 500
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_security(message["headers"])
            async with asyncio.timeout(self._send_seconds):
                await send(message)

        self._metrics.in_flight += 1
        with _span_of(scope) as span:
            try:
                if inner is scope:
                    await self._app(inner, receive, watched)
                else:
                    await _without_body(self._app, inner, receive, watched)
            except Exception as error:
                # The client has got a 500 or a broken stream. Log the error's type and place alone:
                # its text may quote what a person sent.
                log.error("request_failed", **kind_and_place(error))
            finally:
                self._metrics.in_flight -= 1
                route = getattr(inner.get("route"), "path", None)
                seconds = time.perf_counter() - began
                self._metrics.observe(scope["method"], route or _UNROUTED, status, seconds)
                if span is not None:
                    answered(span, scope["method"], route, status)


def _span_of(scope: Scope) -> AbstractContextManager[Span | None]:
    """Return the span of a request. Probes have none, and event streams, which live for minutes,
    carry the caller's trace on without one."""
    traceparent = None
    for name, value in scope.get("headers", ()):
        if name == _TRACEPARENT:
            traceparent = value
    if traceparent is None and not recording():
        return _NO_SPAN
    path = scope["path"]
    if path in NOT_TRACED or path.endswith(_STREAMS):
        return continuing(parse(traceparent))
    return server_span(scope["method"], traceparent)


async def _without_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app until it has sent its head, then end the answer: an event stream would go on for
    as long as the client is connected."""
    ended = asyncio.Event()

    async def head_alone(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended.is_set():
            ended.set()
            await send({"type": "http.response.body", "body": b""})

    answering = asyncio.create_task(_call(app, scope, receive, head_alone))
    ending = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
    finally:
        for task in (answering, ending):
            task.cancel()
        await asyncio.gather(answering, ending, return_exceptions=True)


async def _call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def kind_and_place(error: BaseException) -> dict[str, str]:
    """Return type and place of an error, for the log: its text might quote personal data."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    return {"error": type(error).__name__, "place": place}


def _with_security(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = dict(headers)
    media_type = given.get(b"content-type", b"").partition(b";")[0]
    added: Sequence[tuple[bytes, bytes]] = _DATA if media_type in _DATA_TYPES else _SHOWN
    if b"content-security-policy" in given:
        added = added[:-1]
    if b"cache-control" in given:
        return [*headers, *added]
    return [*headers, *added, _CACHE]
