"""uvicorn, with limits for a request's head, and a stop that the caller controls."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tongban_intake.http.protocol import BoundedHeads


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
        "http": type("Protocol", (BoundedHeads,), {"head_seconds": head_seconds}),
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
