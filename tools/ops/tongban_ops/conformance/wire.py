"""Send a message on a bare connection and drop it, which no HTTP client does."""

from __future__ import annotations

import asyncio
import ssl

from yarl import URL

from tongban_ops.conformance.messages import WireMessage

CONNECT_S = 10.0


async def connect(url: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to a URL's host; verify its certificate as the product does.

    Raises:
        OSError, TimeoutError
    """
    context = ssl.create_default_context() if url.scheme == "https" else None
    async with asyncio.timeout(CONNECT_S):
        return await asyncio.open_connection(url.host, url.port, ssl=context)


async def send_and_cut(message: WireMessage) -> None:
    """Send a complete message and drop the connection without waiting for the answer.

    Raises:
        OSError, TimeoutError
    """
    _, writer = await connect(message.url)
    try:
        writer.write(_written(message))
        await writer.drain()
    finally:
        writer.close()


def _written(message: WireMessage) -> bytes:
    lines = [
        f"{message.method} {message.url.raw_path_qs} HTTP/1.1",
        f"Host: {message.url.host}:{message.url.port}",
        f"Content-Length: {len(message.body)}",
        *(f"{name}: {value}" for name, value in message.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + message.body
