"""Runs record handlers: one record of a key at a time, many keys at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tongban_kafka import faultpoints
from tongban_kafka.errors import HandlerTypeError
from tongban_kafka.flow import Flow, Part, Spawn
from tongban_kafka.partition import Partition
from tongban_kafka.record import Record
from tongban_kafka.scope import NO_SCOPE, RecordScope

Handler = Callable[[Record], Awaitable[Any] | None]
"""An `async def`, or a plain function that awaits nothing. Either may return a future (for example
that of `EventProducer.send_nowait`): the record is then done when it resolves, and failed when it
fails, without a task that waits for it."""
AsyncHandler = Callable[[Record], Awaitable[Any]]
Failed = Callable[[Partition, Record, Exception], None]

_SLICE = 0.004
"""Seconds after which handlers that never wait yield to the event loop."""
_SWEEP = 0.005
"""Seconds between sweeps over the pending futures."""


class KeyedExecutor:
    """Base of both executors of single records: runs one record of a key at a time."""

    def __init__(self, flow: Flow, failed: Failed) -> None:
        self._flow = flow
        self._failed = failed
        self._ready: deque[tuple[Partition, Record]] = deque()
        self._followed = PendingFutures(flow, failed, self.kick)

    def offer(self, parts: Sequence[Part]) -> None:
        """Queue fetched records, each behind the others of its key.

        The partitions alternate, so that handlers that run at once seldom wait for the same thing,
        such as one partition of a topic that they write to.
        """
        ready = self._ready
        for turn in range(max([len(records) for _, records in parts], default=0)):
            for partition, records in parts:
                if turn >= len(records):
                    continue
                record = records[turn]
                busy, key = partition.busy, record.key
                if key not in busy:
                    busy[key] = None
                    ready.append((partition, record))
                    continue
                waiting = busy[key]
                if waiting is None:
                    waiting = busy[key] = deque()
                waiting.append(record)
                if partition.parked and (parked := partition.parked.get(key)) is not None:
                    parked.wake()  # the new record may end the wait

    def resume(self, partition: Partition, record: Record) -> None:
        """Run a failed record again. Its key has been busy since the first attempt."""
        self._ready.append((partition, record))
        self.kick()

    def release(self, partition: Partition, record: Record) -> None:
        """Queue the next record of the key."""
        waiting = partition.busy.pop(record.key)
        if waiting and not self._flow.draining:
            self._ready.append((partition, waiting.popleft()))
            partition.busy[record.key] = waiting

    def clear(self) -> None:
        """Drop the records whose handlers have not begun."""
        self._ready.clear()

    def kick(self) -> None:
        """Run the records that can run now."""
        raise NotImplementedError

    def _done(self, partition: Partition, record: Record, seconds: float) -> None:
        stats = partition.stats
        stats.handled += 1
        stats.observe(seconds)
        self._flow.finish(partition, record)


class PendingFutures:
    """Finishes records whose handlers returned a future, once it has resolved or failed.

    A callback on each future would cost more than the rest of the worker's work on a record.
    Acknowledgements of a batch arrive together, so only the oldest future has a callback, which
    sweeps over all of them. A timer sweeps for futures that resolve before the oldest.
    """

    def __init__(self, flow: Flow, failed: Failed, kick: Callable[[], None]) -> None:
        self._flow = flow
        self._failed = failed
        self._kick = kick
        self._entries: list[tuple[Partition, Record, float, asyncio.Future[Any]]] = []
        self._watched: asyncio.Future[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, partition: Partition, record: Record, began: float, result: Any) -> None:
        """Wait for what a handler returned.

        Raises:
            HandlerTypeError: `result` is not a future.
        """
        if not asyncio.isfuture(result):
            raise HandlerTypeError(
                f"a handler returned {type(result).__name__}; None or a future was expected"
            )
        if partition.revoked:  # the handler outlived its cancellation
            return
        self._flow.under_way += 1
        self._entries.append((partition, record, began, result))
        if self._watched is None:
            self._watch()

    def clear(self) -> None:
        """Drop all futures. The watched one may never resolve, so later ones must not depend on its
        callback."""
        self._entries.clear()
        self._watched = None

    def _watch(self) -> None:
        oldest = self._entries[0][3]
        if oldest is not self._watched:
            self._watched = oldest
            oldest.add_done_callback(self._resolved)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP, self._timed)

    def _resolved(self, future: asyncio.Future[Any]) -> None:
        if future is self._watched:
            self._sweep()

    def _timed(self) -> None:
        self._timer = None
        if self._entries:
            self._sweep()

    def _sweep(self) -> None:
        entries, self._entries = self._entries, []
        open_ = self._entries
        now = time.monotonic()
        flow = self._flow
        finish, ended = flow.finish, flow.ended
        for entry in entries:
            partition, record, began, future = entry
            if not future.done():
                open_.append(entry)
                continue
            error = _outcome(future)
            if error is not None:
                self._failed(partition, record, error)
            elif not partition.revoked:
                stats = partition.stats
                stats.handled += 1
                stats.observe(now - began)
                finish(partition, record)
            ended(partition)
        if open_:
            self._watch()
        else:
            self._watched = None
        self._kick()


def _outcome(future: asyncio.Future[Any]) -> Exception | None:
    if future.cancelled():
        return RuntimeError("the handler's future was cancelled")
    error = future.exception()
    return error if error is None or isinstance(error, Exception) else RuntimeError(repr(error))


class SyncKeyedExecutor(KeyedExecutor):
    """Runs plain functions, in the turn of the event loop that fetched their records."""

    def __init__(
        self, flow: Flow, failed: Failed, handler: Handler, *, scope: RecordScope = NO_SCOPE
    ) -> None:
        super().__init__(flow, failed)
        self._handler = handler if scope is NO_SCOPE else _scoped_function(handler, scope)
        self._scheduled = False

    def kick(self) -> None:
        """Run ready records for a slice of time; go on in the loop's next turn."""
        if self._scheduled or not self._flow.may_begin():
            return
        ready, handler, clock = self._ready, self._handler, time.monotonic
        follow, reached, lease = self._followed.add, faultpoints.reached, self._flow.lease
        until = clock() + _SLICE
        while ready:
            began = clock()
            if began > until or not lease.holds():
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._again)
                return
            partition, record = ready.popleft()
            partition.begin(record)
            reached("worker.before_handle")
            try:
                result = handler(record)
                reached("worker.after_handle")
                if result is None:
                    self._done(partition, record, clock() - began)
                else:
                    follow(partition, record, began, result)
            except Exception as error:
                self._failed(partition, record, error)

    def _again(self) -> None:
        self._scheduled = False
        self.kick()

    def cancel(self) -> list[asyncio.Task[None]]:
        """Drop pending futures. There are no tasks to cancel."""
        self._followed.clear()
        return []


