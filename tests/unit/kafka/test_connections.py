"""Tests connections to a starting broker, and to one that has closed the transport."""

from __future__ import annotations

import asyncio
import struct

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

import tongban_kafka  # noqa: F401 - importing it is what is tested

UNKNOWN_SERVER_ERROR = -1


async def starting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request as a starting broker answers ApiVersions: an error, and no versions."""
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


async def test_broker_without_versions_counts_as_unreachable() -> None:
    server = await asyncio.start_server(starting, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionError, match="which versions"):
            await create_conn("127.0.0.1", port, request_timeout_ms=5000)
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
        with pytest.raises(KafkaConnectionError, match="Unable to bootstrap"):
            await client.bootstrap()
        await client.close()


async def listening(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def test_transport_that_uvloop_has_closed_is_a_broken_connection() -> None:
    """A RuntimeError would end aiokafka's own tasks."""

    async def write_to_closed() -> None:
        server = await asyncio.start_server(listening, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = AIOKafkaConnection("127.0.0.1", port)
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        connection._read_task = connection._create_reader_task()
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="closed"):
            connection._writer.write(b"as aiokafka does")
        with pytest.raises(KafkaConnectionError, match="closed"):
            connection.send(ApiVersionRequest())
        assert not connection.connected()
        server.close()

    uvloop.run(write_to_closed())
