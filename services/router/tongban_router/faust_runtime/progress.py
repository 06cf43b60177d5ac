"""Decide liveness and readiness from the progress on each partition.

Faust consumers are known to die slowly (faust-streaming #175): the process runs and its web server
answers, but no event is handled. So the router is live if it makes progress wherever it has lag,
and ready if it could query end offsets lately.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

import structlog
from faust.types import TP
from prometheus_client import Gauge

from tongban_router.errors import RouterError
from tongban_router.faust_runtime.consumer import SOURCES
from tongban_router.faust_runtime.faults import die
from tongban_router.faust_runtime.offsets import Partition, RedeliveryWindow

log = structlog.get_logger()
LAG = Gauge(
    "tongban_router_lag_records",
    "Records of a partition that are not handled, as of the last query of its end offset",
    ["topic", "partition"],
)
STALLED = Gauge(
    "tongban_router_stalled_seconds",
    "Seconds since the slowest partition with lag got on; 0 if there is no lag",
)
QUERY_AGE = Gauge(
    "tongban_router_lag_age_seconds", "Seconds since the broker last returned end offsets"
)


class RouterProgress:
    """Compares handled offsets with end offsets.

    Args:
        stall_s: wall seconds of lag without progress after which the router is not live.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._handled: dict[Partition, int] = {}
        self._moved_at: dict[Partition, float] = {}
        self._behind: set[Partition] = set()
        self._looked_at = self._tried_at = time.monotonic()
        self.assigned: frozenset[Partition] = frozenset()
        STALLED.set_function(self._stalled_s)
        QUERY_AGE.set_function(lambda: time.monotonic() - self._looked_at)

    def _stalled_s(self) -> float:
        now = time.monotonic()
        return max((now - self._moved_at.get(p, now) for p in self._behind), default=0.0)

    def assign(self, partitions: frozenset[Partition]) -> None:
        """Begin an assignment of exactly these partitions; lag of new ones counts from now."""
        now = time.monotonic()
        for partition in partitions - self.assigned:
            self._moved_at[partition] = now
            self._handled.pop(partition, None)
        self._behind &= partitions
        for topic, number in self.assigned - partitions:
            with suppress(KeyError):  # no look has measured it yet
                LAG.remove(topic, str(number))
        self.assigned = partitions

    def handled(self, partition: Partition, offset: int) -> None:
        """Note that this record has been handled."""
        self._handled[partition] = offset
        self._moved_at[partition] = time.monotonic()

    def trying(self) -> None:
        """Note that the caller is about to query the broker, whether it answers or not."""
        self._tried_at = time.monotonic()

    def look(self, ends: Mapping[Partition, int], committed: Mapping[Partition, int]) -> None:
        """Compare the handled offsets with end offsets (of the next record) and committed ones."""
        now = self._looked_at = time.monotonic()
        self._behind.clear()
        for partition in self.assigned:
            # Committed offsets count as well: if the group took this process for dead, another
            # router has handled records that will not come here any more.
            done = max(self._handled.get(partition, -1) + 1, committed.get(partition, 0))
            LAG.labels(partition[0], str(partition[1])).set(max(0, ends.get(partition, 0) - done))
            if ends.get(partition, 0) > done:
                self._behind.add(partition)
            else:
                self._moved_at[partition] = now

    def stalled(self) -> str | None:
        """Return why the router is not live, or None."""
        now = time.monotonic()
        if now - self._tried_at > self._stall_s:
            # Without end offsets progress cannot be told from a stall, so count it as a stall.
            return "the timer that queries the lag has stopped"
        stuck = [p for p in self._behind if now - self._moved_at.get(p, now) > self._stall_s]
        if stuck:
            return f"no progress on {len(stuck)} partitions with lag, e.g. {stuck[0]}"
        return None

    def blind(self) -> str | None:
        """Return why the router is not ready (it does not know its lag), or None."""
        if time.monotonic() - self._looked_at > self._stall_s:
            return "the broker has not returned end offsets for a while"
        return None


class SourceTopicMissingError(RouterError):
    """An assignment lacks partitions of a source topic."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"not assigned: {', '.join(missing)}")


def missing_sources(assigned: Collection[TP]) -> list[str]:
    """Return the sources that lack partition numbers which others have; all are co-partitioned.

    Faust leaves a deleted topic out of the assignment and does not notice when it is created again:
    the router would stay healthy and never read it. `tests/e2e/test_router_faults.py` reproduces
    that.
    """
    numbers = {tp.partition for tp in assigned if tp.topic in SOURCES}
    return [
        topic
        for topic in SOURCES
        if {tp.partition for tp in assigned if tp.topic == topic} != numbers
    ]


class PartitionWatch:
    """Queries the broker for the end offsets of the assigned partitions, and passes them to the
    redelivery window and to the progress.

    Args:
        consumer: returns Faust's consumer, once the application has started.
        on_missing: called before the process ends because a source topic is missing.
    """

    def __init__(
        self,
        consumer: Callable[[], Any],
        redelivery_window: RedeliveryWindow,
        progress: RouterProgress,
        *,
        on_missing: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_missing = on_missing
        self._consumer = consumer
        self._redelivery_window = redelivery_window
        self._progress = progress
        self._tasks: set[asyncio.Task[None]] = set()

    def assigned(self, assigned: set[TP]) -> None:
        """Begin an assignment, and query its end offsets in the background.

        Ends the process if a source is missing; that repeats until the assignment is complete.
        """
        if missing := missing_sources(assigned):
            self._on_missing()
            die("router.source_missing", SourceTopicMissingError(missing), missing[0])
        ours = frozenset((tp.topic, tp.partition) for tp in assigned if tp.topic in SOURCES)
        assignment = self._redelivery_window.assign(ours)
        self._progress.assign(ours)
        if ours:
            task = asyncio.create_task(self._learn_ends(assignment, ours), name="learn-ends")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _learn_ends(self, assignment: int, partitions: frozenset[Partition]) -> None:
        """Set the end offsets of this moment: a predecessor may have read the records below."""
        while assignment == self._redelivery_window.assignment:
            try:
                ends = await self._consumer().highwaters(*(TP(*p) for p in partitions))
            except Exception as error:
                log.warning("router.ends_unknown", error=repr(error))
                await asyncio.sleep(0.5)
                continue
            self._redelivery_window.learn(assignment, {tp: end or 0 for tp, end in ends.items()})
            return

    async def watch_lag(self) -> None:
        """Query end offsets, within 5 s, and compare them with the handled and committed ones."""
        self._progress.trying()
        assigned = [TP(*partition) for partition in self._progress.assigned]
        if not assigned:
            return
        try:
            async with asyncio.timeout(5):
                ends = await self._consumer().highwaters(*assigned)
        except Exception as error:
            log.warning("router.lag_unknown", error=repr(error))
            return
        committed = {tp: at or 0 for tp, at in self._consumer()._committed_offset.items()}
        self._progress.look({tp: end or 0 for tp, end in ends.items()}, committed)
