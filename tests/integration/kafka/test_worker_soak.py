"""A minute of everything at once: members killed, stopped and frozen, the broker killed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from pathlib import Path

import pytest

from tests.integration.kafka.kit import Topic, committed, ends, eventually, make_place, read_all
from tests.integration.kafka.processes_kit import check_history, members, stopped
from tongban_devstack.embedded import EmbeddedKafka
from tongban_kafka import EventProducer, KafkaUnavailableError, apply_topics

SECONDS = 75
NAMES = ("a", "b", "c")


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1])
async def test_relay_through_a_minute_of_faults(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    broker = EmbeddedKafka(tmp_path / "kafka")
    await broker.start()
    place = await make_place(broker.address, partitions=6)
    target = f"{place.name}.out"
    await apply_topics(broker.address, [Topic(target, 6)])
    total = 0

    async def feed(producer: EventProducer, until: float) -> None:
        nonlocal total
        while time.monotonic() < until:
            try:
                key = b"k%d" % (total % 200)
                await producer.send(place.topic, key=key, value=b"%d" % total, headers=[])
            except KafkaUnavailableError:
                continue
            total += 1
            await asyncio.sleep(0.004)

    async with (
        EventProducer(broker.address) as producer,
        members(place, tmp_path, latency=0.01, session_timeout=6.0, target=target) as group,
    ):
        lives = dict.fromkeys(NAMES, 0)

        async def start(name: str) -> asyncio.subprocess.Process:
            lives[name] += 1
            return await group.start(f"{name}{lives[name]}", instance=name)

        living = {name: await start(name) for name in NAMES}
        until = time.monotonic() + SECONDS
        feeding = asyncio.create_task(feed(producer, until))
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(0.5, 4.0))
            name = chance.choice(NAMES)
            process = living[name]
            fault = chance.choice(["kill", "kill", "stop", "freeze", "broker"])
            if fault == "kill":
                process.kill()
                await process.wait()
            elif fault == "stop":
                # It may be so young that nothing handles the signal yet.
                assert await stopped(process) in (0, -signal.SIGTERM)
            elif fault == "freeze":
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(chance.choice([1.0, 8.0]))
                process.send_signal(signal.SIGCONT)
                continue
            else:
                broker.send_signal(signal.SIGKILL)
                await broker.wait()
                await broker.stop()
                await broker.start()
                continue
            living[name] = await start(name)
        await feeding
        await eventually(lambda: len(group.numbers()) == total, within=60)
        newest = {f"{name}{life}" for name, life in lives.items()}
        await eventually(lambda: newest <= {line["member"] for line in group.lines("start")})
        assert [await stopped(process) for process in living.values()] == [0, 0, 0]
        repeats = check_history(group.lines(), total)
        print(f"{total} records, {repeats} repeats, {sum(lives.values())} lives")
    relayed = [int(record.value) for record in await read_all(broker.address, target, partitions=6)]
    assert set(relayed) == set(range(total))
    assert await committed(place) == await ends(place)
    await broker.stop()
