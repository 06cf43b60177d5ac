"""What a client makes of a broker that is just starting."""

from __future__ import annotations

import asyncio
import struct

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError

import tongban_common.kafka  # noqa: F401 - importing it is what is tested

UNKNOWN_SERVER_ERROR = -1


async def starting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request as a starting broker answers ApiVersions: an error, and no versions."""
    try:
        while True:
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            _key, _version, correlation = struct.unpack(
                ">hhi", (await reader.readexactly(size))[:8]
            )
            answer = struct.pack(">ihi", correlation, UNKNOWN_SERVER_ERROR, 0)
            writer.write(struct.pack(">i", len(answer)) + answer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def test_a_broker_without_versions_is_one_that_cannot_be_reached() -> None:
    server = await asyncio.start_server(starting, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionError, match="which versions"):
            await create_conn("127.0.0.1", port, request_timeout_ms=5000)
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
        with pytest.raises(KafkaConnectionError, match="Unable to bootstrap"):
            await client.bootstrap()
        await client.close()
