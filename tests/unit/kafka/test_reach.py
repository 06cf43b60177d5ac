"""Tests that a command learns within seconds that no broker answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tongban_kafka import KafkaUnavailableError, reach

REFUSING = "127.0.0.1:1"


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """Yield the address of a server that accepts connections and never answers."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    server.close()


async def test_silent_broker_counts_as_unreachable(silent: str) -> None:
    began = time.monotonic()
    with pytest.raises(KafkaUnavailableError, match=f"{silent}.*: no broker answers"):
        await reach(f"{silent},{REFUSING}", within=0.2)
    assert time.monotonic() - began < 5  # a client's own patience is 40 s


async def test_refusing_broker_ends_the_wait_at_once() -> None:
    with pytest.raises(KafkaUnavailableError):
        await reach(REFUSING, within=600)


async def test_one_answering_broker_is_enough(kafka: str, silent: str) -> None:
    """`reach` raises where no broker answers."""
    await reach(f"{silent},{REFUSING},{kafka}", within=60)
