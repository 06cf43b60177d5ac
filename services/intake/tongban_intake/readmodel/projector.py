"""Writes the read model: a batch worker over everything that says how a request stands."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tongban_common import topics
from tongban_common.events import MalformedEvent, decode
from tongban_common.kafka import (
    BatchConfig,
    BatchWorker,
    EventProducer,
    Poison,
    Record,
    Retry,
    WorkerConfig,
)
from tongban_common.store import (
    BAD_VALUE_CODES,
    DUPLICATE_KEY_CODES,
    Store,
    StoreUnavailable,
    store_errors,
)
from tongban_intake.readmodel.projection import Change, changes

log = structlog.get_logger(__name__)

COLLECTION = "requests"
SOURCES = (
    topics.REQUESTS_STATUS,
    topics.DOCUMENTS_PRINTED,
    topics.NOTIFICATIONS_SENT,
    # Intake's own events are read back, so that every replica knows which commands were given.
    topics.REQUESTS_COMMANDS,
    topics.PRINT_ORDERS,
    topics.FEEDBACK_RATED,
    topics.replay(topics.READMODEL_GROUP),
)
_INDEXES = [
    {"key": {"codes": 1}, "name": "codes", "sparse": True},
    {"key": {"applying": 1}, "name": "applying", "sparse": True},
]


class Projector:
    """Applies batches of events to the collection `requests`. Idempotent as `projection` is."""

    def __init__(self, store: Store) -> None:
        self._database = store.collection(COLLECTION).database
        self._prepared = False

    async def __call__(self, records: Sequence[Record]) -> None:
        """Project a batch.

        Raises:
            Poison: one of the records is no event.
            StoreUnavailable: nothing, or not all, was written; the batch has to come again.
        """
        try:
            events = [decode(record.value, record.headers) for record in records]
        except MalformedEvent as error:
            raise Poison(str(error)) from None
        await self.write(changes(events))

    async def write(self, wanted: dict[str, Change]) -> None:
        """Upsert all changes with one command, acknowledged by a majority and journalled."""
        if not wanted:
            return
        updates = [
            {"q": {"_id": request_id}, "u": change.update(), "upsert": True}
            for request_id, change in wanted.items()
        ]
        with store_errors():
            await self._prepare()
            answer = await self._database.command(
                "update",
                COLLECTION,
                updates=updates,
                ordered=False,
                writeConcern={"w": "majority", "j": True},
            )
        _raise_for(answer)

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._database.command("createIndexes", COLLECTION, indexes=_INDEXES)
            self._prepared = True


def _raise_for(answer: dict[str, object]) -> None:
    """Raise for single writes that failed; the command reports them in its answer.

    Raises:
        StoreUnavailable: the store is full, refuses writes or lacks a majority; it is waited for.
        Retry: another replica inserted the same document; an upsert that comes again updates.
        ValueError: the store cannot keep one of the values; the worker finds its record.
    """
    errors = answer.get("writeErrors") or ()
    if not isinstance(errors, Sequence):
        raise TypeError(f"writeErrors is a {type(errors).__name__}")
    codes = {error["code"] for error in errors}
    if trouble := codes - BAD_VALUE_CODES - DUPLICATE_KEY_CODES:
        raise StoreUnavailable(f"store: refused writes with codes {sorted(trouble)}")
    if answer.get("writeConcernError"):
        raise StoreUnavailable("the write is not known to be on a majority")
    if bad := codes & BAD_VALUE_CODES:
        raise ValueError(f"the store cannot keep a value, codes {sorted(bad)}")
    if codes:
        raise Retry("upserts met", after=0.0)


def readmodel_worker(
    *, bootstrap: str, instance: str, store: Store, producer: EventProducer, drain_seconds: float
) -> BatchWorker:
    """The worker of group `intake-readmodel`. A store that is down is waited for."""
    return BatchWorker(
        WorkerConfig(
            bootstrap=bootstrap,
            group=topics.READMODEL_GROUP,
            instance=instance,
            concurrency=2,
            # Whoever watches a request is told by `live`; here what happens to one request within
            # a moment becomes one write of its document.
            fetch_wait=0.1,
            fetch_min_bytes=256 * 1024,
            max_in_flight=4000,
            drain_timeout=drain_seconds,
            transient_errors=(StoreUnavailable,),
        ),
        SOURCES,
        Projector(store),
        producer=producer,
        batch=BatchConfig(size=500, linger=0.02),
    )
