"""Holds the state of one assigned partition: fetched records, done offsets, busy keys."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tongban_kafka.commit_metadata import CommitMetadata
from tongban_kafka.offsets import OffsetTracker
from tongban_kafka.record import Record

SECONDS_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper bounds of the handler histogram's buckets."""
RECORD_OVERHEAD = 500
"""Bytes that the memory bound counts for a record besides its value: key, headers, objects."""


@dataclass(slots=True, eq=False)
class TopicStats:
    """Counts the records of one topic in plain integers, which `metrics.py` reads at a scrape."""

    topic: str
    handled: int = 0
    retried: int = 0
    errors: int = 0
    dead_lettered: int = 0
    process_troubles: int = 0
    skipped: int = 0
    went_back: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS_BOUNDS) + 1))

    def observe(self, seconds: float) -> None:
        """Count one call of a handler that took so many seconds."""
        self.seconds += seconds
        self.buckets[bisect_left(SECONDS_BOUNDS, seconds)] += 1


class Wait(Protocol):
    """Holds a record back until its next attempt; a timer handle or a `Parked`."""

    def cancel(self) -> None:
        """Cancel the attempt."""


class Parked:
    """Holds a record back until a future resolves (`Retry.when`)."""

    def __init__(self, when: asyncio.Future[None], again: Callable[[], None]) -> None:
        self._when = when
        self._again: Callable[[], None] | None = again
        when.add_done_callback(self._due)

    def _due(self, _: asyncio.Future[None]) -> None:
        if self._again is not None:
            self._again()

    def wake(self) -> None:
        """Make the attempt now, by resolving the future."""
        if not self._when.done():
            self._when.set_result(None)

    def cancel(self) -> None:
        """Cancel the attempt and the future, so that the handler's side sees the cancellation."""
        self._again = None
        self._when.cancel()


@dataclass(slots=True, eq=False)
class Partition:
    """Holds the state of one partition from its assignment until it is given up."""

    tp: Any
    stats: TopicStats
    assigned_at: float
    tracker: OffsetTracker = field(default_factory=OffsetTracker)
    seen_end: int | None = None
    """A predecessor may have seen records below it: the end offset at assignment, or what the
    predecessor handed over. None until it is known, and nothing is fetched before."""
    predecessor_note: str = ""
    """Holds what the predecessor noted with its last commit (`Runtime.predecessor_note`)."""
    begun_to: int = 0
    """No handler of this assignment was called with a record of this offset or a higher one."""
    busy: dict[bytes | None, deque[Record] | None] = field(default_factory=dict)
    """The records that wait behind the one under way, by key. Records without a key share the key
    None, so they are in order within their partition."""
    held: int = 0
    committed: int | None = None
    committed_note: str = ""
    """The note of the last commit; none after the predecessor's was removed."""
    committed_ahead: int = 0
    """Number of records behind the committed prefix that the last commit told to be done."""
    done_before: set[int] = field(default_factory=set)
    """Offsets that a predecessor is known to have done. They are not handled again."""
    moved_at: float = field(default_factory=time.monotonic)
    """`time.monotonic()` of the last commit of a longer prefix, or of the first fetch after the
    partition held no records."""
    first_failures: dict[int, float] = field(default_factory=dict)
    """Unix time of the first failure of each record that is being retried, by offset."""
    timers: dict[int, Wait] = field(default_factory=dict)
    """Waits before a retry, by offset."""
    parked: dict[bytes | None, Parked] = field(default_factory=dict)
    """The waits for a future, by key."""
    paused: bool = False
    blocked_until: float = 0.0
    """`time.monotonic()` before which an unreadable batch is not read again. Infinite while its
    dead letter is being written; 0 for a partition that can be read."""
    revoked: bool = False

    def open(self, position: int, end: int, told: CommitMetadata) -> None:
        """Allow fetching from this position on. The log ends at `end`, and the predecessor has left
        what it `told`: it may have seen records below the end, unless it told how far it came."""
        self.predecessor_note = told.note
        self.done_before = set(told.done)
        self.committed_ahead = len(told.done)
        seen_end = end if told.begun_to is None else min(told.begun_to, end)
        if self.tracker.position is None:
            self.tracker.begin(position)
            self.committed = position
        self.seen_end = seen_end

    def begin(self, record: Record) -> None:
        """Note that the handler is about to be called with this record."""
        if record.offset >= self.begun_to:
            self.begun_to = record.offset + 1

    def handover(self) -> tuple[int, int] | None:
        """Return the offset to commit and the offset from which on no record was begun, here or by
        a predecessor; None for a partition that was not opened."""
        position = self.tracker.position
        if position is None or self.seen_end is None:
            return None
        return position, max(position, self.begun_to, self.seen_end)

    def begin_again(self, position: int) -> None:
        """Start anew at a lower offset, because the log was replaced or truncated. The next commit
        includes this position although nothing was done, to replace the higher one."""
        self.tracker.begin(position)
        self.done_before.clear()
        self.committed = None

    def records(self, raws: Sequence[Any]) -> list[Record]:
        """Convert aiokafka's records to those that the handler gets."""
        end = self.seen_end
        seen = self.assigned_at
        # Not `Record(...)`, whose generated `__new__` takes three times as long.
        new = tuple.__new__
        return [
            new(
                Record,
                (
                    raw.topic,
                    raw.partition,
                    raw.offset,
                    raw.timestamp,
                    raw.key,
                    raw.value,
                    raw.headers,
                    end is None or raw.offset < end,
                    seen,
                    1,
                ),
            )
            for raw in raws
        ]

    def cancel_timers(self) -> None:
        """Cancel waiting retries. Their records stay unfinished."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.parked.clear()
