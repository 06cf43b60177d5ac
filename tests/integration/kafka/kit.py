"""What the tests of the worker and the producer share."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import CollectorRegistry

from tongban_kafka import EventProducer, KafkaAddress, Record, WorkerConfig, apply_topics
from tongban_kafka.reader import Reader
from tongban_kafka.runtime import Runtime


@dataclass(frozen=True)
class Topic:
    name: str
    partitions: int = 1
    config: dict[str, str] = field(default_factory=dict)

    def kafka_config(self) -> dict[str, str]:
        return self.config


@dataclass(frozen=True)
class Place:
    """A topic and a group of one test's own."""

    kafka: KafkaAddress
    name: str
    partitions: int

    @property
    def topic(self) -> str:
        return f"{self.name}.events"

    @property
    def group(self) -> str:
        return self.name

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dlt"

    def config(self, **changes: Any) -> WorkerConfig:
        """Quick commits and retries, so that tests wait little."""
        quick: dict[str, Any] = {
            "commit_interval": 0.1,
            "drain_timeout": 5.0,
            "session_timeout": 6.0,
            "heartbeat_interval": 0.3,
        }
        return WorkerConfig(bootstrap=self.kafka, group=self.group, **{**quick, **changes})


async def make_place(kafka: KafkaAddress, *, partitions: int = 4) -> Place:
    place = Place(kafka, f"test-{uuid.uuid4().hex[:10]}", partitions)
    await apply_topics(kafka, [Topic(place.topic, partitions), Topic(place.dead_letters)])
    return place


async def eventually(
    condition: Callable[[], Any], *, within: float = 45.0, what: str = "the condition"
) -> None:
    """Poll until it holds; fail at the deadline."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not hold within {within} s"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(worker: Runtime) -> AsyncIterator[asyncio.Task[None]]:
    """A worker at work; stopped at the end, which must go well."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker.stop()
        await asyncio.wait_for(task, 20)


async def produce(producer: EventProducer, topic: str, values: Iterable[tuple[str, int]]) -> None:
    """Records `key: number`, in order; returns when all are acknowledged."""
    sent = []
    for number, (key, value) in enumerate(values):
        sent.append(
            producer.send_nowait(
                topic, key=key.encode(), value=b"%d" % value, headers=[("n", b"%d" % number)]
            )
        )
        if number % 500 == 499:
            await asyncio.sleep(0)
    await asyncio.gather(*sent)


def number_of(record: Record) -> int:
    assert record.value is not None
    return int(record.value)


def key_of(record: Record) -> str:
    assert record.key is not None
    return record.key.decode()


async def committed(place: Place) -> dict[int, int]:
    """Return what the group has committed, by partition. Partitions of which nothing is done are
    left out: a member that gives them up commits their beginning."""
    admin = AIOKafkaAdminClient(bootstrap_servers=place.kafka)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(place.group)
    finally:
        await admin.close()
    ours = {tp.partition: o.offset for tp, o in offsets.items() if tp.topic == place.topic}
    return {partition: offset for partition, offset in ours.items() if offset}


async def ends(place: Place) -> dict[int, int]:
    """End offsets of the topic, by partition; those of empty partitions are left out."""
    consumer = AIOKafkaConsumer(bootstrap_servers=place.kafka)
    await consumer.start()
    try:
        found = await consumer.end_offsets(
            [TopicPartition(place.topic, number) for number in range(place.partitions)]
        )
    finally:
        await consumer.stop()
    return {tp.partition: end for tp, end in found.items() if end}


async def read_all(kafka: str, topic: str, *, partitions: int = 1) -> list[Any]:
    """All records that are on a topic now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(tps)
        end = await consumer.end_offsets(tps)
        records: list[Any] = []
        while any([await consumer.position(tp) < end[tp] for tp in tps]):
            for part in (await consumer.getmany(timeout_ms=500)).values():
                records += part
        return records
    finally:
        await consumer.stop()


def registry() -> CollectorRegistry:
    """A registry of one test's own."""
    return CollectorRegistry()


@contextlib.asynccontextmanager
async def reading(*readers: Reader) -> AsyncIterator[None]:
    """Run the readers beside the block."""
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
