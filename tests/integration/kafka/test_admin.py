"""Topics as the registry wants them."""

from __future__ import annotations

import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.integration.kafka.kit import Topic
from tongban_common.topics import TOPICS
from tongban_kafka import EventProducer, PartitionMismatchError, apply_topics
from tongban_kafka.admin import _own_settings


@pytest.fixture
def name() -> str:
    return f"admin.{uuid.uuid4().hex[:10]}"


async def _settings(kafka: str, topic: str, change: dict[str, str] | None = None) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        if change is not None:
            wanted = ConfigResource(ConfigResourceType.TOPIC, topic, change)
            await admin.alter_configs([wanted])
        return (await _own_settings(admin, [topic]))[topic]
    finally:
        await admin.close()


async def test_applying_twice_changes_nothing(kafka: str, name: str) -> None:
    topics = [
        Topic(f"{name}.a", 3, {"retention.ms": "1000000"}),
        Topic(f"{name}.b", 1, {"cleanup.policy": "compact"}),
    ]
    first = await apply_topics(kafka, topics)
    assert first.created == [f"{name}.a", f"{name}.b"]
    again = await apply_topics(kafka, topics)
    assert again.unchanged == [f"{name}.a", f"{name}.b"]
    assert (again.created, again.grown, again.changed) == ([], {}, {})


async def test_settings_are_mended_and_an_operators_own_are_left(kafka: str, name: str) -> None:
    await apply_topics(kafka, [Topic(name, 1, {"retention.ms": "1000000"})])
    await _settings(kafka, name, {"retention.ms": "5", "max.message.bytes": "2000000"})
    applied = await apply_topics(kafka, [Topic(name, 1, {"retention.ms": "1000000"})])
    assert applied.changed == {name: {"retention.ms": "1000000"}}
    assert await _settings(kafka, name) == {
        "retention.ms": "1000000",
        "max.message.bytes": "2000000",
    }


async def test_partitions_are_added_where_no_key_can_part(kafka: str, name: str) -> None:
    await apply_topics(kafka, [Topic(name, 2)])
    assert (await apply_topics(kafka, [Topic(name, 4)])).grown == {name: (2, 4)}
    async with EventProducer(kafka) as producer:
        await producer.send(name, key=b"k", value=b"v", headers=[])
    for wanted in (2, 8):
        with pytest.raises(PartitionMismatchError, match=f"{name} has 4, wanted {wanted}"):
            await apply_topics(kafka, [Topic(name, wanted), Topic(f"{name}.new")])
    # Nothing is done by halves: the other topic was not created either.
    assert (await apply_topics(kafka, [Topic(f"{name}.new")])).created == [f"{name}.new"]
    assert (await apply_topics(kafka, [Topic(name, 8)], grow=True)).grown == {name: (4, 8)}


async def test_the_whole_registry(kafka: str) -> None:
    await apply_topics(kafka, TOPICS.values())
    assert len((await apply_topics(kafka, TOPICS.values())).unchanged) == len(TOPICS)
