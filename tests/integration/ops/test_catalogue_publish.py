"""Publishing items on a real broker."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from tests.integration.kafka.kit import Topic, eventually
from tongban_common.catalogue import Item
from tongban_kafka import CompactedView, KafkaUnavailableError, apply_topics, read_newest
from tongban_ops.catalogue.loader import load_items
from tongban_ops.catalogue.publish import publish_changes

CATALOGUE = Path(__file__).parents[3] / "catalogue"


@pytest.fixture
async def topic(kafka: str) -> str:
    name = f"catalogue.{uuid.uuid4().hex[:10]}"
    await apply_topics(kafka, [Topic(name, 1, {"cleanup.policy": "compact"})])
    return name


async def test_only_changes_are_written_and_replicas_see_them(kafka: str, topic: str) -> None:
    items = load_items(CATALOGUE)
    first = await publish_changes(kafka, items, topic=topic)
    assert (len(first.new), first.changed, first.unchanged) == (len(items), [], 0)
    again = await publish_changes(kafka, items, topic=topic, withdraw=True)
    assert (again.count, again.unchanged) == (0, len(items))

    replica = CompactedView(kafka, topic, Item.from_record)
    reading = asyncio.create_task(replica.run())
    try:
        await asyncio.wait_for(replica.wait_ready(), 20)
        assert dict(replica.values) == {item.code: item for item in items}
        edited = items[0].model_copy(update={"name": "改名的事项"})
        withdrawn = items[1].code
        changes = await publish_changes(kafka, [edited, *items[2:]], topic=topic, withdraw=True)
        assert [item.version for item in changes.changed] == [items[0].version + 1]
        assert changes.withdrawn == [withdrawn]
        await eventually(lambda: withdrawn not in replica.values, within=2.0)
        assert replica.values[edited.code] == changes.changed[0]
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    assert await read_newest(kafka, topic, Item.from_record) == dict(replica.values)


async def test_a_topic_that_is_not_there_is_an_error_in_time(kafka: str) -> None:
    with pytest.raises(KafkaUnavailableError, match="there is no topic"):
        await read_newest(kafka, "catalogue.nowhere", Item.from_record)
