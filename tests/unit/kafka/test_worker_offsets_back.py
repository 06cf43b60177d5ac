"""Tests a worker whose partition's offsets go back, without a broker."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition

from tests.unit.kafka.fetcher_kit import Wire, batch, rows
from tests.unit.kafka.worker_kit import Handled, WiredWorker, until, working
from tongban_kafka import Record, fetching

A, B = TopicPartition("a", 0), TopicPartition("b", 0)


@pytest.fixture(autouse=True)
def _settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_SETTLING", 0.0)


def _last(wire: Wire, tp: TopicPartition) -> int | None:
    known = [offsets[tp] for offsets in wire.commits if tp in offsets]
    return known[-1] if known else None


async def test_log_shorter_than_committed_is_read_from_its_beginning_as_maybe_seen() -> None:
    wire, handled = Wire(A), Handled()
    await wire.commit({A: 500})
    wire.seek(A, 500)
    wire.write(A, batch(0, rows(10)), 10)
    worker = WiredWorker(wire, handled)
    async with working(worker):
        await until(lambda: _last(wire, A) == 10)
        wire.write(A, batch(10, rows(2)), 2)
        await until(lambda: _last(wire, A) == 12)
    assert handled.offsets("a") == list(range(12))
    assert [record.maybe_seen for record in handled.records] == [True] * 10 + [False] * 2
    assert worker.metric("went_back_total", topic="a") == 1


async def test_empty_log_below_committed_has_the_lower_offset_committed() -> None:
    wire = Wire(A)
    await wire.commit({A: 500})
    wire.seek(A, 500)
    async with working(WiredWorker(wire, Handled())):
        await until(lambda: _last(wire, A) == 0)


async def test_topic_recreated_while_it_is_read_is_read_from_its_beginning() -> None:
    wire, handled = Wire(A, B), Handled()
    wire.write(A, batch(0, rows(10)), 10)
    worker = WiredWorker(wire, handled)
    async with working(worker):
        await until(lambda: _last(wire, A) == 10)
        wire.make_anew(A)
        wire.write(A, batch(0, rows(3)), 3)
        wire.write(B, batch(0, rows(4)), 4)
        await until(lambda: _last(wire, A) == 3 and _last(wire, B) == 4)
    assert handled.offsets("a") == [*range(10), 0, 1, 2]
    assert [record.maybe_seen for record in handled.records if record.topic == "a"][10:] == [
        True, True, True,
    ]  # fmt: skip
    assert sorted(set(handled.offsets("b"))) == [0, 1, 2, 3]
    assert worker.metric("went_back_total", topic="a") == 1


async def test_handler_of_the_old_log_ends_before_its_key_is_handled_again() -> None:
    running: set[bytes | None] = set()
    overlaps: list[Record] = []
    let_go = asyncio.Event()
    seen: list[int] = []

    async def handle(record: Record) -> None:
        if record.key in running:
            overlaps.append(record)
        running.add(record.key)
        seen.append(record.offset)
        if record.offset == 9:
            await let_go.wait()
        running.discard(record.key)

    wire = Wire(A)
    wire.write(A, batch(0, [(b"k", b"v")] * 10), 10)
    worker = WiredWorker(wire, handle, drain_timeout=5.0)
    async with working(worker):
        await until(lambda: 9 in seen)
        wire.make_anew(A)
        wire.write(A, batch(0, [(b"k", b"v")] * 3), 3)
        await until(lambda: worker.metric("went_back_total", topic="a") == 1)
        let_go.set()
        await until(lambda: _last(wire, A) == 3)
    assert overlaps == []
    assert seen == [*range(10), 0, 1, 2]


async def test_worker_stopped_while_it_begins_again_commits_the_lower_offset_and_ends() -> None:
    let_go = asyncio.Event()
    seen: list[int] = []

    async def handle(record: Record) -> None:
        seen.append(record.offset)
        if record.offset == 9:
            await let_go.wait()

    wire = Wire(A)
    wire.write(A, batch(0, rows(10)), 10)
    worker = WiredWorker(wire, handle, drain_timeout=5.0)
    async with working(worker):
        await until(lambda: 9 in seen)
        wire.make_anew(A)
        wire.write(A, batch(0, rows(3)), 3)
        await until(lambda: worker.metric("went_back_total", topic="a") == 1)
        worker.stop()
        let_go.set()
    assert seen == list(range(10))
    assert _last(wire, A) == 0
