"""Records that the client could not take at once: what was reported as failed is not sent later."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiokafka
import pytest
from prometheus_client import CollectorRegistry

from tongban_kafka import EventProducer, KafkaUnavailableError


class Full:
    """A client whose batch is full until it is let go on; it acknowledges nothing."""

    made: list[Full]

    def __init__(self, **_: Any) -> None:
        self.room = asyncio.Event()
        self.taken: list[bytes] = []
        self._sender = SimpleNamespace(sender_task=None)
        self.client = self
        self.made.append(self)

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def send(self, _topic: str, value: bytes, *_: Any, **__: Any) -> asyncio.Future[Any]:
        await self.room.wait()
        self.taken.append(value)
        return asyncio.get_running_loop().create_future()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Full]:
    monkeypatch.setattr(Full, "made", [], raising=False)
    monkeypatch.setattr(aiokafka, "AIOKafkaProducer", Full)
    return Full.made


def send(producer: EventProducer, value: bytes) -> asyncio.Future[Any]:
    return producer.send_nowait("t", key=b"k", value=value, headers=[])


async def test_a_record_that_failed_is_not_taken_afterwards(clients: list[Full]) -> None:
    async with EventProducer("", delivery_timeout=0.1, registry=CollectorRegistry()) as producer:
        await producer.connection()
        late = send(producer, b"late")
        with pytest.raises(KafkaUnavailableError):
            await late
        clients[0].room.set()
        with pytest.raises(KafkaUnavailableError):  # taken, and not acknowledged
            await send(producer, b"next")
        assert clients[0].taken == [b"next"]


async def test_record_taken_by_an_abandoned_client_does_not_count_for_the_next_one(
    clients: list[Full],
) -> None:
    async with EventProducer("", delivery_timeout=0.3, registry=CollectorRegistry()) as producer:
        await producer.connection()
        waiting = send(producer, b"1")
        await asyncio.sleep(0)  # the client is asked, and has no room
        producer._drop(producer._client, ConnectionError())
        clients[0].room.set()
        with pytest.raises(KafkaUnavailableError):
            await waiting
        clients[1].room.set()
        await producer.connection()
        assert producer.connections == 2
        assert len(clients) == 2, "nothing is late at the new client"
