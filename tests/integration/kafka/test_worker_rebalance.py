"""Members that come and go under load, in one process and in several."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from pathlib import Path
from typing import Any

from tests.integration.kafka.kit import (
    Place,
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
from tests.integration.kafka.processes_kit import check_history, members, stopped
from tongban_kafka import EventProducer, Record, Worker

COUNT = 2500


def open_partitions(worker: Worker) -> int:
    """Return how many partitions know their end offset: what is written from now on is unseen."""
    return sum(each.seen_end is not None for each in worker._flow.partitions.values())


class History:
    """What the members of a group do, in one process."""

    def __init__(self, latency: float) -> None:
        self.lines: list[dict[str, Any]] = []
        self.numbers: set[int] = set()
        self._latency = latency

    def member(self, place: Place, producer: EventProducer, name: str, **changes: Any) -> Worker:
        async def handle(record: Record) -> None:
            line = {
                "member": name,
                "key": key_of(record),
                "number": number_of(record),
                "seen": record.maybe_seen,
            }
            self.lines.append({**line, "phase": "begin", "at": time.monotonic()})
            await asyncio.sleep(random.random() * 2 * self._latency)
            self.lines.append({**line, "phase": "end", "at": time.monotonic()})
            self.numbers.add(number_of(record))

        return Worker(
            place.config(**changes), [place.topic], handle, producer=producer, registry=registry()
        )


async def test_members_joining_and_leaving_in_mid_work_lose_nothing(kafka: str) -> None:
    """Drained and committed before partitions are given up, so that nothing is even repeated."""
    place = await make_place(kafka, partitions=6)
    history = History(latency=0.01)
    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{n % 500}", n) for n in range(COUNT)])
        first, second, third = (
            history.member(place, producer, name, concurrency=5) for name in ("1", "2", "3")
        )

        async with running(first):
            await eventually(lambda: len(history.numbers) > COUNT * 0.15)
            async with running(second):
                await eventually(lambda: second.progress().assigned == 3)
                await eventually(lambda: len(history.numbers) > COUNT * 0.4)
                async with running(third):
                    await eventually(lambda: third.progress().assigned == 2)
                    await eventually(lambda: len(history.numbers) > COUNT * 0.7)
                await eventually(lambda: first.progress().assigned == 3)
            await eventually(lambda: len(history.numbers) == COUNT)
            await eventually(lambda: first.progress().in_flight == 0)
    assert {line["member"] for line in history.lines} == {"1", "2", "3"}
    repeats = check_history(history.lines, COUNT)
    assert repeats <= 15 * 5, "more was repeated than could have been above a gap at five drains"
    assert await committed(place) == await ends(place)


async def test_handlers_that_do_not_end_in_time_are_cancelled_and_repeated(kafka: str) -> None:
    place = await make_place(kafka, partitions=2)
    cancelled: list[int] = []
    handled: list[tuple[str, int]] = []

    def member(producer: EventProducer, name: str) -> Worker:
        async def handle(record: Record) -> None:
            try:
                if name == "slow":
                    await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(number_of(record))
                raise
            handled.append((name, number_of(record)))

        return Worker(
            place.config(drain_timeout=0.5, commit_timeout=2.0),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )

    async with EventProducer(kafka) as producer:
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(20)])
        slow, quick = member(producer, "slow"), member(producer, "quick")
        task = asyncio.create_task(slow.run())
        await eventually(lambda: slow.progress().under_way == 20)
        async with running(quick):
            # The rebalance waits for the drain, no longer.
            await eventually(lambda: quick.progress().assigned == 1, within=5.0)
            assert len(cancelled) == 20
            slow.stop()
            await asyncio.wait_for(task, 10)
            await eventually(lambda: len(handled) == 20)
    assert {name for name, _ in handled} == {"quick"}


async def test_static_member_that_stops_hands_over_within_its_session(kafka: str) -> None:
    """The session is longer than the test. No record is possibly seen: each was begun by one member
    or arrived while the partitions moved."""
    place = await make_place(kafka)
    history = History(0.001)
    async with EventProducer(kafka) as producer:
        going, staying = (
            history.member(place, producer, name, instance=name, session_timeout=60.0)
            for name in ("going", "staying")
        )
        async with running(staying):
            async with running(going):
                await eventually(lambda: open_partitions(going) == open_partitions(staying) == 2)
                await produce(producer, place.topic, [(f"k{n}", n) for n in range(20)])
                await eventually(lambda: len(history.numbers) == 20)
                going.stop()
                await produce(producer, place.topic, [(f"k{n}", n) for n in range(20, 40)])
            await eventually(lambda: staying.progress().assigned == 4, within=20.0)
            await eventually(lambda: len(history.numbers) == 40)
    assert not any(line["seen"] for line in history.lines)


async def test_processes_killed_and_started_under_load(kafka: str, tmp_path: Path) -> None:
    """Three members; two of them are killed in turn, one leaves and comes back under its name.

    Records come as long as it takes: a quick machine is through with any backlog before a member
    is there to take part.
    """
    place = await make_place(kafka, partitions=6)
    async with (
        EventProducer(kafka) as producer,
        members(place, tmp_path, latency=0.01, session_timeout=6.0) as group,
    ):
        numbers, enough = itertools.count(), asyncio.Event()

        async def feed() -> None:
            while not enough.is_set():
                some = [(f"k{n % 300}", n) for n in itertools.islice(numbers, 60)]
                await produce(producer, place.topic, some)
                await asyncio.sleep(0.1)

        def takes_part(mark: str) -> bool:
            return any(line["member"] == mark for line in group.lines("end"))

        feeding = asyncio.create_task(feed())
        names = ["a", "b", "c"]
        living = {name: await group.start(f"{name}0", instance=name) for name in names}
        for name in names:
            await eventually(lambda m=f"{name}0": takes_part(m), within=60)
        for name in ("a", "b"):
            living[name].kill()
            await living[name].wait()
            living[name] = await group.start(f"{name}1", instance=name)
            await eventually(lambda m=f"{name}1": takes_part(m), within=60)
        assert await stopped(living["c"]) == 0
        enough.set()
        await feeding
        count = sum((await ends(place)).values())
        await eventually(lambda: len(group.numbers()) == count, within=60)
        assert [await stopped(living[name]) for name in ("a", "b")] == [0, 0]
        check_history(group.lines(), count)
    assert await committed(place) == await ends(place)
