"""Tests that a stopped producer ends although aiokafka swallows a cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import aiokafka
import pytest

from tests.integration.kafka.kit import registry
from tongban_kafka import EventProducer, KafkaUnavailableError
from tongban_kafka import producer as module


async def test_producer_stopped_while_it_closes_a_lost_client_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiokafka's client awaits its own cancelled task while it closes, and mistakes the producer's
    cancellation for that task's."""
    closing = asyncio.Event()

    class Client:
        def __init__(self, **_: Any) -> None: ...

        async def start(self) -> None: ...

    async def close(_: Any) -> None:
        if not closing.is_set():
            closing.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return

    monkeypatch.setattr(aiokafka, "AIOKafkaProducer", Client)
    monkeypatch.setattr(module.delivery, "close", close)
    producer = EventProducer("nowhere:9", registry=registry())
    await producer.start()
    await producer.connection()
    producer._drop(producer._client, KafkaUnavailableError("no acknowledgement in time"))
    await closing.wait()
    async with asyncio.timeout(10):
        await producer.stop()
