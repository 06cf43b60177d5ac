"""Tests `Flow` without a broker: pending futures while partitions are given up, and health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from tongban_kafka import Lease, Record, WorkerConfig
from tongban_kafka.commit_metadata import CommitMetadata
from tongban_kafka.commits import Committer
from tongban_kafka.flow import Flow
from tongban_kafka.keyed_executor import AsyncKeyedExecutor, SyncKeyedExecutor
from tongban_kafka.worker_health import WorkerHealth

TP = TopicPartition("t", 0)


class Book:
    """Builds the `Flow` of a worker, without a broker and without failures."""

    def __init__(self) -> None:
        self.lease = Lease(60)
        self.flow = Flow(WorkerConfig(bootstrap="", group="g"), self.lease)

    def assign(self) -> None:
        self.flow.assign([TP])
        self.lease.renew(*self.lease.sending())
        self.lease.take()
        self.flow.partitions[TP].open(0, 0, CommitMetadata())

    def fetch(self) -> None:
        """Accept the first record of the partition."""
        raw = ConsumerRecord("t", 0, 0, 0, 0, b"k", b"v", 0, 1, 1, ())
        self.flow.accept({TP: [raw]})
        self.flow.executor.kick()

    async def give_up(self) -> bool:
        in_time = await self.flow.drain(0.01)
        self.flow.forget()
        return in_time


def unexpected(*_: Any) -> None:
    raise AssertionError("nothing fails here")


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_a_future_that_never_resolves_holds_up_nothing_after_its_partition_has_gone() -> None:
    futures: list[asyncio.Future[None]] = []

    def handle(_: Record) -> asyncio.Future[None]:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    book = Book()
    book.flow.executor = SyncKeyedExecutor(book.flow, unexpected, handle)
    book.assign()
    book.fetch()
    assert not await book.give_up()
    await asyncio.sleep(0.02)  # the timer that looked at it has run out
    book.assign()
    book.fetch()
    futures[1].set_result(None)
    await eventually(lambda: book.flow.partitions[TP].tracker.position == 1)
    assert book.flow.under_way == 0


async def test_a_handler_that_outlives_its_partition_leaves_nothing_under_way() -> None:
    let_go = asyncio.Event()
    ended = asyncio.Event()

    async def handle(_: Record) -> asyncio.Future[None]:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:  # as it must not
                continue
        ended.set()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        return future

    book = Book()
    async with asyncio.TaskGroup() as tasks:
        book.flow.executor = AsyncKeyedExecutor(
            book.flow,
            unexpected,
            handle,
            concurrency=2,
            timeout=None,
            spawn=tasks.create_task,
        )
        book.assign()
        book.fetch()
        await asyncio.sleep(0)  # the handler has begun
        assert not await book.give_up()
        book.assign()
        let_go.set()
        await ended.wait()
        await asyncio.sleep(0)
        assert book.flow.under_way == 0
        assert await book.give_up()


async def test_a_partition_that_had_nothing_to_do_was_not_stalled() -> None:
    book = Book()
    book.flow.executor = SyncKeyedExecutor(book.flow, unexpected, lambda _: asyncio.Future())
    health = WorkerHealth(
        WorkerConfig(bootstrap="", group="g"),
        book.flow,
        book.lease,
        Committer(book.flow, timeout=1),
    )
    book.assign()
    book.flow.partitions[TP].moved_at -= 3600  # the last record was an hour ago
    book.fetch()
    assert health.progress().in_flight == 1
    assert health.progress().stalled < 60
    book.flow.partitions[TP].moved_at -= 3600  # and this one has waited for an hour
    assert health.progress().stalled > 3000
