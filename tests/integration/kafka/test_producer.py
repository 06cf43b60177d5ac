"""The producer: acknowledged or refused in time, in order, and back by itself."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from tests.integration.kafka.kit import Topic, eventually, read_all
from tongban_devstack.embedded import EmbeddedKafka
from tongban_kafka import EventProducer, KafkaUnavailableError, apply_topics


@pytest.fixture
async def topic(kafka: str) -> str:
    name = f"producer.{uuid.uuid4().hex[:10]}"
    await apply_topics(kafka, [Topic(name, 3)])
    return name


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedKafka]:
    """A broker to be broken."""
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("producer") / "kafka")
    await kafka.start()
    yield kafka
    await kafka.stop()


def _by_key(records: list[Any]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for record in records:
        found.setdefault(record.key, []).append(int(record.value))
    return found


async def test_send_returns_the_acknowledged_offset(kafka: str, topic: str) -> None:
    async with EventProducer(kafka) as producer:
        sent = await producer.send(
            topic, key=b"k", value=b"1", headers=[("ce_id", b"x"), ("ce_id", b"y")]
        )
        tombstone = await producer.send(topic, key=b"k", value=None, headers=[])
        with pytest.raises(ValueError, match="key or a value"):
            await producer.send(topic, key=None, value=None, headers=[])
    assert (sent.topic, sent.partition) == (tombstone.topic, tombstone.partition)
    first, second = await read_all(kafka, topic, partitions=3)
    assert (first.key, first.value, first.headers) == (
        b"k",
        b"1",
        (("ce_id", b"x"), ("ce_id", b"y")),
    )
    assert second.value is None


@pytest.mark.parametrize("batch", [2_000, 128 * 1024])
async def test_records_of_a_key_keep_the_order_of_the_calls(
    kafka: str, topic: str, batch: int
) -> None:
    """Also when batches are full all the time and records have to wait for the client."""
    async with EventProducer(kafka, max_batch_size=batch, delivery_timeout=20.0) as producer:
        futures = []
        for number in range(3000):
            key = b"k%d" % (number % 7)
            futures.append(producer.send_nowait(topic, key=key, value=b"%d" % number, headers=[]))
            if number % 400 == 0:
                await asyncio.sleep(0.001)
        await asyncio.gather(*futures)
    found = _by_key(await read_all(kafka, topic, partitions=3))
    assert sum(map(len, found.values())) == 3000
    assert all(numbers == sorted(numbers) for numbers in found.values())


async def test_stop_sends_what_was_sent_without_waiting(kafka: str, topic: str) -> None:
    async with EventProducer(kafka, linger_ms=5) as producer:
        futures = [
            producer.send_nowait(topic, key=b"%d" % n, value=b"x" * 2000, headers=[])
            for n in range(500)
        ]
    assert all(future.done() and future.exception() is None for future in futures)
    assert len(await read_all(kafka, topic, partitions=3)) == 500
    with pytest.raises(KafkaUnavailableError, match="stopped"):
        await producer.send(topic, key=b"k", value=b"v", headers=[])


async def test_a_record_that_is_too_large_harms_no_other(kafka: str, topic: str) -> None:
    async with EventProducer(kafka) as producer:
        beside = producer.send_nowait(topic, key=b"k", value=b"1", headers=[])
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send(topic, key=b"k", value=b"x" * 2_000_000, headers=[])
        await beside
        await producer.send(topic, key=b"k", value=b"2", headers=[])
        assert producer.connections == 1


async def test_a_topic_that_is_missing_fails_alone_and_in_time(kafka: str, topic: str) -> None:
    async with EventProducer(kafka, delivery_timeout=1.0) as producer:
        await producer.connection()
        loop = asyncio.get_running_loop()
        began = loop.time()
        missing = producer.send_nowait("no.such.topic", key=b"k", value=b"v", headers=[])
        await producer.send(topic, key=b"k", value=b"1", headers=[])
        with pytest.raises(KafkaUnavailableError, match=r"no\.such\.topic"):
            await missing
        # The producer looks for the topic during the whole delivery time, and not much longer.
        assert 0.9 < loop.time() - began < 10
        assert producer.connections == 1


async def test_a_refused_batch_does_not_break_the_partition_for_ever(
    kafka: str, topic: str
) -> None:
    """aiokafka's idempotent producer counts on after a batch that the broker refused."""
    async with EventProducer(kafka) as producer:
        await producer.send(topic, key=b"k", value=b"1", headers=[])
        sequences = producer._client._txn_manager._sequence_numbers
        for number in range(3):
            sequences[TopicPartition(topic, number)] += 5
        with pytest.raises(KafkaUnavailableError, match="OutOfOrderSequence"):
            await producer.send(topic, key=b"k", value=b"2", headers=[])
        await producer.send(topic, key=b"k", value=b"3", headers=[])
        # The same where nobody awaits: the producer finds out by itself.
        sequences = producer._client._txn_manager._sequence_numbers
        for number in range(3):
            sequences[TopicPartition(topic, number)] += 5
        lost = producer.send_nowait(topic, key=b"k", value=b"4", headers=[])
        await eventually(lambda: producer.connections == 3, within=5.0)
        assert lost.exception() is not None
        await producer.send(topic, key=b"k", value=b"5", headers=[])
    assert _by_key(await read_all(kafka, topic, partitions=3)) == {b"k": [1, 3, 5]}


