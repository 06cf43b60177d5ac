"""The HTTP session to SMS providers, whose sockets drop unsent bytes when a call ends.

A provider accepts no deadline, so the bytes of a call must not arrive there after another process
has concluded from the guard that they were not sent. The kernel keeps written bytes that are not
acknowledged and sends them again for minutes, also for a process that was killed. Two options of
each socket prevent that: SO_LINGER of 0 drops the bytes when the socket is closed, by us or by the
kernel of a dead process, and TCP_USER_TIMEOUT drops them while a frozen process keeps it open.
"""

from __future__ import annotations

import socket
import ssl
import struct
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from tongban_common.tracing.http import traced_client
from tongban_kafka import uptime
from tongban_notify.errors import NotifyError

_MAX_HEADERS = 64
_NO_LINGER = struct.pack("ii", 1, 0)
AddrInfo = tuple[Any, ...]


class SendTooLateError(NotifyError):
    """Raised when the connection was ready only after the latest moment to begin the call."""


class Sockets:
    """Makes the sockets of a session.

    Args:
        timeout: seconds after which the kernel drops bytes that the peer has not acknowledged.
            Only Linux has this option; elsewhere a frozen process may still send them.
    """

    def __init__(self, timeout: float) -> None:
        self._milliseconds = max(1, round(timeout * 1000))

    def __call__(self, address: AddrInfo) -> socket.socket:
        """Return a socket (aiohttp's socket factory)."""
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


def provider_session(timeout: float, tls: ssl.SSLContext | bool = True) -> aiohttp.ClientSession:
    """Return the session for all providers of a process, without cookies and decompression.

    Args:
        timeout: seconds of one call.
        tls: checks the providers' certificates; True trusts the system's authorities.
    """
    return aiohttp.ClientSession(
        connector=_Connector(socket_factory=Sockets(timeout), ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_headers=_MAX_HEADERS,
        headers={"Accept-Encoding": "identity"},
        trace_configs=[_begin_in_time(), traced_client(propagate=False)],
    )


def _begin_in_time() -> aiohttp.TraceConfig:
    """Return a trace that checks the time when a connection is ready, right before the first byte.

    Connecting takes time, and the process may have been frozen meanwhile.
    """

    async def check(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        before = context.trace_request_ctx
        if before is not None and uptime() >= before:
            raise SendTooLateError

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(check)
    trace.on_connection_reuseconn.append(check)
    return trace
