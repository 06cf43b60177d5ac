"""Fails on faust-streaming 0.15.3: the producer's flush returns with records in its buffer."""

import asyncio
from types import SimpleNamespace
from typing import Any

from faust.transport.producer import ProducerBuffer


class SlowBroker:
    """A channel that publishes nothing before `answers` is set."""

    def __init__(self, records: int) -> None:
        self.answers, self.begun, self.finished = (asyncio.Event() for _ in range(3))
        self.records, self.published = records, 0

    async def publish_message(self, _: Any, **__: Any) -> None:
        self.begun.set()
        await self.answers.wait()
        self.published += 1
        if self.published == self.records:
            self.finished.set()


async def left_after_flush(records: int) -> int:
    buffer: Any = ProducerBuffer()
    buffer.app = SimpleNamespace(conf=SimpleNamespace(producer_threaded=False))
    broker = SlowBroker(records)
    await buffer.start()
    for _ in range(records):
        buffer.put(SimpleNamespace(message=SimpleNamespace(channel=broker)))
    await broker.begun.wait()
    await buffer.flush()
    published = broker.published
    broker.answers.set()
    await broker.finished.wait()
    await buffer.stop()
    return records - published


async def main() -> None:
    left = {records: await left_after_flush(records) for records in (1, 3)}
    assert left == {1: 0, 3: 0}, f"records not published when flush returned: {left}"


asyncio.run(main())
