"""Tests what a worker that gives its partitions up tells its successor about them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kafka.fetcher_kit import Wire, batch, rows
from tests.unit.kafka.worker_kit import Handled, WiredWorker, until, working
from tongban_kafka import Record, Retry
from tongban_kafka.commit_metadata import CommitMetadata

A = TopicPartition("a", 0)


def _offset(wire: Wire) -> int:
    return int(wire.committed[A].offset)


def _seen(handled: Handled) -> list[tuple[int, bool]]:
    return [(record.offset, record.maybe_seen) for record in handled.records]


async def _hand_over(wire: Wire, handler: Any, condition: Any) -> None:
    async with working(WiredWorker(wire, handler, max_in_flight=100)):
        await until(condition)


async def test_record_written_before_the_takeover_is_unseen_if_none_was_begun() -> None:
    wire, first, second = Wire(A), Handled(), Handled()
    wire.write(A, batch(0, rows(2)), 2)
    await _hand_over(wire, first, lambda: _offset_if_any(wire) == 2)
    assert CommitMetadata.decode(wire.committed[A].metadata, 2).begun_to == 2
    wire.write(A, batch(2, rows(2)), 2)
    wire.seek(A, 2)
    await _hand_over(wire, second, lambda: _offset(wire) == 4)
    assert _seen(second) == [(2, False), (3, False)]


def _offset_if_any(wire: Wire) -> int | None:
    return wire.committed[A].offset if A in wire.committed else None


async def test_record_that_was_begun_and_cancelled_is_seen() -> None:
    wire, second = Wire(A), Handled()
    begun = asyncio.Event()

    async def handler(record: Record) -> None:
        if record.offset == 1:
            begun.set()
            await asyncio.Event().wait()

    wire.write(A, batch(0, rows(2)), 2)
    async with working(WiredWorker(wire, handler, drain_timeout=0.01)):
        await begun.wait()
    assert (_offset(wire), CommitMetadata.decode(wire.committed[A].metadata, 1).begun_to) == (1, 2)
    wire.write(A, batch(2, rows(1)), 1)
    wire.seek(A, 1)
    await _hand_over(wire, second, lambda: _offset(wire) == 3)
    assert _seen(second) == [(1, True), (2, False)]


async def test_hint_is_removed_before_the_first_record_is_begun() -> None:
    wire = Wire(A)
    wire.committed[A] = _meta(0, CommitMetadata(0).encode(0))
    hints: list[str] = []

    async def handler(record: Record) -> None:  # noqa: ARG001
        hints.append(wire.committed[A].metadata)

    wire.write(A, batch(0, rows(1)), 1)
    await _hand_over(wire, handler, lambda: _offset(wire) == 1)
    assert hints == [""]


async def test_partition_stays_closed_until_its_hint_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member that began a record beside the hint, and was killed, would have it begun again
    without a mark."""
    wire = Wire(A)
    wire.committed[A] = _meta(0, CommitMetadata(0).encode(0))
    commit, refused = wire.commit, [True]
    handled: list[tuple[bool, str]] = []

    async def refuse_once(offsets: Any) -> None:
        if refused:
            refused.pop()
            raise CommitFailedError("rebalanced")
        await commit(offsets)

    async def handler(record: Record) -> None:
        handled.append((record.maybe_seen, wire.committed[A].metadata))

    monkeypatch.setattr(wire, "commit", refuse_once)
    wire.write(A, batch(0, rows(1)), 1)
    await _hand_over(wire, handler, lambda: _offset(wire) == 1)
    assert handled == [(False, "")]


async def test_hint_beside_another_position_is_removed_and_not_believed() -> None:
    wire = Wire(A)
    wire.committed[A] = _meta(1, CommitMetadata(1).encode(1))
    handled: list[tuple[bool, str]] = []

    async def handler(record: Record) -> None:
        handled.append((record.maybe_seen, wire.committed[A].metadata))

    wire.write(A, batch(0, rows(2)), 2)
    await _hand_over(wire, handler, lambda: _offset(wire) == 2)
    assert handled == [(True, ""), (True, "")]


async def test_record_that_only_an_earlier_predecessor_may_have_seen_stays_seen() -> None:
    """The second member gets the offsets 0 to 3 without a hint and gives them up unbegun."""
    wire, third = Wire(A), Handled()
    wire.write(A, batch(0, rows(4)), 4)
    second = WiredWorker(wire, Handled(), max_in_flight_bytes=0)
    async with working(second):
        await until(lambda: _opened(second))
    assert CommitMetadata.decode(wire.committed[A].metadata, 0).begun_to == 4
    wire.write(A, batch(4, rows(1)), 1)
    await _hand_over(wire, third, lambda: _offset(wire) == 5)
    assert _seen(third) == [(0, True), (1, True), (2, True), (3, True), (4, False)]


def _opened(worker: WiredWorker) -> bool:
    partitions = worker._flow.partitions
    return A in partitions and partitions[A].seen_end is not None


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        None,
        "other",
        "tongban begun-to=",
        "tongban begun-to=x",
        "tongban begun-to=12 ",
        CommitMetadata(6).encode(6),
    ],
)
def test_metadata_without_a_valid_hint_is_ignored(metadata: str | None) -> None:
    assert CommitMetadata.decode(metadata, 7).begun_to is None


def _meta(offset: int, metadata: str) -> Any:
    return OffsetAndMetadata(offset, metadata)


