"""Tracks records from being fetched to being done: bounds, completion and work under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from tongban_kafka.boot_clock import uptime
from tongban_kafka.config import WorkerConfig
from tongban_kafka.lease import Lease
from tongban_kafka.partition import RECORD_OVERHEAD, Partition, TopicStats
from tongban_kafka.record import Record

log = structlog.get_logger(__name__)
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a task in the worker's task group."""
Part = tuple[Partition, list[Record]]
"""A partition and the records that were fetched of it."""


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event. Return False if it was not set in time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


class Executor(Protocol):
    """Schedules records and runs their handlers."""

    def offer(self, parts: Sequence[Part]) -> None:
        """Queue fetched records. They run after `kick`, as soon as the order allows it."""

    def resume(self, partition: Partition, record: Record) -> None:
        """Run a failed record again, before the others of its key."""

    def release(self, partition: Partition, record: Record) -> None:
        """Allow the next record of the key to run, because this one is done."""

    def kick(self) -> None:
        """Run the records that can run now."""

    def clear(self) -> None:
        """Drop the records whose handlers have not begun."""

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel running handlers. Return the tasks that have yet to end."""


class Flow:
    """Keeps account of the worker's records. All methods run in the event loop; only `drain` and
    `pause` wait.

    A record is held from `accept` to `finish`. It is under way while its handler, an
    acknowledgement or a dead letter is awaited.
    """

    def __init__(self, config: WorkerConfig, lease: Lease) -> None:
        self._config = config
        self.lease = lease
        lease.on_resumed = self._resumed
        self.partitions: dict[Any, Partition] = {}
        self.stats: dict[str, TopicStats] = {}
        self.held = 0
        self.held_bytes = 0
        self.under_way = 0
        self.draining = True
        self.side_tasks: set[asyncio.Task[None]] = set()
        """Tasks that write dead letters."""
        self.changed = asyncio.Event()
        """Set when room was made; the fetching loop clears it."""
        self._room_awaited = False
        self._quiet: asyncio.Future[None] | None = None
        self._drain_begun = asyncio.Event()
        self.executor: Executor

    def assign(self, tps: Iterable[Any]) -> None:
        """Begin with newly assigned partitions, whose end offsets are not known yet."""
        now = uptime()
        self.partitions = {tp: Partition(tp, self._stats(tp.topic), now) for tp in tps}
        self.held = self.held_bytes = self.under_way = 0
        self.draining = False
        self._drain_begun.clear()

    def _stats(self, topic: str) -> TopicStats:
        return self.stats.setdefault(topic, TopicStats(topic))

    def accept(self, fetched: Mapping[Any, Sequence[Any]]) -> int:
        """Accept fetched records, by partition. Return their number. They run after `kick`."""
        parts = [self._accept(self.partitions[tp], raws) for tp, raws in fetched.items()]
        self.executor.offer(parts)
        return sum([len(records) for _, records in parts])

    def _accept(self, partition: Partition, raws: Sequence[Any]) -> Part:
        missing = partition.tracker.add([raw.offset for raw in raws])
        if missing:
            self._missed(partition, raws[0].offset, missing)
        partition.blocked_until = 0.0
        if partition.done_before:
            raws = self._without_done(partition, raws)
        count = len(raws)
        if partition.held == 0:
            partition.moved_at = time.monotonic()
        partition.held += count
        self.held += count
        values = sum([len(raw.value) for raw in raws if raw.value])
        self.held_bytes += values + count * RECORD_OVERHEAD
        return partition, partition.records(raws)

    def _without_done(self, partition: Partition, raws: Sequence[Any]) -> list[Any]:
        """Mark the records as done that a predecessor did; return the others."""
        before = partition.done_before
        for raw in raws:
            if raw.offset in before:
                partition.tracker.done(raw.offset)
        others = [raw for raw in raws if raw.offset not in before]
        before.difference_update(raw.offset for raw in raws)
        return others

    def _missed(self, partition: Partition, offset: int, count: int) -> None:
        """Count and log missing offsets: retention has removed the records before they were read,
        unless the topic is compacted or has transactions."""
        partition.stats.skipped += count
        log.error("offsets_missing", topic=partition.tp.topic, before=offset, count=count)

    def may_begin(self) -> bool:
        """Return True while the lease holds and the partitions are not being given up."""
        return not self.draining and self.lease.holds()

    def _resumed(self) -> None:
        self.executor.kick()

    def room(self) -> int:
        """Return how many records may be fetched now; 0 when the worker is full."""
        if self.held_bytes >= self._config.max_in_flight_bytes:
            return 0
        return max(0, self._config.max_in_flight - self.held)

    def is_full(self, partition: Partition) -> bool:
        """Return True if this partition has reached its share of records, or its `max_span`."""
        return (
            partition.held >= self._config.partition_share
            or partition.tracker.span >= self._config.max_span
        )

    def has_room_again(self, partition: Partition) -> bool:
        """Return True if a paused partition may resume: at half its bounds, so it does not flap."""
        return (
            partition.held <= self._config.partition_share // 2
            and partition.tracker.span <= self._config.max_span // 2
        )

    def await_room(self) -> None:
        """Have `changed` set once half of the room is free or a paused partition may resume."""
        self.changed.clear()
        self._room_awaited = True

    def began(self) -> None:
        """Count one more task under way."""
        self.under_way += 1

    def start_aside(
        self,
        spawn: Spawn,
        partition: Partition,
        work: Callable[[], Awaitable[None]],
        then: Callable[[], None],
    ) -> None:
        """Start a task that writes a dead letter, and call `then` after it. It counts as under way,
        and a drain that takes too long cancels it."""

        async def run() -> None:
            try:
                await work()
            finally:
                self.ended(partition)
            then()

        self.began()
        task = spawn(run())
        self.side_tasks.add(task)
        task.add_done_callback(self.side_tasks.discard)

    def ended(self, partition: Partition) -> None:
        """Count one task less, unless its partition was given up: `forget` reset the count then."""
        if partition.revoked:
            return
        self.under_way -= 1
        if self.under_way == 0 and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    def finish(self, partition: Partition, record: Record) -> None:
        """Mark a record as done, so that its offset may be committed."""
        if partition.revoked:
            return
        partition.tracker.done(record.offset)
        partition.held -= 1
        self.held -= 1
        value = record.value
        self.held_bytes -= RECORD_OVERHEAD + len(value) if value else RECORD_OVERHEAD
        if partition.first_failures:
            partition.first_failures.pop(record.offset, None)
        self.executor.release(partition, record)
        if self._room_awaited and self._has_room_again(partition):
            self._room_awaited = False
            self.changed.set()

    def _has_room_again(self, partition: Partition) -> bool:
        if partition.paused:
            return self.has_room_again(partition)
        return (
            self.held <= self._config.max_in_flight // 2
            and self.held_bytes <= self._config.max_in_flight_bytes // 2
        )

    async def drain(self, timeout: float) -> bool:
        """Begin nothing more, and wait for the work under way up to `timeout` seconds. Return True
        if all of it ended in time; the rest is cancelled."""
        self.draining = True
        self._drain_begun.set()
        self.executor.clear()
        for partition in self.partitions.values():
            partition.cancel_timers()
        if self.under_way == 0:
            return True
        self._quiet = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._quiet], timeout=timeout)
        self._quiet = None
        if done:
            return True
        tasks = [*self.executor.cancel(), *self.side_tasks]
        for task in self.side_tasks:
            task.cancel()
        if tasks:
            # Not for ever: a handler may swallow its cancellation.
            await asyncio.wait(tasks, timeout=1.0)
        return False

    async def pause(self, seconds: float) -> bool:
        """Sleep before a retry. Return False as soon as the partitions are being given up."""
        return not await set_within(self._drain_begun, seconds)

    def forget(self) -> None:
        """Drop all partitions. Handlers of theirs that end later change nothing any more."""
        for partition in self.partitions.values():
            partition.revoked = True
        self.partitions = {}
        self.held = self.held_bytes = self.under_way = 0
