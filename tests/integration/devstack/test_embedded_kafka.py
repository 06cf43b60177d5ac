"""The embedded broker: started, broken, started again."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tongban_devstack.embedded import EmbeddedKafka, StartFailedError
from tongban_devstack.files import InUseError

TOPIC = "embedded.echo"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    async with EmbeddedKafka(tmp_path / "kafka") as running:
        yield running


async def make_topic(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 2, 1)])
    finally:
        await admin.close()


async def produce(kafka: str, count: int) -> set[bytes]:
    """Returns what the broker acknowledged."""
    values = {b"%d" % number for number in range(count)}
    async with AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True) as producer:
        await asyncio.gather(*(producer.send_and_wait(TOPIC, v, key=v) for v in values))
    return values


async def consume(kafka: str, count: int, group: str = "echo") -> set[bytes]:
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=kafka, group_id=group, auto_offset_reset="earliest"
    )
    async with consumer, asyncio.timeout(20):
        return {(await consumer.getone()).value for _ in range(count)}


async def test_consumer_group_reads_produced_records(kafka: str) -> None:
    await make_topic(kafka)
    sent = await produce(kafka, 100)
    assert await consume(kafka, 100) == sent


async def test_topics_are_not_made_by_mentioning_them(kafka: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, request_timeout_ms=1000) as producer:
        with pytest.raises(Exception, match=r"UnknownTopic|Timeout|metadata"):
            await producer.send_and_wait("embedded.never-made", b"")


async def test_broker_stopped_and_started_again_keeps_its_records(broker: EmbeddedKafka) -> None:
    address, pid = broker.address, broker.pid
    await make_topic(address)
    sent = await produce(address, 20)
    await broker.stop()
    assert not psutil.pid_exists(pid)
    await broker.start()
    assert broker.address == address
    assert await consume(address, 20) == sent


async def test_broker_killed_keeps_acknowledged_records(broker: EmbeddedKafka) -> None:
    await make_topic(broker.address)
    sent = await produce(broker.address, 500)
    first = broker.pid
    broker.send_signal(signal.SIGKILL)
    assert await broker.wait() == -signal.SIGKILL
    await broker.stop()
    await broker.start()
    assert broker.pid != first
    assert await consume(broker.address, 500) == sent
    assert len(await produce(broker.address, 10)) == 10


async def test_a_stopped_process_is_ended_all_the_same(broker: EmbeddedKafka) -> None:
    broker.stop_grace_s = 0.2
    broker.send_signal(signal.SIGSTOP)  # it cannot react to SIGTERM
    await broker.stop()
    assert await broker.wait() == -signal.SIGKILL


async def test_two_brokers_do_not_share_a_directory(broker: EmbeddedKafka) -> None:
    second = EmbeddedKafka(broker.data_dir)
    with pytest.raises(InUseError, match="in use by another process"):
        await second.start()
    await broker.probe()  # and the first has not noticed


async def test_broker_that_cannot_start_reports_the_cause(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = EmbeddedKafka(
            tmp_path / "kafka", controller_port=taken.getsockname()[1], java_flags=[]
        )
        with pytest.raises(StartFailedError, match="ended before it was ready") as failed:
            await broker.start()
    assert "Address already in use" in str(failed.value)
