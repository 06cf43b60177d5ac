"""Around every request: counting, security headers, and a client that takes nothing in."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tongban_intake.http.patience import within

log = structlog.get_logger(__name__)

_EVERY = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_DATA = (*_EVERY, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
"""What nobody shows needs no more (OWASP, REST Security: what protects pages is of no use here)."""
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
    """Requests by route and status, and their seconds. A route is its pattern, never a path."""

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
        # Looking a label set up takes longer than counting.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.in_flight = 0
        watch(
            "tongban_intake_http_in_flight",
            "Requests being answered",
            lambda: self.in_flight,
            registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        which = method, route, status
        counters = self._children.get(which)
        if counters is None:
            counters = self._count.labels(method, route, str(status)), self._seconds.labels(route)
            self._children[which] = counters
        counters[0].inc()
        counters[1].observe(seconds)


def watch(
    name: str, text: str, read: Callable[[], float], registry: CollectorRegistry = REGISTRY
) -> None:
    """A gauge that is read when it is scraped."""
    Gauge(name, text, registry=registry).set_function(read)


class _Counted(Collector):
    """A counter that is kept elsewhere as a plain number."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())


def count(
    name: str, text: str, read: Callable[[], float], registry: CollectorRegistry = REGISTRY
) -> None:
    """A counter that is read when it is scraped."""
    registry.register(_Counted(name, text, read))


class Edge:
    """Pure ASGI: nothing is buffered, streams stay streams.

    A `send` that the client does not take in within `send_seconds` ends the connection, so that a
    stalled reader costs a socket for that long and no longer.
    """

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics, send_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # HEAD is GET without a body (RFC 9110, 9.3.2): no route needs to know of it.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        status = 500
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_security(message["headers"])
            await within(self._send_seconds, send(message))

        self._metrics.in_flight += 1
        try:
            if inner is scope:
                await self._app(inner, receive, watched)
            else:
                await _without_body(self._app, inner, receive, watched)
        except Exception as error:
            # Answered with 500 already, or broken off in mid-stream. An error's text may quote what
            # a person sent, so that its kind and place are all that is told of it.
            log.error("request_failed", **kind_and_place(error))
        finally:
            self._metrics.in_flight -= 1
            path = getattr(inner.get("route"), "path", _UNROUTED)
            self._metrics.observe(scope["method"], path, status, time.perf_counter() - began)


async def _without_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app until it has sent its head, and end the answer there: a stream would go on for
    as long as the client listens."""
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
    """What may be logged of an error that might quote personal data."""
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
