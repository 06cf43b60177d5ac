"""Commits the contiguous done prefix of each partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from tongban_kafka import faultpoints
from tongban_kafka.commit_metadata import CommitMetadata
from tongban_kafka.flow import Flow

log = structlog.get_logger(__name__)
Note = Callable[[float, str], str]
"""Returns the application's note for a partition, from the moment of its assignment (`uptime`) and
the note that its predecessor left."""

_Offsets = Callable[[], dict[Any, tuple[int, str]]]
"""Returns offset and metadata of each partition that is to be committed now."""


def no_note(_assigned_at: float, _predecessor_note: str) -> str:
    """Return no note."""
    return ""


class Committer:
    """Runs one commit at a time. A failed one loses nothing: the next includes its offsets."""

    def __init__(self, flow: Flow, *, timeout: float, note: Note = no_note) -> None:
        self._flow = flow
        self._note = note
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self.succeeded = 0
        self.failed = 0

    def due(self) -> dict[Any, int]:
        """Return the positions that are not committed yet."""
        positions = {}
        for tp, partition in self._flow.partitions.items():
            position = partition.tracker.position
            if position is not None and position != partition.committed:
                positions[tp] = position
        return positions

    async def commit(self, consumer: Any, *, handing_over: bool = False) -> bool:
        """Commit what is due, within the timeout. Return True if that succeeded. Kafka's errors
        are logged and counted, not raised.

        Args:
            handing_over: commit all partitions, with how far they were begun. Nothing may be begun
                after this call until the partitions are assigned anew.
        """
        return await self._within(consumer, self._handovers if handing_over else self._progress)

    async def commit_note(self, consumer: Any) -> bool:
        """Commit the present note for all open partitions. Return True if that succeeded."""
        return await self._within(consumer, self._notes)

    def _progress(self) -> dict[Any, tuple[int, str]]:
        ahead = {
            tp: position
            for tp, partition in self._flow.partitions.items()
            if partition.tracker.count_ahead != partition.committed_ahead
            and (position := partition.tracker.position) is not None
        }
        return {tp: (at, self._metadata(tp, at)) for tp, at in {**ahead, **self.due()}.items()}

    def _handovers(self) -> dict[Any, tuple[int, str]]:
        found = self._progress()
        for tp, partition in self._flow.partitions.items():
            if (handover := partition.handover()) is not None:
                position, begun_to = handover
                found[tp] = (position, self._metadata(tp, position, begun_to))
        return found

    def _notes(self) -> dict[Any, tuple[int, str]]:
        open_ = {tp for tp, each in self._flow.partitions.items() if each.seen_end is not None}
        positions = {tp: self._flow.partitions[tp].tracker.position for tp in open_}
        return {tp: (at, self._metadata(tp, at)) for tp, at in positions.items() if at is not None}

    def _metadata(self, tp: Any, position: int, begun_to: int | None = None) -> str:
        partition = self._flow.partitions[tp]
        # What a predecessor did and was not fetched yet is done, too.
        before = {offset for offset in partition.done_before if offset > position}
        ahead = partition.tracker.ahead | before
        note = self._note(partition.assigned_at, partition.predecessor_note)
        told = CommitMetadata(begun_to, note, ahead)
        return told.encode(position)

    async def _within(self, consumer: Any, offsets: _Offsets) -> bool:
        try:
            # aiokafka would retry for ever while the coordinator is away; the worker calls again.
            async with asyncio.timeout(self._timeout), self._lock:
                await self._commit(consumer, offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The group has rebalanced without this member; the listener is about to be called.
            self.failed += 1
            log.warning("commit_refused", error=type(error).__name__)
            return False
        except (KafkaError, TimeoutError) as error:
            self.failed += 1
            log.warning("commit_failed", error=type(error).__name__)
            return False
        return True

    async def _commit(self, consumer: Any, offsets_now: _Offsets) -> None:
        partitions = self._flow.partitions
        due, offsets = self.due(), offsets_now()
        if not offsets:
            return
        ahead = {tp: partitions[tp].tracker.count_ahead for tp in offsets}
        faultpoints.reached("worker.before_commit")
        await consumer.commit(offsets)
        faultpoints.reached("worker.after_commit")
        self.succeeded += 1
        now = time.monotonic()
        for tp, count in ahead.items():
            partitions[tp].committed_ahead = count
        for tp, position in due.items():
            partitions[tp].committed = position
            partitions[tp].moved_at = now
