"""Publish items on the topic `catalogue.items`, which every intake replica reads.

The topic is the record of the items on offer: compacted, one record for each item code, and a
tombstone for an item that is withdrawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tongban_common.catalogue.models import Item
from tongban_common.control.records import JSON_HEADERS
from tongban_common.topics import CATALOGUE_ITEMS
from tongban_kafka import EventProducer, KafkaAddress, read_newest


@dataclass(slots=True)
class Changes:
    """Records that the topic needs in order to offer the wanted items."""

    new: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    """With their new version: one more than the offered one, unless the file sets a higher one."""
    withdrawn: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def count(self) -> int:
        """Return the number of records to write."""
        return len(self.new) + len(self.changed) + len(self.withdrawn)


def compare(
    offered: Mapping[str, Item], wanted: Iterable[Item], *, withdraw: bool = False
) -> Changes:
    """Compare the offered items with `wanted` by code, ignoring versions.

    An item with changed content gets a higher version here, so that neither a cache nor a request
    in progress takes the old for the new. Editors of the files need not count versions.

    Args:
        withdraw: withdraw offered items that are not in `wanted`.
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
    """Make the topic offer `wanted`: write only the differences, and return them.

    Only one operator may run this at a time: it overwrites what another publishes meanwhile.

    Raises:
        KafkaUnavailableError: not everything was read or acknowledged in time; publish again.
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
    """Write each item unchanged under its code, and return their number once Kafka has acknowledged
    all.

    Does not read the topic first: for a topic that is known to be empty, and for tests. See
    `publish_changes`.

    Raises:
        KafkaUnavailableError: not all were acknowledged in time; publish again.
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
