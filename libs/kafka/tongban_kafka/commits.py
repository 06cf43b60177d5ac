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
from tongban_kafka.partition import Partition

log = structlog.get_logger(__name__)
Note = Callable[[float, str, bool], str]
"""Returns the application's note for a partition, from the moment of its assignment (`uptime`), the
note that its predecessor left, and True if the partition is handed over: nothing of it is handled
any more, and handlers that were cancelled have ended.

A note is committed with the next progress, and by itself when it has changed."""

_Offsets = Callable[[], dict[Any, tuple[int, int | None]]]
"""Returns the offset of each partition that is to be committed now, and to where it was begun if it
is handed over."""


def no_note(_assigned_at: float, _predecessor_note: str, _handing_over: bool) -> str:
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

    def _progress(self) -> dict[Any, tuple[int, int | None]]:
        changed = {
            tp: position
            for tp, partition in self._flow.partitions.items()
            if (position := partition.tracker.position) is not None and self._news_of(partition)
        }
        return {tp: (at, None) for tp, at in {**changed, **self.due()}.items()}

    def _news_of(self, partition: Partition) -> bool:
        """Return True if the last commit told another note, or other records behind the prefix."""
        if partition.tracker.count_ahead != partition.committed_ahead:
            return True
        is_open = partition.seen_end is not None
        return is_open and self._note_of(partition, None) != partition.committed_note

    def _handovers(self) -> dict[Any, tuple[int, int | None]]:
        found = self._progress()
        for tp, partition in self._flow.partitions.items():
            if (handover := partition.handover()) is not None:
                found[tp] = handover
        return found

    def _notes(self) -> dict[Any, tuple[int, int | None]]:
        open_ = {tp for tp, each in self._flow.partitions.items() if each.seen_end is not None}
        positions = {tp: self._flow.partitions[tp].tracker.position for tp in open_}
        return {tp: (at, None) for tp, at in positions.items() if at is not None}

    def _note_of(self, partition: Partition, begun_to: int | None) -> str:
        handing_over = begun_to is not None
        return self._note(partition.assigned_at, partition.predecessor_note, handing_over)

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
        due, chosen = self.due(), offsets_now()
        if not chosen:
            return
        ahead = {tp: partitions[tp].tracker.count_ahead for tp in chosen}
        notes = {tp: self._note_of(partitions[tp], begun) for tp, (_, begun) in chosen.items()}
        offsets = {
            tp: (position, _metadata(partitions[tp], position, begun_to, notes[tp]))
            for tp, (position, begun_to) in chosen.items()
        }
        faultpoints.reached("worker.before_commit")
        await consumer.commit(offsets)
        faultpoints.reached("worker.after_commit")
        self.succeeded += 1
        now = time.monotonic()
        for tp, count in ahead.items():
            partitions[tp].committed_ahead = count
            partitions[tp].committed_note = notes[tp]
        for tp, position in due.items():
            partitions[tp].committed = position
            partitions[tp].moved_at = now


def _metadata(partition: Partition, position: int, begun_to: int | None, note: str) -> str:
    # What a predecessor did and was not fetched yet is done, too.
    before = {offset for offset in partition.done_before if offset > position}
    ahead = partition.tracker.ahead | before
    return CommitMetadata(begun_to, note, ahead).encode(position)