class AsyncKeyedExecutor(KeyedExecutor):
    """Runs coroutine functions, in at most `concurrency` long-lived worker tasks ("lanes").

    A lane continues with the next ready record, so that a handler which ends without waiting costs
    neither a task nor a turn of the event loop. A lane that begins a record while others are ready
    wakes one more lane, which does the same: as many lanes run as there are records.
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
        scope: RecordScope = NO_SCOPE,
    ) -> None:
        super().__init__(flow, failed)
        limited = handler if timeout is None else _limited(handler, timeout)
        self._handler = limited if scope is NO_SCOPE else _scoped(limited, scope)
        self._concurrency = concurrency
        self._spawn = spawn
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False

    def kick(self) -> None:
        """Wake one lane if a record is ready; the lane wakes the next one."""
        if self._waking or not self._ready or not self._flow.may_begin():
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
        """Cancel all lanes, and return their tasks. `kick` starts new ones."""
        self._followed.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._tasks.clear()
        self._idle.clear()
        self._waking = False
        return tasks

    async def _lane(self) -> None:
        loop, clock, reached = asyncio.get_running_loop(), time.monotonic, faultpoints.reached
        flow, lease, handler, ready = self._flow, self._flow.lease, self._handler, self._ready
        me = asyncio.current_task()
        self._waking = False
        turn = clock()
        # A lane whose handler swallowed its cancellation must end: it is not in `_tasks` any more.
        while me in self._tasks:
            if not ready or not lease.holds():
                waiter = loop.create_future()
                self._idle.append(waiter)
                await waiter
                self._waking = False
                turn = clock()
                continue
            partition, record = ready.popleft()
            if ready and not self._waking:
                self.kick()
            partition.begin(record)
            flow.under_way += 1
            began = now = clock()
            try:
                reached("worker.before_handle")
                result = await handler(record)
                reached("worker.after_handle")
                now = clock()
                if result is None:
                    self._done(partition, record, now - began)
                else:
                    self._followed.add(partition, record, began, result)
            except asyncio.CancelledError:
                if me is None or me.cancelling():
                    raise
                # The task was not cancelled: something that the handler awaited was.
                self._failed(partition, record, RuntimeError("cancelled from within"))
            except Exception as error:
                self._failed(partition, record, error)
            finally:
                flow.ended(partition)
            if now - turn > _SLICE:
                await asyncio.sleep(0)
                turn = clock()


def _limited(handler: AsyncHandler, timeout: float) -> AsyncHandler:
    async def limited(record: Record) -> Any:
        async with asyncio.timeout(timeout):
            return await handler(record)

    return limited


# A worker without a scope calls its handler itself: the wrappers cost a call for each record.


def _scoped(handler: AsyncHandler, scope: RecordScope) -> AsyncHandler:
    async def scoped(record: Record) -> Any:
        with scope.handling((record,)):
            return await handler(record)

    return scoped


def _scoped_function(handler: Handler, scope: RecordScope) -> Handler:
    def scoped(record: Record) -> Awaitable[Any] | None:
        with scope.handling((record,)):
            return handler(record)

    return scoped
