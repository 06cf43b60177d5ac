"""uvicorn, with a time limit for a request's head and a stop that the caller controls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def _protocol(head_seconds: float) -> type[HttpToolsProtocol]:
    class Impatient(HttpToolsProtocol):
        """Closes a connection whose next request does not come whole up to the end of its head.

        uvicorn bounds the idle time between requests but not the first wait nor a head that
        trickles in, so that a handful of clients could hold all connections (slowloris).
        """

        _since: float | None = None
        """Of the loop's clock, when a head began to be awaited; None: none is."""
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._since = self.loop.time()
            self._timer = self.loop.call_later(head_seconds, self._look)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._since = self.loop.time()

        def on_headers_complete(self) -> None:
            self._since = None
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._timer is not None:
                self._timer.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            """One timer for the life of a connection: setting one for each request costs more than
            it is worth where almost every head comes whole."""
            left = head_seconds
            if self._since is not None:
                left = self._since + head_seconds - self.loop.time()
            if left > 0:
                self._timer = self.loop.call_later(left, self._look)
            else:
                self.transport.close()

    return Impatient


class Server(uvicorn.Server):
    """Leaves signals to the process: it has more to end than its connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


def make_server(
    app: ASGIApp, *, head_seconds: float, drain_seconds: float, max_connections: int
) -> Server:
    """A server for `serve(sockets=[listen(...)])`; `should_exit = True` drains and ends it."""
    config: dict[str, Any] = {
        "http": _protocol(head_seconds),
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # `app` reads them where somebody asks
        "limit_concurrency": max_connections,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": max(1, round(drain_seconds)),
    }
    return Server(uvicorn.Config(app, **config))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

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
