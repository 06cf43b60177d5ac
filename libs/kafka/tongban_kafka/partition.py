"""One assigned partition: what is fetched of it, what is done, which keys are busy."""

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
"""Bytes that the bound counts for a record besides its value: key, headers, Python's objects."""


class TopicStats:
    """Plain counters of one topic. Prometheus reads them when it scrapes (see metrics.py)."""

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
        """Count one call of a handler."""
        self.seconds += seconds
        self.buckets[bisect_left(SECONDS_BOUNDS, seconds)] += 1


class Wait(Protocol):
    """What a record waits for before its next attempt."""

    def cancel(self) -> None:
        """The attempt is not wanted any more."""


class Parked:
    """A record that waits for a future of its own, not for a time."""

    def __init__(self, when: asyncio.Future[None], again: Callable[[], None]) -> None:
        self._when = when
        self._again: Callable[[], None] | None = again
        when.add_done_callback(self._due)

    def _due(self, _: asyncio.Future[None]) -> None:
        if self._again is not None:
            self._again()

    def wake(self) -> None:
        """Have the attempt made soon."""
        if not self._when.done():
            self._when.set_result(None)

    def cancel(self) -> None:
        """The attempt is not wanted any more; the future is cancelled for whoever holds it."""
        self._again = None
        self._when.cancel()


class Partition:
    """State of one partition from its assignment until it is given up; never used again after."""

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
        """End offset at assignment; records are fetched only when it is known."""
        self.busy: dict[bytes | None, deque[Record] | None] = {}
        """Keys with a record under way, and the records that wait behind it. None is a key: records
        without one are in order within their partition."""
        self.held = 0
        self.committed: int | None = None
        self.moved_at = time.monotonic()
        """`time.monotonic()` when a longer prefix was last committed, or when records came to a
        partition that had none."""
        self.first_failures: dict[int, float] = {}
        """Unix time of the first failure, by offset, of records that are being retried."""
        self.timers: dict[int, Wait] = {}
        """Waits before a retry, by offset."""
        self.parked: dict[bytes | None, Parked] = {}
        """Those of the waits that are for a future, by key."""
        self.paused = False
        self.blocked_until = 0.0
        """`time.monotonic()` before which the next batch is not read again, because it could not be
        read; infinite while its dead letter is being written, 0 when the partition can be read."""
        self.revoked = False

    def open(self, position: int, end: int) -> None:
        """Records may be fetched from this position on; below `end` they may have been seen."""
        if self.tracker.position is None:
            self.tracker.begin(position)
            self.committed = position
        self.seen_end = end

    def begin_again(self, position: int) -> None:
        """Have the log's offsets begin here, below what was read or committed of another log. The
        position is committed soon, although nothing of it is done, to replace the higher one."""
        self.tracker.begin(position)
        self.committed = None

    def records(self, raws: Sequence[Any]) -> list[Record]:
        """What the handler sees of aiokafka's records."""
        end = self.seen_end
        seen = self.assigned_at
        # Not Record(...): its generated __new__ takes three times as long.
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
        """Forget retries that wait; their records stay open."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.parked.clear()
