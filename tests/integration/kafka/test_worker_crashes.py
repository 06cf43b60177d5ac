"""Killed at any moment, a worker loses nothing, and its successor knows what may be a repeat."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.integration.kafka.kit import committed, ends, eventually, make_place, produce, read_all
from tests.integration.kafka.processes_kit import check_history, members, stopped
from tongban_kafka import EventProducer

COUNT = 200


@pytest.mark.parametrize(
    "point",
    [
        "worker.before_handle:80",
        "worker.after_handle:80",
        "worker.before_commit:2",
        "worker.after_commit:2",
        "worker.before_dead_letter:2",
        "worker.after_dead_letter:2",
    ],
)
async def test_worker_killed_at_a_fault_point_loses_nothing(
    kafka: str, tmp_path: Path, point: str
) -> None:
    place = await make_place(kafka)
    poison = [50, 100, 150]
    async with (
        EventProducer(kafka) as producer,
        members(
            place, tmp_path, instance="one", latency=0.04, commit_interval=0.05, poison=poison
        ) as group,
    ):
        await produce(producer, place.topic, [(f"k{n % 40}", n) for n in range(COUNT)])
        dying = await group.start("first life", environment={"TONGBAN_FAULTPOINTS": point})
        assert await asyncio.wait_for(dying.wait(), 20) == -signal.SIGKILL
        successor = await group.start("second life")
        await eventually(lambda: len(group.numbers()) == COUNT - len(poison))
        assert await stopped(successor) == 0
    # Dead letters stand for the handling of the records that cannot be handled.
    dead = {int(record.value) for record in await read_all(kafka, place.dead_letters)}
    assert dead == set(poison)
    lines = group.lines()
    for number in poison:
        lines += [
            {"phase": phase, "number": number, "key": "poison", "seen": True, "at": number}
            for phase in ("begin", "end")
        ]
    check_history(lines, COUNT)
    assert await committed(place) == await ends(place)


async def test_worker_killed_and_restarted_continues_within_five_seconds(
    kafka: str, tmp_path: Path
) -> None:
    """Static membership: the partitions wait for the same name instead of the session's end."""
    place = await make_place(kafka)
    total = 0

    async def feed(producer: EventProducer) -> None:
        nonlocal total
        while True:
            await producer.send(place.topic, key=b"k%d" % total, value=b"%d" % total, headers=[])
            total += 1
            await asyncio.sleep(0.01)

    async with (
        EventProducer(kafka) as producer,
        members(place, tmp_path, session_timeout=30.0, heartbeat_interval=3.0) as group,
    ):
        feeding = asyncio.create_task(feed(producer))
        try:
            one = await group.start("one", instance="one")
            two = await group.start("two", instance="two")
            await eventually(
                lambda: {line["member"] for line in group.lines("end")} == {"one", "two"}
            )
            partitions = {
                line["partition"] for line in group.lines("end")[-100:] if line["member"] == "one"
            }
            one.kill()
            await one.wait()
            before = len(group.lines())
            loop = asyncio.get_running_loop()
            killed_at = loop.time()
            again = await group.start("one again", instance="one")
            await eventually(
                lambda: any(line["member"] == "one again" for line in group.lines("end")),
                within=5.0,
                what="an event handled by the restarted process",
            )
            print(f"flowing again after {loop.time() - killed_at:.2f} s")
            # Nobody else was disturbed: it got its own partitions, and the other kept its own.
            assert {
                line["partition"]
                for line in group.lines("end")[before:]
                if line["member"] == "one again"
            } <= partitions
        finally:
            feeding.cancel()
        await eventually(lambda: len(group.numbers()) >= total)
        assert [await stopped(two), await stopped(again)] == [0, 0]
        check_history(group.lines(), total)


async def test_worker_terminated_finishes_and_commits_begun_records(
    kafka: str, tmp_path: Path
) -> None:
    place = await make_place(kafka)
    async with (
        EventProducer(kafka) as producer,
        members(place, tmp_path, latency=0.05) as group,
    ):
        await produce(producer, place.topic, [(f"k{n}", n) for n in range(2000)])
        process = await group.start("only", commit_interval=60.0)
        await eventually(lambda: len(group.lines("end")) > 100)
        assert await stopped(process) == 0
        lines = group.lines()
        assert lines[-1]["phase"] == "stopped"
        begun = [line["number"] for line in lines if line["phase"] == "begin"]
        ended = {line["number"] for line in lines if line["phase"] == "end"}
        assert set(begun) == ended
        assert len(begun) < 2000
        # All that was done without a gap is committed, though no commit was due for a minute.
        done = {(line["partition"], line["offset"]) for line in lines if line["phase"] == "end"}
        positions = await committed(place)
        assert any(positions.values())
        for partition, position in positions.items():
            assert {(partition, offset) for offset in range(position)} <= done
            assert (partition, position) not in done


async def test_worker_frozen_beyond_its_session_begins_nothing_afterwards(
    kafka: str, tmp_path: Path
) -> None:
    """Its partitions are another's by then, and what it had fetched is not its to handle."""
    place = await make_place(kafka)
    async with (
        EventProducer(kafka) as producer,
        members(
            place, tmp_path, latency=0.02, session_timeout=2.0, heartbeat_interval=0.3
        ) as group,
    ):
        total = 0

        async def more(count: int) -> None:
            nonlocal total
            values = [(f"k{n % 200}", n) for n in range(total, total + count)]
            total += count
            await produce(producer, place.topic, values)

        frozen, other = await group.start("frozen"), await group.start("other")
        while {line["member"] for line in group.lines("begin")} != {"frozen", "other"}:
            await more(20)
            await eventually(lambda: len(group.numbers()) == total)
        # These come after the assignment: whoever gets them first does not see them as repeats.
        before = total
        await more(1500)
        await eventually(lambda: len(group.numbers()) > before + 100)
        frozen.send_signal(signal.SIGSTOP)
        await eventually(lambda: len(group.numbers()) == total, within=60)
        frozen.send_signal(signal.SIGCONT)
        thawed_at = len(group.lines())
        # It becomes a good member again.
        while not any(
            line["member"] == "frozen" and line["phase"] == "begin"
            for line in group.lines()[thawed_at:]
        ):
            await more(20)
            await eventually(lambda: len(group.numbers()) == total)
        assert [await stopped(frozen), await stopped(other)] == [0, 0]
        check_history(group.lines(), total)
