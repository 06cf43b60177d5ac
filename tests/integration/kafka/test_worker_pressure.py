"""Slow handlers and stuck keys: bounds hold, the group does not notice, others go on."""

from __future__ import annotations

import asyncio

from tests.integration.kafka.kit import (
    committed,
    ends,
    eventually,
    make_place,
    number_of,
    produce,
    registry,
    running,
)
from tongban_kafka import EventProducer, Record, Retry, Worker, partition_of

_PATIENCE_S = 30.0
"""For thousands of records that are sent at once on a machine with other things to do."""


async def test_slow_handlers_are_not_buried_and_keep_their_place_in_the_group(kafka: str) -> None:
    """Handlers take longer than the session lasts, while a bounded number of records waits."""
    place = await make_place(kafka)
    gate = asyncio.Event()
    most = {"running": 0, "held": 0}
    now_running = 0
    done = 0

    async def handle(_: Record) -> None:
        nonlocal now_running, done
        now_running += 1
        most["running"] = max(most["running"], now_running)
        await gate.wait()
        now_running -= 1
        done += 1

    async with EventProducer(kafka, delivery_timeout=_PATIENCE_S) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(3000)])
        worker = Worker(
            place.config(
                concurrency=8,
                max_in_flight=100,
                session_timeout=2.0,
                heartbeat_interval=0.5,
                fetch_wait=0.1,
            ),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: now_running == 8)
            loop = asyncio.get_running_loop()
            until = loop.time() + 4.5
            turns = 0.0

            def watched() -> bool:
                nonlocal turns
                progress = worker.progress()
                most["held"] = max(most["held"], progress.in_flight)
                turns = max(turns, progress.turn_age)
                assert progress.lease_remaining > 0
                return loop.time() > until

            # Twice the session's length: polls and heartbeats go on, no partition moves.
            await eventually(watched)
            assert worker._health.rebalances == 0
            assert turns < 1.0
            gate.set()
            await eventually(lambda: done == 3000)
            await eventually(lambda: worker.progress().in_flight == 0)
    assert most == {"running": 8, "held": 100}
    assert await committed(place) == await ends(place)


async def test_a_stuck_key_pauses_its_partition_and_no_other(kafka: str) -> None:
    place = await make_place(kafka, partitions=2)
    stuck = next(f"k{n}" for n in range(100) if partition_of(b"k%d" % n, 2) == 0)
    handled: dict[int, int] = {0: 0, 1: 0}
    free = asyncio.Event()

    async def handle(record: Record) -> None:
        if record.key == stuck.encode() and not free.is_set():
            raise Retry("stuck", after=0.1)
        handled[record.partition] += 1

    async with EventProducer(kafka, delivery_timeout=_PATIENCE_S) as producer:
        values = [(stuck, 0)] + [(f"other{n}", n) for n in range(1, 4000)]
        await produce(producer, place.topic, values)
        worker = Worker(
            place.config(max_span=500),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        totals = await ends(place)
        async with running(worker):
            await eventually(lambda: handled[1] == totals[1])
            # A partition pauses as soon as it holds its share, before that has been handled.
            await eventually(
                lambda: (
                    worker._health.gauges()["paused_partitions"] == 1
                    and worker.progress().in_flight == 1
                )
            )
            # Everything up to the bound was done around the stuck key, and little beyond.
            assert 450 <= handled[0] <= 1500
            assert (await committed(place)).get(0) in (None, 0)
            free.set()
            await eventually(lambda: handled == totals)
            await eventually(lambda: worker._health.gauges()["paused_partitions"] == 0)
    assert await committed(place) == totals


async def test_bytes_in_flight_are_bounded(kafka: str) -> None:
    place = await make_place(kafka)
    gate = asyncio.Event()
    done = 0
    most = 0

    async def handle(_: Record) -> None:
        nonlocal done
        await gate.wait()
        done += 1

    async with EventProducer(kafka, delivery_timeout=_PATIENCE_S) as producer:
        for number in range(60):
            key = b"k%d" % number
            await producer.send(place.topic, key=key, value=b"x" * 100_000, headers=[])
        worker = Worker(
            place.config(
                max_in_flight_bytes=1_000_000, partition_fetch_bytes=200_000, fetch_wait=0.1
            ),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: worker.progress().in_flight >= 10)
            for _ in range(20):
                await asyncio.sleep(0.02)
                most = max(most, worker.progress().in_flight)
            # One fetch may go over the bound, which is only known when it is there.
            assert most <= 10 + 8 + 2
            gate.set()
            await eventually(lambda: done == 60)


async def test_one_slow_key_does_not_hold_up_the_rest_of_its_partition(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    gate = asyncio.Event()
    handled: list[int] = []

    async def handle(record: Record) -> None:
        if number_of(record) == 0:
            await gate.wait()
        handled.append(number_of(record))

    async with EventProducer(kafka, delivery_timeout=_PATIENCE_S) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(400)])
        worker = Worker(
            place.config(concurrency=4),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: len(handled) == 399)
            assert await committed(place) in ({}, {0: 0})
            gate.set()
            await eventually(lambda: len(handled) == 400)
    assert await committed(place) == {0: 400}
