"""Fails on aiokafka 0.14.0: `seek_to_committed` leaves a partition where it is if its committed
offset is 0 (or absent)."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

TP = TopicPartition("t", 0)


async def main() -> None:
    sought: dict[TopicPartition, int] = {}

    async def committed(_: TopicPartition) -> int:
        return 0

    consumer: Any = SimpleNamespace(
        _subscription=SimpleNamespace(assigned_partitions=lambda: {TP}),
        _fetcher=SimpleNamespace(seek_to=sought.__setitem__),
        committed=committed,
    )
    returned = await AIOKafkaConsumer.seek_to_committed(consumer, TP)
    assert returned == {TP: 0}
    assert sought == {TP: 0}, f"{returned} was returned as committed, and no seek was made"


asyncio.run(main())
