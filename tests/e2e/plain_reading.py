"""Everything that a broker has, read with a Kafka client alone; imports nothing of tongban."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType


async def all_records(bootstrap: str) -> dict[str, list[ConsumerRecord[Any, Any]]]:
    """Every record by its topic, also of the broker's and Faust's own topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics(await admin.list_topics())
    finally:
        await admin.close()
    everywhere = [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        exclude_internal_topics=False,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign(everywhere)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(everywhere)
        found: dict[str, list[ConsumerRecord[Any, Any]]] = {
            topic["topic"]: [] for topic in described
        }
        while [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                found[tp.topic] += records
    finally:
        await consumer.stop()
    return found


async def topic_settings(bootstrap: str) -> dict[str, tuple[int, dict[str, str]]]:
    """The number of partitions and the settings of every topic, as the broker reports them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics(await admin.list_topics())
        partitions = {topic["topic"]: len(topic["partitions"]) for topic in described}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions]
        answers = await admin.describe_configs(resources)
    finally:
        await admin.close()
    settings = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
    return {name: (count, settings[name]) for name, count in partitions.items()}
