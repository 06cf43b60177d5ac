"""Rebuild the read model from the topics, while all services run.

The projection is idempotent and independent of order, so that the worker of group
`intake-readmodel` may write at the same time. requests.status has lost the beginning of requests
that are open for longer than its retention: a command asks the router, whose table has every open
request, to publish their histories again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tongban_common import topics
from tongban_common.domain.ids import REQUEST_ID, derived_id
from tongban_common.events import Event, encode
from tongban_common.events.models import RepublishRequested
from tongban_common.events.reading import event_batches
from tongban_common.store import Store, store_errors
from tongban_intake.readmodel.projection import changes
from tongban_intake.readmodel.projector import COLLECTION, SOURCES, Projector
from tongban_kafka import OnProgress, Snapshot

_BATCH = 500
SOURCE = "tongban/operators"
_READ_BACK = tuple(topic for topic in SOURCES if topic != topics.replay(topics.READMODEL_GROUP))


@dataclass(slots=True)
class Projected:
    """Counts the events of one rebuild."""

    events: int = 0
    unreadable: int = 0
    """Records that are not events. The worker wrote them to its dead-letter topic when they were
    new."""


async def project(
    snapshot: Snapshot,
    projector: Projector,
    *,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Projected:
    """Apply all events that the topics hold now. Idempotent: the command may be interrupted and
    repeated.

    Raises:
        KafkaUnavailableError, StoreUnavailableError: what was applied stays.
    """
    done = Projected()
    async for batch in event_batches(snapshot, _READ_BACK, on_progress=on_progress):
        events = [event for _, event in batch if event is not None]
        await projector.write(changes(events))
        done.events += len(events)
        done.unreadable += len(batch) - len(events)
    return done


async def in_router(snapshot: Snapshot) -> list[str]:
    """Return the ids of all requests in the router's table: every open one, and those that ended
    within the last day.

    Raises:
        KafkaUnavailableError: the broker does not answer.
    """
    found: dict[str, None] = {}
    async for record in snapshot.read(await snapshot.partitions([topics.ROUTER_CHANGELOG])):
        request_id = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            found.pop(request_id, None)
        elif REQUEST_ID.fullmatch(request_id):
            found[request_id] = None
    return list(found)


async def incomplete(store: Store, request_ids: Sequence[str]) -> AsyncIterator[str]:
    """Yield the ids whose history in the store is missing or has a gap.

    Raises:
        StoreUnavailableError: the store does not answer.
    """
    collection = store.collection(COLLECTION)
    for begin in range(0, len(request_ids), _BATCH):
        wanted = request_ids[begin : begin + _BATCH]
        complete = set()
        with store_errors():
            async for document in collection.find({"_id": {"$in": wanted}}, {"timeline": 1}):
                numbers = sorted(int(number) for number in document.get("timeline", {}))
                if numbers and numbers == list(range(1, len(numbers) + 1)):
                    complete.add(document["_id"])
        for request_id in wanted:
            if request_id not in complete:
                yield request_id


def republish_requests(
    request_ids: Iterable[str], *, run_id: str, by: str, at: datetime
) -> Iterable[tuple[str, bytes, bytes, list[tuple[str, bytes]]]]:
    """Yield records for requests.commands that make the router publish these histories again.

    Args:
        run_id: id of this rebuild; events of the same run and request have the same id.
        by: the operator who runs it.
        at: business time.
    """
    for request_id in request_ids:
        command_id = derived_id("republish", request_id, run_id)
        body = RepublishRequested(request_id=request_id, command_id=command_id, at=at, by=by)
        event = Event(id=command_id, source=SOURCE, body=body, time=at)
        value, headers = encode(event)
        yield topics.REQUESTS_COMMANDS, event.key, value, headers
