"""Holds the state of one assigned partition: fetched records, done offsets, busy keys."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tongban_kafka.offsets import OffsetTracker
from tongban_kafka.record import Record

SECONDS_BOUNDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Upper bounds of the handler histogram's buckets."""
RECORD_OVERHEAD = 500
"""Bytes that the memory bound counts for a record besides its value: key, headers, objects."""


class TopicStats:
    """Counts the records of one topic in plain integers, which `metrics.py` reads at a scrape."""

    __slots__ = (
        "buckets",
        "dead_lettered",
        "errors",
        "handled",
        "process_troubles",
        "retried",
        "seconds",
        "skipped",
        "topic",
        "went_back",
    )

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.handled = 0
        self.retried = 0
        self.errors = 0
        self.dead_lettered = 0
        self.process_troubles = 0
        self.skipped = 0
        self.went_back = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(SECONDS_BOUNDS) + 1)

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


class Partition:
    """Holds the state of one partition from its assignment until it is given up."""

    __slots__ = (
        "assigned_at",
        "blocked_until",
        "busy",
        "committed",
        "first_failures",
        "held",
        "moved_at",
        "parked",
        "paused",
        "revoked",
        "seen_end",
        "stats",
        "timers",
        "tp",
        "tracker",
    )

    def __init__(self, tp: Any, stats: TopicStats, assigned_at: float) -> None:
        self.tp = tp
        self.stats = stats
        self.assigned_at = assigned_at
        self.tracker = OffsetTracker()
        self.seen_end: int | None = None
        """End offset at assignment; None until it is known, and nothing is fetched before."""
        self.busy: dict[bytes | None, deque[Record] | None] = {}
        """The records that wait behind the one under way, by key. Records without a key share the
        key None, so they are in order within their partition."""
        self.held = 0
        self.committed: int | None = None
        self.moved_at = time.monotonic()
        """`time.monotonic()` of the last commit of a longer prefix, or of the first fetch after
        the partition held no records."""
        self.first_failures: dict[int, float] = {}
        """Unix time of the first failure of each record that is being retried, by offset."""
        self.timers: dict[int, Wait] = {}
        """Waits before a retry, by offset."""
        self.parked: dict[bytes | None, Parked] = {}
        """The waits for a future, by key."""
        self.paused = False
        self.blocked_until = 0.0
        """`time.monotonic()` before which an unreadable batch is not read again. Infinite while its
        dead letter is being written; 0 for a partition that can be read."""
        self.revoked = False

    def open(self, position: int, end: int) -> None:
        """Allow fetching from this position on. A predecessor may have seen records below `end`."""
        if self.tracker.position is None:
            self.tracker.begin(position)
            self.committed = position
        self.seen_end = end

    def begin_again(self, position: int) -> None:
        """Start anew at a lower offset, because the log was replaced or truncated. The next commit
        includes this position although nothing was done, to replace the higher one."""
        self.tracker.begin(position)
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