async def test_memory_is_bounded(kafka: str, topic: str) -> None:
    async with EventProducer(kafka, max_pending=50) as few:
        await few.connection()
        futures = []
        with pytest.raises(KafkaUnavailableError, match="too many"):
            for number in range(200):
                value = b"%d" % number
                futures.append(few.send_nowait(topic, key=b"k", value=value, headers=[]))
        assert len(futures) == 50
        await asyncio.gather(*futures)
        await few.send(topic, key=b"k", value=b"x", headers=[])
    async with EventProducer(kafka, max_pending_bytes=100_000) as small:
        await small.connection()
        with pytest.raises(KafkaUnavailableError, match="too many"):
            for _ in range(200):
                small.send_nowait(topic, key=b"k", value=b"x" * 1000, headers=[])


async def test_not_started_or_no_broker_answers_in_time(tmp_path: Path) -> None:
    nowhere = EmbeddedKafka(tmp_path / "never-started").address
    async with EventProducer(nowhere, delivery_timeout=0.5) as producer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(KafkaUnavailableError, match="could not be reached"):
            await producer.send("t", key=b"k", value=b"v", headers=[])
        # The producer tries to connect during the whole delivery time, and not much longer.
        assert 0.4 < loop.time() - began < 5
        assert not producer.connected


@pytest.mark.parametrize("fault", ["killed", "stopped", "frozen"])
async def test_send_without_broker_fails_in_time_and_succeeds_after_its_return(
    broker: EmbeddedKafka, fault: str
) -> None:
    """503 within two seconds is what intake owes its kiosks."""
    topic = f"gone.{fault}"
    await apply_topics(broker.address, [Topic(topic, 3)])
    async with EventProducer(broker.address, delivery_timeout=1.0) as producer:
        await producer.send(topic, key=b"k", value=b"0", headers=[])
        if fault == "stopped":
            await broker.stop()
        elif fault == "killed":
            broker.send_signal(signal.SIGKILL)
            await broker.wait()
            await broker.stop()
        else:
            broker.send_signal(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        for number in (1, 2):
            began = loop.time()
            many = [
                producer.send(topic, key=b"k%d" % n, value=b"%d" % number, headers=[])
                for n in range(20)
            ]
            answers = await asyncio.gather(*many, return_exceptions=True)
            assert all(isinstance(answer, KafkaUnavailableError) for answer in answers)
            assert loop.time() - began < 10  # ten times the delivery time
        if fault == "frozen":
            broker.send_signal(signal.SIGCONT)
        else:
            await broker.start()

        async def sent() -> bool:
            try:
                await producer.send(topic, key=b"k", value=b"4", headers=[])
            except KafkaUnavailableError:
                return False
            return True

        back_at = loop.time()
        while not await sent():
            assert loop.time() - back_at < 6
        await producer.send(topic, key=b"k", value=b"5", headers=[])
    found = _by_key(await read_all(broker.address, topic, partitions=3))
    assert found[b"k"][0] == 0
    assert found[b"k"][-2:] == [4, 5]
    # What was reported as failed is not sent when the broker is back; only a request that was on
    # the wire when it froze may arrive.
    late = {number for key, numbers in found.items() if key != b"k" for number in numbers}
    assert late <= ({1} if fault == "frozen" else set())
