"""Run uvicorn with limits on request heads, stopped by the caller instead of by signals."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tongban_intake.http.protocol import BoundedHeads


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