@given(
    st.builds(
        CommitMetadata,
        st.none() | st.integers(7, 2**63 - 1),
        st.from_regex(r"[a-z0-9.-]{0,32}", fullmatch=True),
        st.frozensets(st.integers(8, 300), max_size=300),
    )
)
def test_metadata_is_read_as_it_was_written(metadata: CommitMetadata) -> None:
    assert CommitMetadata.decode(metadata.encode(7), 7) == metadata


@pytest.mark.parametrize("note", ["with space", "Upper", "x" * 33, "\n"])
def test_note_that_could_not_be_read_back_is_refused(note: str) -> None:
    with pytest.raises(ValueError, match="not a note"):
        CommitMetadata(note=note).encode(0)


async def test_note_stands_with_each_commit_and_is_told_to_the_next_owner() -> None:
    wire, said = Wire(A), ["first"]
    wire.write(A, batch(0, rows(1)), 1)
    first = WiredWorker(wire, Handled(), note=lambda *_: said[0])
    async with working(first):
        await until(lambda: _offset_if_any(wire) == 1)
        assert CommitMetadata.decode(wire.committed[A].metadata, 1) == (None, "first", frozenset())
        said[0] = "second"
        assert await first.commit_note()
        assert CommitMetadata.decode(wire.committed[A].metadata, 1) == (None, "second", frozenset())
    told: list[str] = []

    async def handler(record: Record) -> None:
        told.append(following.predecessor_note(record))
        told.append(wire.committed[A].metadata)

    wire.write(A, batch(1, rows(1)), 1)
    wire.seek(A, 1)
    following = WiredWorker(wire, handler)
    async with working(following):
        await until(lambda: _offset(wire) == 2)
    assert told == ["second", ""]


async def test_record_fetched_across_a_rebalance_waits_for_what_the_predecessor_told() -> None:
    wire, handled = Wire(A), Handled()
    worker = WiredWorker(wire, handled)
    wire.write(A, batch(0, rows(1)), 1)
    fetch, rebalances = wire.getmany, asyncio.Event()

    async def getmany(*tps: TopicPartition, **more: Any) -> Any:
        if tps and rebalances.is_set():
            rebalances.clear()
            await worker._revoked(wire)
            worker._assigned({A})
            wire.write(A, batch(1, rows(1)), 1)
        return await fetch(*tps, **more)

    wire.getmany = getmany  # type: ignore[method-assign]
    async with working(worker):
        await until(lambda: _offset_if_any(wire) == 1)
        rebalances.set()
        await until(lambda: _offset(wire) == 2)
    assert _seen(handled) == [(0, True), (1, False)]


async def test_changed_note_is_committed_though_nothing_else_is_due() -> None:
    wire, said, asked = Wire(A), ["first"], list[bool]()

    def note(_assigned_at: float, _predecessor_note: str, handing_over: bool) -> str:
        asked.append(handing_over)
        return "handed-over" if handing_over else said[0]

    wire.write(A, batch(0, rows(1)), 1)
    async with working(WiredWorker(wire, Handled(), note=note)):
        await until(lambda: _offset_if_any(wire) == 1)
        said[0] = "second"
        await until(lambda: _told(wire).note == "second")
        assert _offset(wire) == 1
        assert not any(asked)
    told = CommitMetadata.decode(wire.committed[A].metadata, 1)
    assert (told.begun_to, told.note) == (1, "handed-over")


async def test_what_is_done_behind_a_waiting_record_is_not_handled_again() -> None:
    wire, second = Wire(A), Handled()
    first = Handled()

    async def handler(record: Record) -> None:
        if record.offset == 0:
            raise Retry("for ever", after=600.0)
        first.records.append(record)

    wire.write(A, batch(0, rows(5)), 5)
    async with working(WiredWorker(wire, handler)):
        await until(lambda: _told(wire).done == {1, 2, 3, 4})
        assert wire.committed[A].offset == 0
    wire.write(A, batch(5, rows(1)), 1)
    wire.seek(A, 0)
    await _hand_over(wire, second, lambda: _offset(wire) == 6)
    assert _seen(second) == [(0, True), (5, False)]


async def test_what_is_done_is_told_on_by_an_owner_that_fetches_none_of_it() -> None:
    wire, third = Wire(A), Handled()
    wire.committed[A] = _meta(0, CommitMetadata(None, "", frozenset({1, 2})).encode(0))
    wire.write(A, batch(0, rows(4)), 4)
    second = WiredWorker(wire, Handled(), max_in_flight_bytes=0)
    async with working(second):
        await until(lambda: _opened(second))
    assert _told(wire).done == {1, 2}
    await _hand_over(wire, third, lambda: _offset(wire) == 4)
    assert [offset for offset, _ in _seen(third)] == [0, 3]


async def test_what_was_done_in_a_log_that_is_shorter_now_says_nothing() -> None:
    wire, handled = Wire(A), Handled()
    wire.committed[A] = _meta(10, CommitMetadata(None, "", frozenset({12})).encode(10))
    wire.write(A, batch(0, rows(2)), 2)
    wire.seek(A, 10)
    await _hand_over(wire, handled, lambda: _offset(wire) == 2)
    assert [offset for offset, _ in _seen(handled)] == [0, 1]
    assert not _told(wire).done


def _told(wire: Wire) -> CommitMetadata:
    meta = wire.committed.get(A)
    return CommitMetadata() if meta is None else CommitMetadata.decode(meta.metadata, meta.offset)
