"""Rebuild guards after the store was restored from a back-up.

Each service that keeps guards rebuilds its own from the reports that it has published on topics.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Protocol, TypeVar

from tongban_common.events import Body
from tongban_common.events.reading import event_batches
from tongban_common.store import Store
from tongban_kafka import OnProgress, Record, Snapshot

BodyT = TypeVar("BodyT", bound=Body)


class Restoration(Protocol):
    """Gives a restorer access to Kafka and to the restored store."""

    @property
    def snapshot(self) -> Snapshot:
        """Return the reader of topics up to their present end offsets."""

    @property
    def store(self) -> Store:
        """Return the restored store."""

    @property
    def now(self) -> datetime:
        """Return the business time now."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        """Send a record; return once all in-sync replicas have acknowledged it."""

    def progress(self, doing: str) -> Any:
        """Return a context manager that yields a callable for the number done and the total."""


class Restorer(Protocol):
    """Rebuilds the guards of one service. Idempotent, also after an interruption."""

    group: str
    """The service's consumer group, which must have no members meanwhile."""

    async def restore(self, restoration: Restoration) -> dict[str, int]:
        """Rebuild the guards, and return how many were written, by kind."""


async def bodies_of(
    restoration: Restoration, topic: str, kind: type[BodyT], *, on_progress: OnProgress
) -> AsyncGenerator[list[tuple[Record, BodyT]], None]:
    """Yield the topic's events with bodies of this kind, as `event_batches` does."""
    async for batch in event_batches(restoration.snapshot, [topic], on_progress=on_progress):
        yield [
            (record, event.body)
            for record, event in batch
            if event is not None and isinstance(event.body, kind)
        ]
