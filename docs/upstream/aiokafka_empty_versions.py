"""Fails on aiokafka 0.14.0: a connection to a broker that named no versions is kept."""

import asyncio
import struct

from aiokafka.conn import create_conn


async def starting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request as a starting broker answers ApiVersions: error -1, no versions."""
    try:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            _, _, correlation = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
            answer = struct.pack(">ihi", correlation, -1, 0)
            writer.write(struct.pack(">i", len(answer)) + answer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(starting, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        connection = await create_conn("127.0.0.1", port, request_timeout_ms=5000)
    except ConnectionError:
        return  # as expected: the caller tries again later
    connection.close()
    server.close()
    raise AssertionError("the connection is used although the broker named no versions")


asyncio.run(main())
