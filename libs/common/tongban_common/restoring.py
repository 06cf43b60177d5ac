"""Guards after the store was restored from a back-up: each service that keeps some rebuilds its own
from what it has reported on topics."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from tongban_common.store import Store
from tongban_kafka.snapshot import Snapshot


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
