"""Write the read model: a batch worker over all topics with events about requests."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tongban_common import topics
from tongban_common.events import MalformedEventError, decode
from tongban_common.store import (
    Store,
    store_errors,
)
from tongban_common.store.updates import update_unordered
from tongban_common.tracing import BatchSpans
from tongban_intake.readmodel.projection import RecordChange, changes
from tongban_intake.readmodel.store_share import StoreShare
from tongban_kafka import (
    BatchConfig,
    BatchWorker,
    EventProducer,
    KafkaAddress,
    Poison,
    Record,
    Retry,
    WorkerConfig,
)

log = structlog.get_logger(__name__)

COLLECTION = "requests"
SOURCES = (
    topics.REQUESTS_STATUS,
    topics.DOCUMENTS_PRINTED,
    topics.NOTIFICATIONS_SENT,
    # Intake's own events, so that every replica knows which commands were published.
    topics.REQUESTS_COMMANDS,
    topics.PRINT_ORDERS,
    topics.FEEDBACK_RATED,
    topics.replay(topics.READMODEL_GROUP),
)
_INDEXES = [
    {"key": {"codes": 1}, "name": "codes", "sparse": True},
    {"key": {"applying": 1}, "name": "applying", "sparse": True},
    # Neither of the two changes, so that later events of a request leave the index as it is.
    {"key": {"origin.branch_id": 1, "submitted_at": -1}, "name": "branch"},
]


class Projector:
    """Applies batches of events to the collection `requests`; idempotent, like `projection`.

    Args:
        share: spaces the writes; None does not.
    """

    def __init__(self, store: Store, share: StoreShare | None = None) -> None:
        self._requests = store.collection(COLLECTION)
        self._share = StoreShare(1.0) if share is None else share
        self._prepared = False

    async def __call__(self, records: Sequence[Record]) -> None:
        """Project a batch.

        Raises:
            Poison: one of the records is not an event.
            StoreUnavailableError: nothing or only a part was written; the batch has to be repeated.
        """
        try:
            events = [decode(record.value, record.headers) for record in records]
        except MalformedEventError as error:
            raise Poison(str(error)) from None
        await self.write(changes(events))

    async def write(self, wanted: dict[str, RecordChange]) -> None:
        """Upsert all changes with one command, acknowledged by a majority and journalled.

        Raises:
            Retry: another replica inserted one of the documents at the same moment.
            StoreUnavailableError: nothing or only a part was written.
        """
        if not wanted:
            return
        updates = [
            {"q": {"_id": request_id}, "u": change.update(), "upsert": True}
            for request_id, change in wanted.items()
        ]
        with store_errors():
            await self._prepare()
        async with self._share.write():
            updated = await update_unordered(self._requests, updates)
        if updated.collided:
            # Another replica inserted the same document; repeated, the upsert updates it.
            raise Retry("two replicas inserted one document", after=0.0)

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._requests.database.command("createIndexes", COLLECTION, indexes=_INDEXES)
            self._prepared = True


def readmodel_worker(
    *,
    bootstrap: KafkaAddress,
    instance: str,
    store: Store,
    producer: EventProducer,
    drain_seconds: float,
    session_seconds: float,
    heartbeat_seconds: float,
    store_share: float,
) -> BatchWorker:
    """Return the worker of group `intake-readmodel`; it waits for a store that is down."""
    return BatchWorker(
        WorkerConfig(
            bootstrap=bootstrap,
            group=topics.READMODEL_GROUP,
            instance=instance,
            concurrency=2,
            # Event streams do not wait for the read model (`live`), so events may be collected
            # here: several of one request become one write of its document.
            fetch_wait=0.25,
            fetch_min_bytes=256 * 1024,
            max_in_flight=4000,
            drain_timeout=drain_seconds,
            session_timeout=session_seconds,
            heartbeat_interval=heartbeat_seconds,
        ),
        SOURCES,
        Projector(store, StoreShare(store_share)),
        producer=producer,
        batch=BatchConfig(size=500, linger=0.02),
        scope=BatchSpans(topics.READMODEL_GROUP),
    )
