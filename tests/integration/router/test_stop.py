"""A router that is stopped hands its partitions over, leaves its group and ends with code 0."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.integration.kafka.kit import eventually
from tongban_common import topics
from tongban_kafka import CommitMetadata, EventProducer, apply_topics, partition_of
from tongban_router.faust_runtime.consumer import SOURCES

_KEY = b"r"
_WHERE = TopicPartition(
    topics.ROUTER_TIMERS, partition_of(_KEY, topics.TOPICS[topics.ROUTER_TIMERS].partitions)
)


@pytest.mark.timeout(240)
async def test_stopped_router_leaves_a_note_of_what_it_has_begun(
    kafka: str, tmp_path: Path
) -> None:
    """The record is no event: the router writes a dead letter, and commits past it."""
    names = [*SOURCES, topics.ROUTER_CHANGELOG, topics.dead_letter(topics.ROUTER_APP)]
    await apply_topics(kafka, [topics.TOPICS[name] for name in names])
    async with EventProducer(kafka) as producer:
        await producer.send(_WHERE.topic, key=_KEY, value=b"x", headers=[])
    environment = {
        "TONGBAN_ENVIRONMENT": "development",
        "TONGBAN_KAFKA": kafka,
        "TONGBAN_DATA": str(tmp_path),
        "TONGBAN_INSTANCE": "router-0",
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "tongban-router"),
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await eventually(lambda: b"router.recovered" in log.read_bytes(), within=90)
        async with asyncio.timeout(60):
            while not (  # noqa: ASYNC110 - the broker has no event for it
                await admin.list_consumer_group_offsets(topics.ROUTER_APP)
            ).get(_WHERE):
                await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0, log.read_text()
        offsets = await admin.list_consumer_group_offsets(topics.ROUTER_APP)
        assert (
            offsets[_WHERE].offset,
            CommitMetadata.decode(offsets[_WHERE].metadata, 1).begun_to,
        ) == (1, 1)
        (group,) = await admin.describe_consumer_groups([topics.ROUTER_APP])
        assert "Empty" in str(group), "the static member has left"
        await admin.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
