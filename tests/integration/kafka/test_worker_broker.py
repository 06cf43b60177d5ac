"""The broker is late, restarts, hangs: workers and readers come back by themselves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.kafka.kit import (
    Topic,
    committed,
    ends,
    eventually,
    make_place,
    number_of,
    registry,
    running,
)
from tongban_devstack.embedded import EmbeddedKafka
from tongban_kafka import (
    BroadcastTail,
    CompactedView,
    EventProducer,
    KafkaUnavailableError,
    Record,
    Worker,
    WorkerConfig,
    apply_topics,
)


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedKafka]:
    """A broker to be broken."""
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("broken") / "kafka")
    await kafka.start()
    yield kafka
    await kafka.stop()


async def _feed(producer: EventProducer, topic: str, count: int) -> None:
    """Send each number until it is acknowledged, as a kiosk repeats what was not accepted."""
    for number in range(count):
        while True:
            try:
                key = b"k%d" % (number % 50)
                await producer.send(topic, key=key, value=b"%d" % number, headers=[])
            except KafkaUnavailableError:
                continue
            break
        await asyncio.sleep(0.005)


async def test_restarts_under_load(broker: EmbeddedKafka) -> None:
    """Stopped and started once, killed and started once, while a relay is at work."""
    place = await make_place(broker.address)
    target, compacted = f"{place.name}.out", f"{place.name}.view"
    await apply_topics(
        broker.address, [Topic(target), Topic(compacted, 1, {"cleanup.policy": "compact"})]
    )
    count = 400
    relayed: set[int] = set()
    tailed: set[int] = set()
    async with EventProducer(broker.address) as producer:

        async def relay(record: Record) -> None:
            await producer.send(target, key=record.key, value=record.value, headers=[])
            await producer.send(compacted, key=record.key, value=record.value, headers=[])
            relayed.add(number_of(record))

        worker = Worker(
            place.config(instance="one", commit_timeout=2.0),
            [place.topic],
            relay,
            producer=producer,
            registry=registry(),
        )
        tail = BroadcastTail(broker.address, [target], lambda r: tailed.add(number_of(r)))
        view = CompactedView(broker.address, compacted, int)
        readers = [asyncio.create_task(tail.run()), asyncio.create_task(view.run())]
        await tail.wait_listening()
        async with running(worker):
            feeding = asyncio.create_task(_feed(producer, place.topic, count))
            await eventually(lambda: len(relayed) > 50)
            await broker.stop()
            await broker.start()
            before = len(relayed)
            await eventually(lambda: len(relayed) > before + 20, within=60)
            broker.send_signal(signal.SIGKILL)
            await broker.wait()
            await broker.stop()
            await broker.start()
            await asyncio.wait_for(feeding, 40)
            await eventually(lambda: relayed == set(range(count)))
            await eventually(lambda: worker.progress().in_flight == 0)
            await eventually(lambda: tailed == set(range(count)))
            await eventually(lambda: len(view.values) == 50)
            assert worker.healthy()
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)
    assert {key: value % 50 for key, value in view.values.items()} == {
        f"k{n}": n for n in range(50)
    }
    assert await committed(place) == await ends(place)


async def test_worker_and_producer_wait_for_a_broker_that_is_late(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(tmp_path / "kafka")
    handled: list[int] = []

    async def handle(record: Record) -> None:
        handled.append(number_of(record))

    async with EventProducer(kafka.address, delivery_timeout=1.0) as producer:
        with pytest.raises(KafkaUnavailableError):
            await producer.send("late.events", key=b"k", value=b"0", headers=[])
        assert producer.readiness() is not None
        config = WorkerConfig(bootstrap=kafka.address, group="late", heartbeat_interval=0.5)
        late = Worker(config, ["late.events"], handle, producer=producer, registry=registry())
        async with running(late):
            await eventually(lambda: late.readiness() is not None)
            assert late.healthy()
            async with kafka:
                await apply_topics(kafka.address, [Topic("late.events")])
                await producer.connection()
                await producer.send("late.events", key=b"k", value=b"1", headers=[])
                assert handled == []  # its dead-letter topic is missing yet
                await apply_topics(kafka.address, [Topic("late.dlt")])
                await eventually(lambda: handled == [1])
                assert late.readiness() is None
                late.stop()
                await eventually(lambda: not late.progress().running)


async def test_a_coordinator_that_hangs_ends_the_lease(broker: EmbeddedKafka) -> None:
    """A member that cannot be sure of its partitions says so before others may have them."""
    place = await make_place(broker.address)
    async with EventProducer(broker.address) as producer:

        async def handle(_: Record) -> None:
            return

        worker = Worker(
            place.config(session_timeout=2.0, heartbeat_interval=0.3, drain_timeout=1.0),
            [place.topic],
            handle,
            producer=producer,
            registry=registry(),
        )
        async with running(worker):
            await eventually(lambda: worker.lease_remaining() > 1.5)
            assert worker.readiness() is None
            broker.send_signal(signal.SIGSTOP)
            try:
                loop = asyncio.get_running_loop()
                frozen_at = loop.time()
                await eventually(lambda: worker.lease_remaining() == 0, within=5.0)
                # The coordinator gives the partitions away when the session of 2 s is over.
                assert loop.time() - frozen_at < 2.3
                assert "coordinator" in (worker.readiness() or "")
                # Restarting this process would mend nothing.
                assert worker.healthy()
            finally:
                broker.send_signal(signal.SIGCONT)
            await eventually(lambda: worker.lease_remaining() > 1.0)
            assert worker.readiness() is None
