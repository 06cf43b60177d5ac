"""Batch handlers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import pytest

from tests.integration.kafka.kit import (
    committed,
    ends,
    eventually,
    make_place,
    number_of,
    produce,
    read_all,
    registry,
    running,
)
from tongban_kafka import (
    BatchConfig,
    BatchWorker,
    DeadLetterLimit,
    DeadLetterLimitError,
    EventProducer,
    Poison,
    Record,
    Retry,
    RetryPolicy,
)

QUICK = RetryPolicy(first=0.01, longest=0.02, max_attempts=4)


async def test_batches_are_bounded_and_in_order(kafka: str) -> None:
    place = await make_place(kafka, partitions=3)
    sizes: list[int] = []
    offsets: dict[int, list[int]] = defaultdict(list)
    at_work: set[int] = set()
    twice: set[int] = set()

    async def handle(records: Sequence[Record]) -> None:
        partitions = {record.partition for record in records}
        # An assertion in a handler would be retried like any failure.
        twice.update(partitions & at_work)
        at_work.update(partitions)
        sizes.append(len(records))
        await asyncio.sleep(0.01)
        for record in records:
            offsets[record.partition].append(record.offset)
        at_work.difference_update(partitions)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(1000)])
        worker = BatchWorker(
            place.config(),
            [place.topic],
            handle,
            producer=producer,
            batch=BatchConfig(size=100, linger=0.05),
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: sum(sizes) == 1000)
            # A single record does not wait for a hundred, which never come.
            await produce(producer, place.topic, [("late", 1000)])
            await eventually(lambda: sum(sizes) == 1001)
    assert twice == set(), "a partition was in two batches at once"
    assert max(sizes) == 100
    assert len(sizes) < 60
    assert all(part == sorted(part) for part in offsets.values())
    assert await committed(place) == await ends(place)


async def test_halving_finds_the_records_that_spoil_a_batch(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    done: list[int] = []
    calls = 0

    async def handle(records: Sequence[Record]) -> None:
        nonlocal calls
        calls += 1
        numbers = [number_of(record) for record in records]
        if 77 in numbers:
            raise Poison("not a document")
        if 150 in numbers:
            raise OverflowError
        done.extend(numbers)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(300)])
        worker = BatchWorker(
            place.config(retry=QUICK),
            [place.topic],
            handle,
            producer=producer,
            batch=BatchConfig(size=200, linger=0.02),
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: len(done) == 298 and worker.progress().in_flight == 0)
    assert done == sorted(done), "the order of the partition"
    assert calls < 60
    dead = await read_all(kafka, place.dead_letters)
    assert [(r.value, dict(r.headers)["dlt_exception"].rsplit(b".")[-1]) for r in dead] == [
        (b"77", b"Poison"),
        (b"150", b"OverflowError"),
    ]
    assert await committed(place) == {0: 300}


async def test_a_store_that_is_down_is_waited_out_with_the_whole_batch(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    sizes: list[int] = []

    async def handle(records: Sequence[Record]) -> None:
        sizes.append(len(records))
        if len(sizes) < 12:
            raise Retry("the store is down")

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", n) for n in range(50)])
        worker = BatchWorker(
            place.config(retry=QUICK),
            [place.topic],
            handle,
            producer=producer,
            batch=BatchConfig(size=50, linger=1.0),
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: worker.progress().in_flight == 0 and len(sizes) >= 12)
    assert sizes == [50] * 12
    assert await read_all(kafka, place.dead_letters) == []


async def test_stop_does_not_wait_for_a_batch_that_waits_to_be_repeated(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    calls = 0

    async def handle(_: Sequence[Record]) -> None:
        nonlocal calls
        calls += 1
        raise Retry("the store is down", after=60.0)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0)])
        worker = BatchWorker(
            place.config(drain_timeout=30.0),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        task = asyncio.create_task(worker.run())
        await eventually(lambda: calls == 1)
        worker.stop()
        await asyncio.wait_for(task, 5)
    assert await committed(place) in ({}, {0: 0})


async def test_nothing_behind_the_record_that_reached_the_limit_is_handled(kafka: str) -> None:
    """Neither the rest of its batch nor the next batch of its partition: they are in order."""
    place = await make_place(kafka, partitions=1)
    done: list[int] = []

    async def handle(records: Sequence[Record]) -> None:
        numbers = [number_of(record) for record in records]
        if 10 in numbers:
            raise Poison("not a document")
        done.extend(numbers)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("k", n) for n in range(60)])
        worker = BatchWorker(
            place.config(dead_letter_limit=DeadLetterLimit(max_count=0), fetch_wait=3.0),
            [place.topic],
            handle,
            producer=producer,
            batch=BatchConfig(size=20, linger=0.02),
            registry=registry(),
        )
        with pytest.raises(DeadLetterLimitError):
            await asyncio.wait_for(worker.run(), 45)
    assert done == list(range(10))
    assert await committed(place) == {0: 10}
