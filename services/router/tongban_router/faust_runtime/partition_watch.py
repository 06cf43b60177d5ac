"""Asks the broker where the assigned partitions end: what a predecessor may have read, and whether
the router moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import structlog
from faust.types import TP

from tongban_router.faust_runtime.consumer import SOURCES
from tongban_router.faust_runtime.producer import die
from tongban_router.faust_runtime.progress import Partition, RouterProgress
from tongban_router.faust_runtime.redelivery_window import RedeliveryWindow

log = structlog.get_logger()


class SourceTopicMissingError(Exception):
    """An assignment lacks partitions of a source topic."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"not assigned: {', '.join(missing)}")


def missing_sources(assigned: Collection[TP]) -> list[str]:
    """Return the sources of which not the same partitions are assigned as of the others.

    Sources are co-partitioned. Faust leaves a topic that was deleted out of the assignment, and
    hears nothing of it when it is made anew: the router would go on healthy and deaf.
    """
    numbers = {tp.partition for tp in assigned if tp.topic in SOURCES}
    return [
        topic
        for topic in SOURCES
        if {tp.partition for tp in assigned if tp.topic == topic} != numbers
    ]


class PartitionWatch:
    """Keeps `predecessors` and `progress` informed of end offsets; `consumer` returns Faust's
    consumer once there is one."""

    def __init__(
        self,
        consumer: Callable[[], Any],
        predecessors: RedeliveryWindow,
        progress: RouterProgress,
        *,
        on_missing: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_missing` is called before the process ends because a source topic is missing."""
        self._on_missing = on_missing
        self._consumer = consumer
        self._predecessors = predecessors
        self._progress = progress
        self._tasks: set[asyncio.Task[None]] = set()

    def assigned(self, assigned: set[TP]) -> None:
        """Begin an assignment; the end offsets are asked for in the background.

        Ends the process where a source is missing, until the assignment is whole.
        """
        if missing := missing_sources(assigned):
            self._on_missing()
            die("router.source_missing", SourceTopicMissingError(missing), missing[0])
        ours = frozenset((tp.topic, tp.partition) for tp in assigned if tp.topic in SOURCES)
        assignment = self._predecessors.assign(ours)
        self._progress.assign(ours)
        if ours:
            task = asyncio.create_task(self._learn_ends(assignment, ours), name="learn-ends")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _learn_ends(self, assignment: int, partitions: frozenset[Partition]) -> None:
        """A record below the end offset of this moment may have been read by a predecessor."""
        while assignment == self._predecessors.assignment:
            try:
                ends = await self._consumer().highwaters(*(TP(*p) for p in partitions))
            except Exception as error:
                log.warning("router.ends_unknown", error=repr(error))
                await asyncio.sleep(0.5)
                continue
            known = {(tp.topic, tp.partition): end or 0 for tp, end in ends.items()}
            self._predecessors.learn(assignment, known)
            return

    def _committed(self) -> Mapping[TP, int | None]:
        """The offsets that Faust knows to be committed; None or absent: none."""
        return cast("Mapping[TP, int | None]", self._consumer()._committed_offset)

    async def watch_lag(self) -> None:
        """Compare what is handled and committed with the end offsets."""
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
        committed = {(tp.topic, tp.partition): at or 0 for tp, at in self._committed().items()}
        self._progress.look(
            {(tp.topic, tp.partition): end or 0 for tp, end in ends.items()}, committed
        )
