"""Runs batch handlers: many records in one call, in order within each partition."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from tongban_kafka import faultpoints
from tongban_kafka.config import BatchConfig, WorkerConfig
from tongban_kafka.errors import Poison, Retry, is_transient
from tongban_kafka.failures import Failures
from tongban_kafka.flow import Flow, Part, Spawn
from tongban_kafka.partition import Partition
from tongban_kafka.record import Record
from tongban_kafka.scope import NO_SCOPE, RecordScope

BatchHandler = Callable[[Sequence[Record]], Awaitable[None]]
"""Returns when all of the records are done. An exception counts for all of them, so the handler is
called again with records that took effect already: bulk writes have to be idempotent."""
_WHOLE_ATTEMPTS = 2
"""Calls with the whole batch before it is halved, when the cause is not known to be transient."""
_LEASE_PAUSE = 0.2
"""Seconds between checks of a lease that has ended."""

_Item = tuple[Partition, Record]


class Batches:
    """Collects records up to a size or a time. A partition is in one running batch at most.

    A batch that fails for a transient reason is repeated whole, without limit. For any other reason
    it is halved repeatedly until the failing record is alone. That record is retried up to
    `RetryPolicy.max_attempts` calls in all, and then given up. Its partition waits meanwhile,
    because a batch handler sees the records of a partition in order.
    """

    def __init__(
        self,
        config: WorkerConfig,
        flow: Flow,
        failures: Failures,
        handler: BatchHandler,
        *,
        batch: BatchConfig,
        spawn: Spawn,
        scope: RecordScope = NO_SCOPE,
    ) -> None:
        self._scope = scope
        self._config = config
        self._flow = flow
        self._failures = failures
        self._handler = handler
        self._batch = batch
        self._spawn = spawn
        self._queues: dict[Partition, deque[Record]] = {}
        self._queued = 0
        self._running: set[Partition] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, parts: Sequence[Part]) -> None:
        """Queue fetched records."""
        for partition, records in parts:
            queue = self._queues.get(partition)
            if queue is None:
                queue = self._queues[partition] = deque()
            queue.extend(records)
            self._queued += len(records)

    def resume(self, partition: Partition, record: Record) -> None:
        """Raise: batches retry within their own task, so no failed record is handed back."""
        raise NotImplementedError

    def release(self, partition: Partition, record: Record) -> None:
        """Do nothing: no record waits for another one of its key."""

    def kick(self) -> None:
        """Start full batches. Smaller ones start once `linger` has passed."""
        if not self._flow.may_begin():
            return
        while self._may_start() >= self._batch.size:
            self._start()
        if self._timer is None and self._may_start():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._batch.linger, self._lingered)

    def clear(self) -> None:
        """Drop the records that no batch has begun with."""
        self._queues.clear()
        self._queued = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel the running batches, and return their tasks."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def _may_start(self) -> int:
        """Return how many records a new batch could hold now."""
        if len(self._tasks) >= self._config.concurrency:
            return 0
        busy = sum(len(self._queues[p]) for p in self._running if p in self._queues)
        return self._queued - busy

    def _lingered(self) -> None:
        self._timer = None
        if self._flow.may_begin() and self._may_start():
            self._start()
            self.kick()

    def _start(self) -> None:
        items: list[_Item] = []
        for partition in [p for p in self._queues if p not in self._running]:
            queue = self._queues.pop(partition)
            while queue and len(items) < self._batch.size:
                items.append((partition, queue.popleft()))
            if queue:
                # It goes behind the other partitions, so that none of them starves.
                self._queues[partition] = queue
            if len(items) >= self._batch.size:
                break
        self._queued -= len(items)
        partitions = {partition for partition, _ in items}
        self._running |= partitions
        self._flow.began()
        task = self._spawn(self._run(items, partitions))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, items: list[_Item], partitions: set[Partition]) -> None:
        try:
            await self._finish_all(items)
        finally:
            self._running -= partitions
            self._tasks.discard(asyncio.current_task())
            self._flow.ended(items[0][0])
        self.kick()

    async def _finish_all(self, items: list[_Item], tries: int = 0) -> None:
        """Call the handler until each record is done or given up. Return early when draining."""
        while not self._flow.draining:
            if not self._flow.may_begin():
                await self._flow.pause(_LEASE_PAUSE)
                continue
            error = await self._call(items)
            tries += 1
            if error is None:
                return
            items = [(p, record._replace(attempt=record.attempt + 1)) for p, record in items]
            if is_transient(error, self._config.transient_errors):
                after = error.after if isinstance(error, Retry) else None
                await self._flow.pause(self._delay(tries) if after is None else after)
            elif len(items) > 1 and (isinstance(error, Poison) or tries >= _WHOLE_ATTEMPTS):
                middle = len(items) // 2
                # One attempt less for each half: a half that fails as well is halved at once.
                await self._finish_all(items[:middle], _WHOLE_ATTEMPTS - 1)
                await self._finish_all(items[middle:], _WHOLE_ATTEMPTS - 1)
                return
            elif len(items) == 1 and self._failures.is_spent(items[0][1].attempt - 1, error):
                partition, record = items[0]
                dead = record._replace(attempt=record.attempt - 1)
                await self._failures.give_up(partition, dead, error)
                return
            else:
                await self._flow.pause(self._delay(tries))

    def _delay(self, tries: int) -> float:
        return self._config.retry.delay(tries)

    async def _call(self, items: list[_Item]) -> Exception | None:
        stats = items[0][0].stats
        began = time.monotonic()
        records = [record for _, record in items]
        for partition, record in items:
            partition.begin(record)
        try:
            faultpoints.reached("worker.before_handle")
            with self._scope.handling(records):
                async with asyncio.timeout(self._config.handler_timeout):
                    await self._handler(records)
            faultpoints.reached("worker.after_handle")
        except Exception as error:
            self._failures.note(items, error)
            return error
        stats.observe(time.monotonic() - began)
        for partition, record in items:
            partition.stats.handled += 1
            self._flow.finish(partition, record)
        return None
