"""Fails on aiokafka 0.14.0: an unreadable batch costs another partition its drained records."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

GOOD, BAD = TopicPartition("good", 0), TopicPartition("bad", 0)


def batch(count: int) -> bytearray:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=1 << 20,
    )  # fmt: skip
    for number in range(count):
        builder.append(number, 0, b"k", b"v", [])
    return bytearray(builder.build())


async def main() -> None:
    loop = asyncio.get_running_loop()
    subscriptions = SubscriptionState(loop=loop)
    subscriptions.assign_from_user([GOOD, BAD])
    assignment = subscriptions.subscription.assignment
    fetcher: Any = Fetcher.__new__(Fetcher)
    fetcher._subscriptions, fetcher._loop, fetcher._closed = subscriptions, loop, False
    fetcher._client = SimpleNamespace(cluster=SimpleNamespace(), _loop=loop)
    fetcher._fetch_waiters, fetcher._wait_consume_future = set(), None
    fetcher._prefetch_backoff, fetcher._records = 0.0, {}
    broken = batch(3)
    broken[17] ^= 0xFF  # the checksum
    for tp, data in ((GOOD, batch(5)), (BAD, broken)):
        assignment.state_value(tp).reset_to(0)
        records = PartitionRecords(tp, MemoryRecords(bytes(data)), [], 0, None, None, True, 0)
        fetcher._records[tp] = FetchResult(
            tp, assignment=assignment, partition_records=records, backoff=0
        )
    found = []
    for _ in range(3):
        try:
            for records in (await fetcher.fetched_records((GOOD, BAD), 0.01)).values():
                found += [record.offset for record in records]
        except CorruptRecordException:
            pass
    position = assignment.state_value(GOOD).position
    assert found == [0, 1, 2, 3, 4], f"records {found} returned, and the position is {position}"


asyncio.run(main())
