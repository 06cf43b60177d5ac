"""Faust's flush before a commit leaves records unsent; the router's waits for them (ADR 0002).

The first two tests reproduce the faults in faust-streaming 0.15.3. When a new version fails them,
`CountingBuffer` may no longer be needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from faust.transport.producer import ProducerBuffer

from tongban_router.faust_runtime.producer import CountingBuffer


class SlowChannel:
    """Publishes so many records, but none before `broker_answers` is set."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.broker_answers = asyncio.Event()
        self.begun = asyncio.Event()
        self.finished = asyncio.Event()
        self.published = 0

    async def publish_message(self, _fut: Any, *, wait: bool) -> None:
        assert not wait
        self.begun.set()
        await self.broker_answers.wait()
        self.published += 1
        if self.published == self.records:
            self.finished.set()


@asynccontextmanager
async def handing_over(
    make: Callable[[], ProducerBuffer], *, records: int
) -> AsyncIterator[tuple[Any, SlowChannel]]:
    """Yield a running buffer of so many records, the first of which is being handed over."""
    buffer: Any = make()
    buffer.app = SimpleNamespace(conf=SimpleNamespace(producer_threaded=False))
    channel = SlowChannel(records)
    await buffer.start()
    for _ in range(records):
        buffer.put(SimpleNamespace(message=SimpleNamespace(channel=channel)))
    await channel.begun.wait()
    try:
        yield buffer, channel
    finally:
        channel.broker_answers.set()
        await channel.finished.wait()
        await buffer.stop()


async def test_flush_of_faust_does_not_count_the_record_in_hand() -> None:
    async with handing_over(ProducerBuffer, records=1) as (buffer, channel):
        await buffer.flush()
        assert channel.published == 0


async def test_flush_of_faust_gives_up_with_records_in_its_buffer() -> None:
    async with handing_over(ProducerBuffer, records=3) as (buffer, channel):
        await buffer.flush()
        assert (channel.published, buffer.size) == (0, 2)


async def test_flush_of_the_router_waits_for_every_record() -> None:
    async with handing_over(CountingBuffer, records=3) as (buffer, channel):
        flush = asyncio.create_task(buffer.flush())
        await asyncio.wait({flush}, timeout=0.3)  # longer than Faust's flush waits
        assert not flush.done()
        channel.broker_answers.set()
        await asyncio.wait_for(flush, 10)
        assert channel.published == 3
