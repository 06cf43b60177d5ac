"""Fails on aiokafka 0.14.0 with uvloop 0.23: sending on a closed transport raises RuntimeError."""

import asyncio

import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest


async def listening(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def main() -> None:
    server = await asyncio.start_server(listening, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = AIOKafkaConnection("127.0.0.1", port)
    connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
    connection._read_task = connection._create_reader_task()
    connection._writer.transport.abort()
    await asyncio.sleep(0)
    try:
        await connection.send(ApiVersionRequest())
    except KafkaConnectionError:
        return  # as expected, and as with asyncio's own loop
    except RuntimeError as error:
        raise AssertionError("RuntimeError instead of KafkaConnectionError") from error


uvloop.run(main())
