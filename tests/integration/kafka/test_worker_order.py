"""Order within a key, concurrency across keys, and the ways to say "done"."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import Any

import pytest

from tests.integration.kafka.kit import (
    committed,
    ends,
    eventually,
    key_of,
    make_place,
    number_of,
    produce,
    registry,
    running,
)
from tongban_kafka import EventProducer, Record, Retry, RetryPolicy, Worker


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_key_in_order_while_handlers_take_their_time(kafka: str, seed: int) -> None:
    """Random latencies, random failures, keys of very different load."""
    chance = random.Random(seed)
    place = await make_place(kafka)
    keys = [f"k{min(int(chance.expovariate(0.1)), 60)}" for _ in range(1500)]
    seen: dict[str, list[int]] = defaultdict(list)
    at_work: set[str] = set()
    twice: set[str] = set()
    most_at_once = 0

    async def handle(record: Record) -> None:
        nonlocal most_at_once
        key = key_of(record)
        if key in at_work:  # an assertion in a handler would be retried like any failure
            twice.add(key)
        at_work.add(key)
        most_at_once = max(most_at_once, len(at_work))
        try:
            if chance.random() < 0.7:
                await asyncio.sleep(chance.random() * 0.01)
            if chance.random() < 0.05:
                raise Retry("again") if chance.random() < 0.5 else RuntimeError("by chance")
        finally:
            at_work.discard(key)
        seen[key].append(number_of(record))

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, zip(keys, range(len(keys)), strict=True))
        worker = Worker(
            place.config(concurrency=20, retry=RetryPolicy(first=0.01, longest=0.05)),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: sum(map(len, seen.values())) == len(keys))
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert twice == set(), "two records of a key were handled at once"
    assert most_at_once > 10
    assert await committed(place) == await ends(place)


async def test_records_without_key_are_in_order_within_their_partition(kafka: str) -> None:
    place = await make_place(kafka, partitions=2)
    seen: dict[int, list[int]] = defaultdict(list)

    async def handle(record: Record) -> None:
        await asyncio.sleep(random.random() * 0.004)
        seen[record.partition].append(record.offset)

    async with EventProducer(kafka) as producer:
        for number in range(200):
            await producer.send(place.topic, key=None, value=b"%d" % number, headers=[])
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: sum(map(len, seen.values())) == 200)
    assert len(seen) == 2
    assert all(offsets == sorted(offsets) for offsets in seen.values())


@pytest.mark.parametrize("style", ["function", "coroutine"])
async def test_record_is_done_when_its_returned_future_resolves(kafka: str, style: str) -> None:
    place = await make_place(kafka, partitions=1)
    futures: dict[int, asyncio.Future[None]] = {}
    attempts: dict[int, int] = defaultdict(int)

    def begin(record: Record) -> asyncio.Future[None]:
        attempts[record.offset] += 1
        futures[record.offset] = asyncio.get_running_loop().create_future()
        return futures[record.offset]

    async def begin_async(record: Record) -> asyncio.Future[None]:
        return begin(record)

    handler: Any = begin if style == "function" else begin_async
    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0), ("b", 1), ("a", 2), ("c", 3)])
        worker = Worker(
            place.config(retry=RetryPolicy(first=0.01, longest=0.02)),
            [place.topic],
            handler,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            # The second record of key a waits for the first one's future.
            await eventually(lambda: set(futures) == {0, 1, 3})
            futures[3].set_result(None)
            futures[1].set_result(None)
            await eventually(lambda: worker.progress().in_flight == 2)
            assert await committed(place) in ({}, {0: 0})
            futures[0].set_exception(ConnectionError("the first attempt fails"))
            await eventually(lambda: attempts[0] == 2)
            assert 2 not in futures
            futures[0].set_result(None)
            await eventually(lambda: 2 in futures)
            futures[2].set_result(None)
            await eventually(lambda: worker.progress().in_flight == 0)
    assert await committed(place) == {0: 4}


async def test_handler_that_takes_too_long_is_tried_again(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    attempts: list[int] = []

    async def handle(record: Record) -> None:
        attempts.append(record.attempt)
        if record.attempt == 1:
            await asyncio.sleep(60)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0)])
        worker = Worker(
            place.config(handler_timeout=0.2),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: attempts == [1, 2])


async def test_a_cancelled_future_inside_a_handler_is_a_failure_like_others(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    attempts: list[int] = []

    async def handle(record: Record) -> None:
        attempts.append(record.attempt)
        if record.attempt == 1:
            inner = asyncio.get_running_loop().create_future()
            inner.cancel()
            await inner

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0)])
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: attempts == [1, 2])


async def test_a_record_waits_for_a_future_without_an_attempt_until_it_resolves(kafka: str) -> None:
    """Parked by the hundred, nothing is tried; what arrives behind one wakes it, and is seen by it;
    what is given up meanwhile is taken out of the line."""
    place = await make_place(kafka)
    line: dict[str, asyncio.Future[None]] = {}
    seen: list[tuple[str, int]] = []
    behind: dict[str, int] = {}
    open_ = False

    async def handle(record: Record) -> None:
        key = key_of(record)
        behind[key] = len(worker.behind(record))
        if not open_ and not behind[key]:
            line[key] = asyncio.get_running_loop().create_future()
            raise Retry("closed", when=line[key])
        seen.append((key, number_of(record)))

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{number}", 1) for number in range(200)])
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: len(line) == 200)
            await asyncio.sleep(0.3)  # a worker that tried the records again would do so by now
            progress = worker.progress()
            assert (progress.in_flight, progress.under_way) == (200, 0)
            assert seen == []
            await produce(producer, place.topic, [("k7", 2)])
            await eventually(lambda: ("k7", 1) in seen)
            assert behind["k7"] == 0, "the second was alone when its turn came"
            assert ("k7", 2) not in seen
            open_ = True
            line.pop("k8").set_result(None)
            await eventually(lambda: ("k8", 1) in seen)
            assert len(seen) == 2, "each waits for its own future"
        assert all(future.done() for future in line.values()), "nobody is left in line"
        assert sum(future.cancelled() for future in line.values()) >= 198
    assert len(seen) == 2
