"""The HTTP session to SMS providers: nothing of a call outlives it, and no answer fills the memory.

A provider takes no deadline, so the bytes of a call must not arrive there after its guard has been
believed to mean "not sent". Bytes that were written and not acknowledged stay in the kernel, which
goes on sending them for minutes, also for a process that was killed. Two options of each socket end
that: SO_LINGER of 0 drops them when the socket is closed, by us or by the kernel of a dead process,
and TCP_USER_TIMEOUT drops them while a frozen process keeps the socket open.
"""

from __future__ import annotations

import socket
import struct
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from tongban_common.clock import uptime

_MAX_HEADERS = 64
_NO_LINGER = struct.pack("ii", 1, 0)
AddrInfo = tuple[Any, ...]


class TooLate(Exception):
    """The connection came after the moment before which the call had to begin."""


class Sockets:
    """Makes the sockets of a session.

    Args:
        timeout: seconds after which the kernel gives up bytes that the peer has not acknowledged.
            Linux alone can do that; elsewhere a frozen process is the one case that is left.
    """

    def __init__(self, timeout: float) -> None:
        self._milliseconds = max(1, round(timeout * 1000))

    def __call__(self, address: AddrInfo) -> socket.socket:
        """The shape of aiohttp's socket factory."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._milliseconds)
        except OSError:
            made.close()
            raise
        return made


class _AbortedResponse(ResponseHandler):
    """A connection that is closed without sending what asyncio still holds of a request.

    `Transport.close` sends it first: the rest of a message that was given up would leave whenever
    the provider reads again.
    """

    def close(self) -> None:
        self.abort()


class _Connector(aiohttp.TCPConnector):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(Any, partial(_AbortedResponse, loop=self._loop))


def provider_session(timeout: float) -> aiohttp.ClientSession:
    """Return the session that all providers of a process share: no cookies, nothing unpacked.

    Args:
        timeout: seconds of one call.
    """
    return aiohttp.ClientSession(
        connector=_Connector(socket_factory=Sockets(timeout)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_headers=_MAX_HEADERS,
        headers={"Accept-Encoding": "identity"},
        trace_configs=[_begin_in_time()],
    )


def _begin_in_time() -> aiohttp.TraceConfig:
    """Check once there is a connection, right before the first byte: connecting takes time, and a
    process may have been frozen or its machine suspended meanwhile."""

    async def check(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        before = context.trace_request_ctx
        if before is not None and uptime() >= before:
            raise TooLate

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(check)
    trace.on_connection_reuseconn.append(check)
    return trace
