"""Decide whether the read model has every request that was ever accepted.

Only then does its "no such request" mean that an idempotency key is new. It does not while the read
model is being rebuilt or is behind, nor after it has lost requests whose events retention has
deleted from the topics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tongban_common import topics
from tongban_common.events import MalformedEventError, decode
from tongban_common.store import DuplicateKey, Store, StoreUnavailableError, store_errors
from tongban_common.store.recovery import READMODEL_ORIGIN
from tongban_intake.readmodel.projector import COLLECTION as REQUESTS
from tongban_kafka import KafkaAddress, KafkaUnavailableError, Record, Snapshot, client_options

log = structlog.get_logger(__name__)

COLLECTION = READMODEL_ORIGIN
_ORIGIN = "requests"
_EVERY_S = 60.0
_AT_START_S = 0.5
_MOST_BEHIND_S = 3600.0
"""Seconds that the read model may be behind: the router keeps a finished request for 24 hours, so
that it recognises a key which the read model does not have yet."""

Offsets = Mapping[tuple[str, int], int]


class StatusTopic:
    """Reads the offsets of requests.status and of the read model's consumer group. Each call opens
    and closes its own connection."""

    def __init__(self, bootstrap: KafkaAddress) -> None:
        self._bootstrap = bootstrap

    async def begins(self) -> Offsets:
        """Return the begin offset of each partition.

        Raises:
            KafkaUnavailableError: the broker does not answer.
        """
        async with Snapshot(self._bootstrap) as snapshot:
            return await snapshot.begins(await snapshot.partitions([topics.REQUESTS_STATUS]))

    async def ends(self) -> Offsets:
        """Return the end offset of each partition.

        Raises:
            KafkaUnavailableError: the broker does not answer.
        """
        async with Snapshot(self._bootstrap) as snapshot:
            return await snapshot.ends(await snapshot.partitions([topics.REQUESTS_STATUS]))

    async def committed(self) -> Offsets:
        """Return the committed offsets of the group, without partitions that have none.

        Raises:
            KafkaUnavailableError: the broker does not answer.
        """
        admin = AIOKafkaAdminClient(**client_options(self._bootstrap))
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(topics.READMODEL_GROUP)
        except (KafkaError, OSError) as error:
            raise KafkaUnavailableError(f"{self._bootstrap}: {error!r}") from error
        finally:
            await admin.close()
        return {
            (tp.topic, tp.partition): meta.offset
            for tp, meta in found.items()
            if tp.topic == topics.REQUESTS_STATUS and meta.offset >= 0
        }

    async def projected_last(self, committed: Offsets) -> set[str]:
        """Return the request id of the last record before each committed offset, where that record
        still exists and is an event: the store must have these requests.

        Raises:
            KafkaUnavailableError: the broker does not answer.
        """
        found: set[str] = set()
        async with Snapshot(self._bootstrap) as snapshot:
            for place, offset in committed.items():
                if offset == 0:
                    continue
                async with aclosing(
                    snapshot.read([place], from_offsets={place: offset - 1})
                ) as records:
                    async for record in records:
                        if record.offset < offset and (request_id := _request_of(record)):
                            found.add(request_id)
                        break
        return found


def _request_of(record: Record) -> str | None:
    try:
        return decode(record.value, record.headers).body.request_id
    except MalformedEventError:
        return None  # the worker has written it to its dead-letter topic


class Completeness:
    """Checks once a minute how far the read model is.

    `complete` is False until the read model has reached the end offsets that requests.status had
    when this process started.

    A document in the store says from when on the read model counts as whole. A collection that was
    lost, and is filled again from a topic whose older events are deleted, is not whole for as long
    as keys may be repeated (`topics.KEYS_REPEATED`).

    A restored back-up restores this document too, which is then wrong. So each check also verifies
    that the store has the last projected request of each partition, and that no committed offset
    exceeds the end offset of its partition.
    """

    def __init__(
        self,
        positions: StatusTopic,
        store: Store,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._positions = positions
        self._origins = store.collection(COLLECTION)
        self._requests = store.collection(REQUESTS)
        self._monotonic = monotonic
        self._now = now
        self._goal: Offsets | None = None
        self._goal_at = 0.0
        self._caught_up = False
        self._whole_from: datetime | None = None
        self._decided = asyncio.Event()

    @property
    def complete(self) -> bool:
        """True if a request that is not in the read model was never accepted."""
        whole = self._whole_from is not None and self._whole_from <= self._now()
        behind = self._monotonic() - self._goal_at
        return whole and self._caught_up and behind <= _MOST_BEHIND_S

    async def wait_decided(self) -> None:
        """Return once the store says from when on the read model counts as whole. The projector
        must not start earlier: once its group has committed offsets, a store without that document
        looks like one that has lost its collection."""
        await self._decided.wait()

    async def run(self) -> None:
        """Check at intervals until cancelled."""
        while True:
            try:
                await self.look()
            except (KafkaUnavailableError, StoreUnavailableError) as error:
                log.info("read_model_not_compared", why=type(error).__name__)
            # Hurry at the start only: a read model without its past stays incomplete for months.
            await asyncio.sleep(_EVERY_S if self._caught_up else _AT_START_S)

    async def look(self) -> None:
        """Check once.

        Raises:
            KafkaUnavailableError, StoreUnavailableError: `complete` stays as it is.
        """
        # Read it each time: the store may have been lost, or restored from a back-up, meanwhile.
        self._whole_from = await self._origin()
        self._decided.set()
        goal, goal_at = self._goal, self._goal_at
        if goal is None:
            goal, goal_at = await self._positions.ends(), self._monotonic()
            self._goal, self._goal_at = goal, goal_at
        committed = await self._positions.committed()
        if self._whole_from <= self._now() and await self._has_lost(committed):
            log.critical("read_model_lost_what_it_had_projected")
            with store_errors():
                await self._origins.delete_many({})
            self._whole_from = await self._origin()
        if all(committed.get(place, 0) >= end for place, end in goal.items()):
            self._caught_up = True
            self._goal, self._goal_at = await self._positions.ends(), self._monotonic()

    async def _has_lost(self, committed: Offsets) -> bool:
        """Return True if the store lacks requests that the group has committed as projected, or a
        partition ends below its committed offset."""
        ends = await self._positions.ends()
        if any(offset > ends.get(place, 0) for place, offset in committed.items()):
            return True
        newest = await self._positions.projected_last(committed)
        known = {"_id": {"$in": sorted(newest)}, "body_digest": {"$exists": True}}
        with store_errors():
            return bool(newest) and await self._requests.count_documents(known) < len(newest)

    async def _origin(self) -> datetime:
        """Return from when on the read model counts as whole. The first replica that finds no such
        document in the store decides and writes it."""
        with store_errors():
            found = await self._origins.find_one({"_id": _ORIGIN})
        if found is None:
            whole_from = self._now()
            if not await self._from_the_first():
                whole_from += topics.KEYS_REPEATED
                log.warning("read_model_began_without_its_past", until=whole_from.isoformat())
            try:
                with store_errors():
                    await self._origins.insert_one({"_id": _ORIGIN, "whole_from": whole_from})
            except DuplicateKey:  # another replica was first
                return await self._origin()
            return whole_from
        whole_from = found["whole_from"]
        if not isinstance(whole_from, datetime):
            raise TypeError(f"whole_from is a {type(whole_from).__name__}")
        return whole_from if whole_from.tzinfo else whole_from.replace(tzinfo=UTC)

    async def _from_the_first(self) -> bool:
        """Return True if the group starts at the beginning of a topic that has lost no event."""
        begins, committed = await self._positions.begins(), await self._positions.committed()
        return not any(begins.values()) and not any(committed.values())
