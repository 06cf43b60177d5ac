"""Running record handlers: one record of a key at a time, many keys at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tongban_common import faultpoints
from tongban_common.kafka.flow import Flow, Spawn
from tongban_common.kafka.partition import Partition
from tongban_common.kafka.record import Record

Handler = Callable[[Record], Awaitable[Any] | None]
"""An `async def`, or a plain function where nothing has to be awaited. Either may return a future
(a delivery future of the producer): the record is then done when it resolves, and failed when it
fails, without a task that waits for it."""
AsyncHandler = Callable[[Record], Awaitable[Any]]
Failed = Callable[[Partition, Record, Exception], None]

_SLICE = 0.004
"""Seconds after which handlers that never wait let the loop have a turn."""


class KeyOrder:
    """Offers one record of each key at a time. The base of both executors of single records."""

    def __init__(self, flow: Flow, failed: Failed) -> None:
        self._flow = flow
        self._failed = failed
        self._ready: deque[tuple[Partition, Record]] = deque()

    def offer(self, partition: Partition, record: Record) -> None:
        """Queue a fetched record; behind others of its key if there are any."""
        busy = partition.busy
        key = record.key
        if key not in busy:
            busy[key] = None
            self._ready.append((partition, record))
            return
        waiting = busy[key]
        if waiting is None:
            waiting = busy[key] = deque()
        waiting.append(record)

    def resume(self, partition: Partition, record: Record) -> None:
        """Run a failed record again; its key was never given to another."""
        self._ready.append((partition, record))
        self.kick()

    def release(self, partition: Partition, record: Record) -> None:
        """Give the key to the next record of it."""
        if self._flow.draining:
            return
        waiting = partition.busy[record.key]
        if waiting:
            self._ready.append((partition, waiting.popleft()))
        else:
            del partition.busy[record.key]

    def clear(self) -> None:
        """Forget what has not begun."""
        self._ready.clear()

    def kick(self) -> None:
        """Run what can run."""
        raise NotImplementedError

    def _follow(
        self, partition: Partition, record: Record, began: float, result: Awaitable[Any]
    ) -> None:
        """The record is done when this future resolves."""
        if not asyncio.isfuture(result):
            raise TypeError(
                f"a handler returned {type(result).__name__}; None or a future was expected"
            )
        result.add_done_callback(partial(self._resolved, partition, record, began))

    def _resolved(
        self, partition: Partition, record: Record, began: float, future: asyncio.Future[Any]
    ) -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled():
            self._failed(partition, record, RuntimeError("the handler's future was cancelled"))
        elif isinstance(error, Exception):
            self._failed(partition, record, error)
        else:
            self._done(partition, record, began)
        self._flow.ended(partition)
        if self._ready:
            self.kick()

    def _done(self, partition: Partition, record: Record, began: float) -> None:
        stats = partition.stats
        stats.handled += 1
        stats.observe(time.perf_counter() - began)
        self._flow.finish(partition, record)


class Inline(KeyOrder):
    """Runs plain functions, in the turn of the loop that fetched their records."""

    def __init__(self, flow: Flow, failed: Failed, handler: Handler) -> None:
        super().__init__(flow, failed)
        self._handler = handler
        self._scheduled = False

    def kick(self) -> None:
        """Run all that is ready, for a slice of time; go on in the next turn."""
        if self._scheduled or self._flow.draining:
            return
        ready, handler, flow, clock = self._ready, self._handler, self._flow, time.perf_counter
        until = clock() + _SLICE
        while ready:
            partition, record = ready.popleft()
            began = clock()
            if began > until:
                ready.appendleft((partition, record))
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._again)
                return
            flow.began()
            faultpoints.reached("worker.before_handle")
            try:
                result = handler(record)
                faultpoints.reached("worker.after_handle")
                if result is not None:
                    self._follow(partition, record, began, result)
                    continue
                self._done(partition, record, began)
            except Exception as error:
                self._failed(partition, record, error)
            flow.ended(partition)

    def _again(self) -> None:
        self._scheduled = False
        self.kick()

    def cancel(self) -> list[asyncio.Task[None]]:
        """There are no tasks."""
        return []


class Lanes(KeyOrder):
    """Runs coroutine functions, in at most `concurrency` long-lived tasks.

    A lane goes on with the next ready record as long as there is one, so that a handler which ends
    without waiting costs neither a task nor a turn of the loop. A lane that takes a record while
    others are ready wakes one more lane, which does the same: as many lanes run as records wait.
    """

    def __init__(
        self,
        flow: Flow,
        failed: Failed,
        handler: AsyncHandler,
        *,
        concurrency: int,
        timeout: float | None,
        spawn: Spawn,
    ) -> None:
        super().__init__(flow, failed)
        self._handler = handler
        self._concurrency = concurrency
        self._timeout = timeout
        self._spawn = spawn
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False

    def kick(self) -> None:
        """Wake one lane if there is work; it wakes the next."""
        if self._waking or not self._ready or self._flow.draining:
            return
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():
                waiter.set_result(None)
                self._waking = True
                return
        if len(self._tasks) < self._concurrency:
            task = self._spawn(self._lane())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._waking = True

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel all lanes; `kick` makes new ones."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._tasks.clear()
        self._idle.clear()
        self._waking = False
        return tasks

    async def _lane(self) -> None:
        loop = asyncio.get_running_loop()
        ready = self._ready
        self._waking = False
        turn = time.perf_counter()
        me = asyncio.current_task()
        # A lane that was cancelled and whose handler swallowed it is no longer one of the lanes.
        while me in self._tasks:
            if not ready:
                waiter = loop.create_future()
                self._idle.append(waiter)
                await waiter
                self._waking = False
                turn = time.perf_counter()
                continue
            partition, record = ready.popleft()
            if ready:
                self.kick()
            now = await self._run(partition, record)
            if now - turn > _SLICE:
                await asyncio.sleep(0)
                turn = time.perf_counter()

    async def _run(self, partition: Partition, record: Record) -> float:
        flow = self._flow
        flow.began()
        began = time.perf_counter()
        try:
            faultpoints.reached("worker.before_handle")
            if self._timeout is None:
                result = await self._handler(record)
            else:
                async with asyncio.timeout(self._timeout):
                    result = await self._handler(record)
            faultpoints.reached("worker.after_handle")
            if result is not None:
                self._follow(partition, record, began, result)
                return time.perf_counter()
            self._done(partition, record, began)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                flow.ended(partition)
                raise
            # Something that the handler awaited was cancelled, not the handler.
            self._failed(partition, record, RuntimeError("cancelled from within"))
        except Exception as error:
            self._failed(partition, record, error)
        flow.ended(partition)
        return time.perf_counter()
