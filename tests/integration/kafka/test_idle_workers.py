"""Workers that have nothing to do ask the broker for little, and lose no time by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.kafka.kit import (
    Place,
    eventually,
    make_place,
    number_of,
    produce,
    registry,
    running,
)
from tongban_kafka import ConsumerFailedError, EventProducer, Record, Worker

LONG = 30.0
"""Seconds for which an idle fetch is kept here: no test would take so long by chance."""


class Seen:
    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    async def __call__(self, record: Record) -> None:
        self.at[number_of(record)] = time.monotonic()


def member(place: Place, producer: EventProducer, seen: Seen, **changes: Any) -> Worker:
    config = place.config(idle_fetch_wait=LONG, **changes)
    return Worker(config, [place.topic], seen, producer=producer, registry=registry())


def requests_of(worker: Worker) -> list[Any]:
    """Return the requests that the broker has not answered this consumer yet."""
    consumer = worker._health.consumer
    connections = [] if consumer is None else consumer._client._conns.values()
    return [request for each in connections for _, request, _ in each._requests]


def fetches_for_long(worker: Worker) -> Callable[[], bool]:
    def is_so() -> bool:
        return any(getattr(each, "max_wait_time", 0) == LONG * 1000 for each in requests_of(worker))

    return is_so


@pytest.mark.parametrize("min_bytes", [1, 64 * 1024])
async def test_first_record_after_a_pause_comes_at_once(kafka: str, min_bytes: int) -> None:
    place, seen = await make_place(kafka), Seen()
    async with EventProducer(kafka) as producer:
        worker = member(place, producer, seen, fetch_min_bytes=min_bytes)
        async with running(worker):
            for number in range(3):
                await eventually(fetches_for_long(worker), what="a long fetch")
                began = time.monotonic()
                await produce(producer, place.topic, [("k", number)])
                await eventually(lambda: len(seen.at) == number + 1)  # noqa: B023
                assert seen.at[number] - began < 2.0


async def test_partitions_that_are_assigned_anew_wait_for_no_long_fetch(kafka: str) -> None:
    """Their end offsets are asked for on the connection whose fetch the broker keeps."""
    place, seen = await make_place(kafka, partitions=4), Seen()

    def opened(worker: Worker) -> int:
        return sum(each.seen_end is not None for each in worker._flow.partitions.values())

    async with EventProducer(kafka) as producer:
        first, second = member(place, producer, seen), member(place, producer, seen)
        async with running(first):
            await eventually(fetches_for_long(first), what="a long fetch")
            async with running(second):
                await eventually(lambda: (opened(first), opened(second)) == (2, 2), within=10.0)
                await eventually(fetches_for_long(first), what="a long fetch")
            await eventually(lambda: opened(first) == 4, within=10.0)


async def test_partition_that_is_resumed_is_fetched_soon(kafka: str) -> None:
    """While a partition is paused, no fetch without it is kept for long."""
    place, seen = await make_place(kafka, partitions=2), Seen()
    gate = asyncio.Event()

    async def handle(record: Record) -> None:
        await gate.wait()
        await seen(record)

    async with EventProducer(kafka) as producer:
        worker = Worker(
            place.config(idle_fetch_wait=LONG, max_in_flight=20),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(fetches_for_long(worker), what="a long fetch")
            await produce(producer, place.topic, [("k", n) for n in range(60)])
            await eventually(lambda: any(each.paused for each in worker._flow.partitions.values()))
            assert not fetches_for_long(worker)()
            began = time.monotonic()
            gate.set()
            await eventually(lambda: len(seen.at) == 60)
            assert max(seen.at.values()) - began < 5.0


async def test_lone_member_beats_slower_than_one_of_several(kafka: str) -> None:
    place, seen = await make_place(kafka, partitions=4), Seen()

    def interval_ms(worker: Worker) -> int:
        found: int = worker._health.consumer._coordinator._heartbeat_interval_ms
        return found

    async with EventProducer(kafka) as producer:
        first, second = member(place, producer, seen), member(place, producer, seen)
        async with running(first):
            await eventually(lambda: first.progress().assigned == 4)
            assert interval_ms(first) == 2000
            async with running(second):
                await eventually(lambda: first.progress().assigned == 2)
                assert interval_ms(first) == 300
            await eventually(lambda: first.progress().assigned == 4)
            assert interval_ms(first) == 2000


async def test_lone_member_that_was_replaced_learns_it_by_asking(kafka: str) -> None:
    """Its next heartbeat may be seconds away, and it must not act until then."""
    place, seen = await make_place(kafka), Seen()
    async with EventProducer(kafka) as producer:
        older, newer = (
            member(place, producer, seen, instance="same", lone_heartbeat_interval=60.0,
                   session_timeout=25.0)
            for _ in range(2)
        )  # fmt: skip
        running_older = asyncio.create_task(older.run())
        await eventually(lambda: older.progress().assigned == 4)
        await older.confirm_membership()
        assert older.lease_remaining() > 20
        async with running(newer):
            await eventually(lambda: newer.progress().assigned == 4)
            await eventually(lambda: (older._lease.age() or 0.0) > older.config.heartbeat_interval)
            await older.confirm_membership()
            assert older.lease_remaining() == 0
            await newer.confirm_membership()
            assert newer.lease_remaining() > 20
            with pytest.raises(ConsumerFailedError):
                await asyncio.wait_for(running_older, 10)


async def test_membership_is_confirmed_by_few_heartbeats(kafka: str) -> None:
    place, seen = await make_place(kafka), Seen()
    async with EventProducer(kafka) as producer:
        worker = member(place, producer, seen, heartbeat_interval=5.0, session_timeout=25.0)
        async with running(worker):
            await eventually(lambda: worker.progress().assigned == 4)
            coordinator = worker._health.consumer._coordinator
            send, sent = coordinator._do_heartbeat, 0

            async def counted() -> bool:
                nonlocal sent
                sent += 1
                done: bool = await send()
                return done

            coordinator._do_heartbeat = counted
            worker._lease._renewed_at -= 10.0
            await asyncio.gather(*(worker.confirm_membership() for _ in range(20)))
            await worker.confirm_membership()
            assert sent == 1
            assert worker.lease_remaining() > 20
