"""Read all events of topics in batches, for commands that rebuild what a store has lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from tongban_common.events import Body, Event, MalformedEventError, decode
from tongban_kafka import OnProgress, Record, Snapshot

Read = tuple[Record, Event[Body] | None]
"""A record with its event, or with None where the record is no event."""
_BATCH = 500


async def event_batches(
    snapshot: Snapshot,
    topics: Iterable[str],
    *,
    on_progress: OnProgress = lambda _done, _total: None,
) -> AsyncGenerator[list[Read], None]:
    """Yield all records that the topics hold now, in batches, each partition in its order.

    Raises:
        KafkaUnavailableError: the broker does not answer.
    """
    batch: list[Read] = []
    places = await snapshot.partitions(topics)
    async for record in snapshot.read(places, on_progress=on_progress):
        batch.append((record, _event_of(record)))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _event_of(record: Record) -> Event[Body] | None:
    try:
        return decode(record.value, record.headers)
    except MalformedEventError:
        return None
