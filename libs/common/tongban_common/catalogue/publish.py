"""Putting items on `catalogue.items`, where every intake replica reads them.

The topic is the record of what is offered: compacted, one record for each item code, a tombstone
for an item that is offered no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tongban_common.catalogue.models import Item
from tongban_common.control.records import JSON_HEADERS
from tongban_common.kafka import EventProducer
from tongban_common.kafka.snapshot import read_newest
from tongban_common.kafka_security import KafkaAddress
from tongban_common.topics import CATALOGUE_ITEMS


@dataclass(slots=True)
class Changes:
    """What the topic needs to offer the wanted items."""

    new: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    """With the version that they get: one more than the offered one, unless they say more."""
    withdrawn: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def count(self) -> int:
        """How many records that makes."""
        return len(self.new) + len(self.changed) + len(self.withdrawn)


def compare(
    offered: Mapping[str, Item], wanted: Iterable[Item], *, withdraw: bool = False
) -> Changes:
    """What has to be published for `wanted`; by code, whatever the versions say.

    A person who edits a file need not count versions: an item with other content gets a higher one
    here, so that no cache and no request in progress can take the one for the other.

    Args:
        withdraw: whether offered items that are not wanted are to go.
    """
    changes = Changes()
    codes: set[str] = set()
    for item in wanted:
        codes.add(item.code)
        present = offered.get(item.code)
        if present is None:
            changes.new.append(item)
        elif present.model_copy(update={"version": item.version}) == item:
            changes.unchanged += 1
        else:
            version = max(item.version, present.version + 1)
            changes.changed.append(item.model_copy(update={"version": version}))
    if withdraw:
        changes.withdrawn = sorted(offered.keys() - codes)
    return changes


async def publish_changes(
    bootstrap: KafkaAddress,
    wanted: Iterable[Item],
    *,
    withdraw: bool = False,
    topic: str = CATALOGUE_ITEMS,
    timeout_s: float = 30.0,
) -> Changes:
    """Bring the topic to offer `wanted`, writing only what differs, and return what was written.

    To be run by one operator at a time: who publishes in between is overwritten.

    Raises:
        KafkaUnavailable: not everything was read or acknowledged in time; publish again.
    """
    offered = await read_newest(bootstrap, topic, Item.from_record)
    changes = compare(offered, wanted, withdraw=withdraw)
    records = {item.code: item for item in (*changes.new, *changes.changed)}
    await _write(bootstrap, topic, {**records, **dict.fromkeys(changes.withdrawn)}, timeout_s)
    return changes


async def publish(
    bootstrap: KafkaAddress,
    items: Iterable[Item],
    *,
    topic: str = CATALOGUE_ITEMS,
    timeout_s: float = 30.0,
) -> int:
    """Write each item as it is under its code, and return how many once Kafka has them all.

    For a topic that is known to be empty, and for tests; `publish_changes` looks first.

    Raises:
        KafkaUnavailable: not all were acknowledged in time; publish again.
    """
    return await _write(bootstrap, topic, {item.code: item for item in items}, timeout_s)


async def _write(
    bootstrap: KafkaAddress, topic: str, records: Mapping[str, Item | None], timeout_s: float
) -> int:
    async with EventProducer(
        bootstrap, client_id="catalogue", delivery_timeout=timeout_s, linger_ms=5
    ) as producer:
        sent = [
            producer.send(
                topic,
                key=code.encode(),
                value=None if item is None else item.model_dump_json().encode(),
                headers=JSON_HEADERS,
            )
            for code, item in records.items()
        ]
        await asyncio.gather(*sent)
    return len(sent)
