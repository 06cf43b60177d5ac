"""Run uvicorn with limits on request heads, in time and in size, stopped by the caller instead of
by signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tongban_intake.errors import IntakeError

HEAD_BYTES = 32 * 1024
"""Most bytes of a request's head, and of what may surround its body: chunk extensions and trailers.
Common proxies refuse more than 8 to 32 KiB themselves."""
HEAD_FIELDS = 100
_FAREWELL_S = 2.0
"""Seconds for which a refused client's bytes are read and discarded. Closing at once would reset
the connection, and the client would lose the answer with the reason."""


class _HeadTooLargeError(IntakeError):
    """Raised within the parser when the head exceeds its limit."""


class BoundedHeads(HttpToolsProtocol):
    """Closes a connection whose next head does not arrive in time, and refuses one that is too
    large while it arrives.

    uvicorn bounds the idle time between requests, but neither the first wait nor a head that
    trickles in, so that a handful of clients could hold all connections (slowloris). Nor is the
    size of a head bounded, which stays in memory: complete fields in uvicorn, an incomplete one in
    httptools.
    """

    head_seconds = 10.0
    """Seconds within which a head has to arrive; a subclass sets it."""
    _since: float | None = None
    """Time of the loop's clock since which a head is awaited; None while none is."""
    _timer: asyncio.TimerHandle | None = None
    _farewell: asyncio.TimerHandle | None = None
    _fields = 0
    _parsed = 0
    """Bytes of this message's URL, fields and trailers that the parser has reported."""
    _around = 0
    """Bytes of this message that neither began it nor had some of its body: the rest of the head,
    trailers, chunk extensions."""
    _moved = False
    """True if the bytes just parsed began a message or had some of its body."""
    _refusal = (431, "Request Header Fields Too Large")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self.head_seconds, self._look)

    def data_received(self, data: bytes) -> None:
        if self._farewell is not None:
            return
        self._moved = False
        super().data_received(data)
        if not self._moved:
            self._around += len(data)
            if self._around > HEAD_BYTES and self._farewell is None:
                self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._since = self.loop.time()
        self._fields = self._parsed = self._around = 0
        self._moved = True

    def on_url(self, url: bytes) -> None:
        self._refusal = (414, "URI Too Long")
        self._count(len(url))
        self._refusal = (431, "Request Header Fields Too Large")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._since = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_BYTES or self._fields > HEAD_FIELDS:
            raise _HeadTooLargeError

    def send_400_response(self, msg: str) -> None:
        """Answer and close. uvicorn calls this whenever the parser raises, also for our own
        errors."""
        if self._parsed > HEAD_BYTES or self._fields > HEAD_FIELDS:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        """Answer, unless the application is answering already, and close after `_FAREWELL_S`."""
        status, title = self._refusal
        if self._since is not None:
            body = b'{"type":"about:blank","title":"%s","status":%d}' % (title.encode(), status)
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/problem+json\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, title.encode(), len(body), body)
            )
        self._since = None
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._farewell = self.loop.call_later(_FAREWELL_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._farewell):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close the connection if a head is overdue; called by the one timer of the connection.

        A timer for each request would cost more than it gains: almost every head arrives whole.
        """
        left = self.head_seconds
        if self._since is not None:
            left = self._since + self.head_seconds - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self._look)
        else:
            self.transport.close()


class Server(uvicorn.Server):
    """Leaves signals to the process, which has more to stop than its connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signal."""
        yield


def make_server(
    app: ASGIApp, *, head_seconds: float, drain_seconds: float, max_connections: int
) -> Server:
    """Return a server for `serve(sockets=[listen(...)])`; `should_exit = True` drains and stops it.

    Args:
        head_seconds: within which a request's head has to arrive.
        drain_seconds: for which open requests may go on after `should_exit`.
    """
    config: dict[str, Any] = {
        "http": type("Protocol", (BoundedHeads,), {"head_seconds": head_seconds}),
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # `app` reads them, for the routes that need them
        "limit_concurrency": max_connections,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": max(1, round(drain_seconds)),
    }
    return Server(uvicorn.Config(app, **config))


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free port.

    Raises:
        OSError: the address is in use or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen(2048)
    server.setblocking(False)
    return server
