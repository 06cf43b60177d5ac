"""The embedded broker."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def test_a_group_reads_what_was_produced(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic("embedded.echo", 2, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True) as producer:
        await producer.send_and_wait("embedded.echo", b"value", key=b"key")
    async with AIOKafkaConsumer(
        "embedded.echo", bootstrap_servers=kafka, group_id="echo", auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()
    assert (record.key, record.value) == (b"key", b"value")


async def test_store_answers(store: str) -> None:
    assert store.startswith("mongodb://")
