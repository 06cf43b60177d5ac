"""Tell whether the read model knows every request that was ever accepted.

"No such request" from a read model that is being rebuilt, is behind, or lost what retention has
deleted from the topics since, does not mean that the key is new.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tongban_common import topics
from tongban_common.events import MalformedEventError, decode
from tongban_common.store import DuplicateKey, Store, StoreUnavailableError, store_errors
from tongban_common.store.recovery import READMODEL_ORIGIN
from tongban_intake.readmodel.projector import COLLECTION as REQUESTS
from tongban_kafka import KafkaUnavailableError, Record
from tongban_kafka.security import KafkaAddress, client_options
from tongban_kafka.snapshot import Snapshot

log = structlog.get_logger(__name__)

COLLECTION = READMODEL_ORIGIN
_ORIGIN = "requests"
_EVERY_S = 60.0
_AT_START_S = 0.5
_MOST_BEHIND_S = 3600.0
"""Seconds of events that the read model may be behind: the router remembers a finished request for
24 hours, so a key that ended within them is recognised there."""

Offsets = Mapping[tuple[str, int], int]


class Positions(Protocol):
    """Reads the offsets of requests.status and of the read model's consumer group."""

    async def begins(self) -> Offsets:
        """Offsets of the oldest record that is kept."""

    async def ends(self) -> Offsets:
        """Offsets of the next record."""

    async def committed(self) -> Offsets:
        """Offsets that the group has committed; partitions without a commit are left out."""

    async def projected_last(self, committed: Offsets) -> set[str]:
        """Request ids of the newest record in front of each committed offset, where the record is
        kept and is an event: the store must know these requests."""


class StatusTopic:
    """`Positions` of requests.status, over connections that live for one question."""

    def __init__(self, bootstrap: KafkaAddress) -> None:
        self._bootstrap = bootstrap

    async def begins(self) -> Offsets:
        """Return offsets as `Positions.begins` does.

        Raises:
            KafkaUnavailableError: the broker does not answer.
        """
        async with Snapshot(self._bootstrap) as snapshot:
            return await snapshot.begins(await snapshot.partitions([topics.REQUESTS_STATUS]))

    async def ends(self) -> Offsets:
        """Return offsets as `Positions.ends` does.

        Raises:
            KafkaUnavailableError: the broker does not answer.
        """
        async with Snapshot(self._bootstrap) as snapshot:
            return await snapshot.ends(await snapshot.partitions([topics.REQUESTS_STATUS]))

    async def committed(self) -> Offsets:
        """Return offsets as `Positions.committed` does.

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
        """Return ids as `Positions.projected_last` does.

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
        return None  # put aside by the worker; it says nothing of any request


class Completeness:
    """Follow, once a minute, how far the read model is. `complete` is False until it has reached
    the end that requests.status had when this process started.

    A document in the store says whether the read model began together with its topic: a collection
    that was lost and is filled again from a topic whose older events are deleted is not complete
    for as long as keys are repeated (`topics.KEYS_REPEATED`).

    That document comes back with a back-up that is played in, and then says too much. So each look
    also compares: the request that was projected last of each partition must be in the store, and
    no offset may be committed beyond the end of its log.
    """

    def __init__(
        self,
        positions: Positions,
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
        """Return whether "not in the read model" means "never accepted"."""
        whole = self._whole_from is not None and self._whole_from <= self._now()
        behind = self._monotonic() - self._goal_at
        return whole and self._caught_up and behind <= _MOST_BEHIND_S

    async def wait_decided(self) -> None:
        """Return once the store has its document. Nothing may be projected before: a group that has
        committed looks like one whose collection was lost."""
        await self._decided.wait()

    async def run(self) -> None:
        """Look again and again; returns when cancelled."""
        while True:
            try:
                await self.look()
            except (KafkaUnavailableError, StoreUnavailableError) as error:
                log.info("read_model_not_compared", why=type(error).__name__)
            # What began without its past stays incomplete for months: that is no reason to hurry.
            await asyncio.sleep(_EVERY_S if self._caught_up else _AT_START_S)

    async def look(self) -> None:
        """Compare once.

        Raises:
            KafkaUnavailableError, StoreUnavailable: not known now; `complete` stays as it is.
        """
        # Each time: the store may have been lost, or played back from a back-up, meanwhile.
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
        """Return whether the store lacks what the group has committed as projected, or the log
        lacks what the group has read."""
        ends = await self._positions.ends()
        if any(offset > ends.get(place, 0) for place, offset in committed.items()):
            return True
        newest = await self._positions.projected_last(committed)
        known = {"_id": {"$in": sorted(newest)}, "body_digest": {"$exists": True}}
        with store_errors():
            return bool(newest) and await self._requests.count_documents(known) < len(newest)

    async def _origin(self) -> datetime:
        """Return from when on the read model counts as whole, decided once in the life of a store:
        by the first replica that finds nothing there."""
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
        """Return whether the group will read, or has just begun to read, every event that was ever
        on the topic."""
        begins, committed = await self._positions.begins(), await self._positions.committed()
        return not any(begins.values()) and not any(committed.values())
