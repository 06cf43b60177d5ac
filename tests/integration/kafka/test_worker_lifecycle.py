"""How a worker begins and ends, and what it says of itself meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import IncompatibleBrokerVersion
from prometheus_client import generate_latest

from tests.integration.kafka.kit import (
    Place,
    committed,
    eventually,
    make_place,
    number_of,
    produce,
    read_all,
    registry,
    running,
)
from tongban_kafka import (
    ConsumerFailedError,
    EventProducer,
    HandlerTypeError,
    Poison,
    Record,
    Worker,
)


async def _nothing(_: Record) -> None:
    return


async def test_worker_stopped_before_start_twice_or_at_once_ends(kafka: str) -> None:
    place = await make_place(kafka)
    async with EventProducer(kafka) as producer:
        early = Worker(
            place.config(), [place.topic], _nothing, producer=producer, registry=registry()
        )
        early.stop()
        await asyncio.wait_for(early.run(), 5)
        at_once = Worker(
            place.config(), [place.topic], _nothing, producer=producer, registry=registry()
        )
        task = asyncio.create_task(at_once.run())
        await asyncio.sleep(0)
        at_once.stop()
        at_once.stop()
        await asyncio.wait_for(task, 10)
        assert at_once.liveness() == f"worker {place.group} has ended"


async def test_cancellation_leaves_nothing_running(kafka: str) -> None:
    place = await make_place(kafka)
    begun = asyncio.Event()
    cancelled = False

    async def handle(_: Record) -> None:
        nonlocal cancelled
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled = True
            raise

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0)])
        before = asyncio.all_tasks()
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        task = asyncio.create_task(worker.run())
        await asyncio.wait_for(begun.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        assert cancelled
        await eventually(lambda: asyncio.all_tasks() <= before, within=2.0)
        assert await committed(place) == {}


async def test_records_from_before_the_assignment_may_have_been_seen(kafka: str) -> None:
    place = await make_place(kafka, partitions=2)
    seen: dict[int, bool] = {}
    ages: list[float] = []

    async def handle(record: Record) -> None:
        seen[number_of(record)] = record.maybe_seen
        ages.append(time.monotonic() - record.assigned_at)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(10)])
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        async with running(worker):
            await eventually(lambda: len(seen) == 10)
            await produce(producer, place.topic, [(f"k{n}", n) for n in range(10, 20)])
            await eventually(lambda: len(seen) == 20)
    assert seen == {n: n < 10 for n in range(20)}
    assert all(0 <= age < 20 for age in ages)


async def _at_work(place: Place, producer: EventProducer) -> tuple[Worker, asyncio.Task[None]]:
    """A worker with nothing to do that has all four partitions, and its run."""
    worker = Worker(
        place.config(fetch_wait=0.1),
        [place.topic],
        _nothing,
        producer=producer,
        registry=registry(),
    )
    task = asyncio.create_task(worker.run())
    await eventually(lambda: worker.progress().assigned == 4)
    return worker, task


async def test_a_client_that_died_inside_ends_the_worker(kafka: str) -> None:
    """aiokafka would be silent for ever when its fetcher is gone."""
    place = await make_place(kafka)
    for part in ("_fetcher._fetch_task", "_coordinator._coordination_task"):
        async with EventProducer(kafka) as producer:
            worker, task = await _at_work(place, producer)
            holder, name = part.split(".")
            getattr(getattr(worker._health.consumer, holder), name).cancel()
            with pytest.raises(ConsumerFailedError, match="task of the Kafka client"):
                await asyncio.wait_for(task, 15)
            assert not worker.healthy()


async def test_a_heartbeat_that_died_ends_the_worker(kafka: str) -> None:
    """aiokafka starts another only when it joins again, which only a heartbeat would tell it to."""
    place = await make_place(kafka)
    async with EventProducer(kafka) as producer:
        worker, task = await _at_work(place, producer)
        coordinator = worker._health.consumer._coordinator

        async def fail() -> None:
            raise IncompatibleBrokerVersion("FindCoordinatorRequest")

        beating, coordinator._heartbeat_task = coordinator._heartbeat_task, None
        beating.cancel()
        coordinator._heartbeat_task = asyncio.create_task(fail())
        with pytest.raises(ConsumerFailedError, match="heartbeat task"):
            await asyncio.wait_for(task, 15)
        assert not worker.healthy()


async def test_a_loop_that_is_stuck_is_seen(kafka: str) -> None:
    place = await make_place(kafka)
    async with EventProducer(kafka) as producer:
        worker = Worker(
            place.config(stuck_after=0.5, fetch_wait=0.1),
            [place.topic],
            _nothing,
            producer=producer,
            registry=registry(),
        )
        assert worker.healthy()
        task = asyncio.create_task(worker.run())
        await eventually(lambda: worker.progress().assigned == 4)
        assert worker.healthy()
        gate = asyncio.Event()

        async def hang(*_: object, **__: object) -> dict[object, object]:
            await gate.wait()
            return {}

        worker._health.consumer.getmany = hang
        await eventually(lambda: not worker.healthy(), within=5.0)
        assert "has not turned" in (worker.liveness() or "")
        gate.set()
        worker.stop()
        await asyncio.wait_for(task, 10)


async def test_worker_metrics_count_handled_and_failed_records(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    metrics = registry()

    async def handle(record: Record) -> None:
        if number_of(record) == 1:
            raise Poison("bad")
        if number_of(record) == 2 and record.attempt == 1:
            raise ConnectionError
        if number_of(record) == 3:
            await gate.wait()

    def value(line: str) -> float:
        text = generate_latest(metrics).decode()
        found = [row for row in text.splitlines() if row.startswith(line)]
        assert len(found) == 1, (line, found)
        return float(found[0].rsplit(" ", 1)[1])

    gate = asyncio.Event()
    group, topic = f'group="{place.group}"', f'topic="{place.topic}"'
    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(5)])
        worker = Worker(place.config(), [place.topic], handle, producer=producer, registry=metrics)
        async with running(worker):
            await eventually(lambda: worker.progress().in_flight == 1)
            assert value(f"tongban_worker_in_flight{{{group}}}") == 1
            assert value(f"tongban_worker_under_way{{{group}}}") == 1
            assert value(f"tongban_worker_assigned_partitions{{{group}}}") == 1
            assert value(f"tongban_worker_lease_seconds{{{group}}}") > 3
            assert value(f'tongban_worker_lag_records{{{group},partition="0",{topic}}}') == 2
            gate.set()
            await eventually(lambda: worker.progress().in_flight == 0)
            assert value(f"tongban_worker_handled_total{{{group},{topic}}}") == 4
            assert value(f"tongban_worker_errors_total{{{group},{topic}}}") == 2
            assert value(f"tongban_worker_retried_total{{{group},{topic}}}") == 1
            assert value(f"tongban_worker_dead_lettered_total{{{group},{topic}}}") == 1
            assert value(f"tongban_worker_handler_seconds_count{{{group},{topic}}}") == 4
            await eventually(
                lambda: value(f'tongban_worker_lag_records{{{group},partition="0",{topic}}}') == 0
            )
        assert value(f"tongban_worker_commits_total{{{group}}}") >= 1
        assert value(f"tongban_worker_paused_partitions{{{group}}}") == 0


async def test_a_handler_that_returns_nonsense_stops_the_worker(kafka: str) -> None:
    """It is a fault of the program: no record should be given up for it."""
    place = await make_place(kafka, partitions=1)

    async def inner(_: Record) -> None:
        return

    def handle(record: Record) -> Any:
        made = inner(record)
        made.close()
        return made

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", 0)])
        worker = Worker(
            place.config(), [place.topic], handle, producer=producer, registry=registry()
        )
        with pytest.raises(HandlerTypeError, match="coroutine"):
            await asyncio.wait_for(worker.run(), 10)
    assert await read_all(kafka, place.dead_letters) == []


@pytest.mark.parametrize("fetch_wait", [0.5, 4.0])
async def test_two_processes_of_one_name_do_not_both_go_on(kafka: str, fetch_wait: float) -> None:
    """The coordinator lets the newcomer in; the other one must stop at once, and not come back
    under the same name to throw the newcomer out."""
    place = await make_place(kafka)
    async with EventProducer(kafka) as producer:
        older, newer = (
            Worker(
                # The client joins again by itself, also while the worker waits for records.
                place.config(instance="same", fetch_wait=fetch_wait),
                [place.topic],
                _nothing,
                producer=producer,
                registry=registry(),
            )
            for _ in range(2)
        )
        task = asyncio.create_task(older.run())
        await eventually(lambda: older.progress().assigned == 4)
        async with running(newer):
            with pytest.raises(ConsumerFailedError, match="uses the name same"):
                await asyncio.wait_for(task, 10)
            assert older.lease_remaining() == 0
            await eventually(lambda: newer.progress().assigned == 4)
            assert newer.lease_remaining() > 0


async def test_records_that_retention_took_are_told(kafka: str) -> None:
    place = await make_place(kafka, partitions=1)
    handled: list[int] = []

    async def handle(record: Record) -> None:
        handled.append(record.offset)

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [("a", n) for n in range(10)])

        def worker() -> Worker:
            return Worker(
                place.config(), [place.topic], handle, producer=producer, registry=registry()
            )

        async with running(worker()):
            await eventually(lambda: len(handled) == 10)
        await produce(producer, place.topic, [("a", n) for n in range(10)])
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.delete_records({TopicPartition(place.topic, 0): RecordsToDelete(15)})
        await admin.close()
        late = worker()
        async with running(late):
            await eventually(lambda: handled[10:] == list(range(15, 20)))
            assert [stats.skipped for stats in late._health.topic_stats()] == [5]
