"""Guards after the store was restored from a back-up: each service that keeps some rebuilds its own
from what it has reported on topics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any, Protocol

from aiokafka.admin import AIOKafkaAdminClient

from tongban_common.kafka.snapshot import Snapshot
from tongban_common.kafka_security import KafkaAddress, client_options
from tongban_common.store import Store

ENTRY_POINTS = "tongban.restorers"


class Restoration(Protocol):
    """Gives a restorer access to Kafka and to the restored store."""

    @property
    def snapshot(self) -> Snapshot:
        """Reads topics up to their present ends."""

    @property
    def store(self) -> Store:
        """The restored store."""

    @property
    def now(self) -> datetime:
        """Business time."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        """Append a record, acknowledged by all in-sync replicas."""

    def progress(self, doing: str) -> Any:
        """A context manager over a callable that takes what is done and the total."""


class Restorer(Protocol):
    """Rebuilds the guards of one service. Idempotent; may be interrupted and begun again."""

    group: str
    """Its consumer group, which must have no member meanwhile."""

    async def restore(self, restoration: Restoration) -> dict[str, int]:
        """Return counts, by what was counted."""


def restorers() -> list[Restorer]:
    """All that are installed, by name."""
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda each: each.name)
    return [each.load()() for each in found]


async def members(bootstrap: KafkaAddress, groups: Iterable[str]) -> dict[str, int]:
    """Return how many members each consumer group has now; groups without any are left out.

    Raises:
        aiokafka.errors.KafkaError: the broker does not answer.
    """
    client = AIOKafkaAdminClient(**client_options(bootstrap))
    try:
        await client.start()
        found = {}
        for group in groups:
            # One by one: aiokafka 0.14 cannot decode a description of several groups.
            (response,) = await client.describe_consumer_groups([group])
            (described,) = response.groups
            if described[5]:
                found[group] = len(described[5])
        return found
    finally:
        await client.close()
