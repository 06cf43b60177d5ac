"""Tests a worker whose partition has a batch that cannot be read, without a broker."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from tests.unit.kafka import fetcher_kit as kit
from tests.unit.kafka.fetcher_kit import Wire, batch, broken, rows
from tests.unit.kafka.worker_kit import QUICK, Handled, WiredWorker, until, working
from tongban_kafka import DeadLetterLimit, DeadLetterLimitError, Record, unreadable
from tongban_ops.operators.dead_letters import read_letter

A, B = TopicPartition("a", 0), TopicPartition("b", 0)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable.BatchRetries.__init__, "__kwdefaults__", {
        "tries": 4, "retry": QUICK,
    })  # fmt: skip


def _last(worker: WiredWorker, tp: TopicPartition) -> int | None:
    known = [offsets[tp] for offsets in worker.wire.commits if tp in offsets]
    return known[-1] if known else None


@pytest.mark.parametrize("share", [1000, 4])
async def test_unreadable_batch_becomes_one_dead_letter_and_no_record_is_lost(share: int) -> None:
    wire, handled = Wire(A, B), Handled()
    for base in range(0, 40, 10):
        wire.write(A, batch(base, rows(10), kit.ZSTD), 10)
    wire.write(B, batch(0, rows(5)), 5)
    wire.write(B, batch(5, rows(3), kit.UNKNOWN), 3)
    wire.write(B, batch(8, rows(4)), 4)
    worker = WiredWorker(wire, handled, max_in_flight=share)
    async with working(worker):
        await until(lambda: _last(worker, A) == 40 and _last(worker, B) == 12)
    assert handled.offsets("a") == list(range(40))
    assert handled.offsets("b") == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    (letter,) = worker.letters.written
    assert (letter["key"], letter["value"]) == (b"", b"")
    assert letter["dlt_topic"] == b"b"
    assert letter["dlt_partition"] == b"0"
    assert letter["dlt_base_offset"] == b"5"
    assert letter["dlt_next_offset"] == b"8"
    assert letter["dlt_attempts"] == b"4"
    assert worker.metric("dead_lettered_total", topic="b") == 1
    assert worker.metric("skipped_total", topic="b") == 0
    assert worker.metric("unreadable_partitions") == 0


async def test_other_partitions_go_on_while_a_batch_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(unreadable.BatchRetries.__init__.__kwdefaults__, "tries", 10**9)
    wire, handled = Wire(A, B), Handled()
    wire.write(B, broken(batch(0, rows(3))), 3)
    worker = WiredWorker(wire, handled)
    async with working(worker):
        await until(lambda: worker.metric("unreadable_partitions") == 1)
        for base in range(0, 100, 10):
            wire.write(A, batch(base, rows(10)), 10)
            await until(lambda base=base: _last(worker, A) == base + 10)  # type: ignore[misc]
        assert worker.metric("unreadable_partitions") == 1
    assert worker.letters.written == []
    assert _last(worker, B) == 0


async def test_batch_that_was_garbled_in_transfer_is_read_the_next_time() -> None:
    wire, handled = Wire(B), Handled()
    good = batch(0, rows(3))
    wire.write(B, broken(good), 3)
    worker = WiredWorker(wire, handled)
    async with working(worker):
        await until(lambda: worker.metric("unreadable_partitions") == 1)
        wire.logs[B][0] = good
        await until(lambda: _last(worker, B) == 3)
    assert handled.offsets("b") == [0, 1, 2]
    assert worker.letters.written == []


async def test_unreadable_batches_count_for_the_dead_letter_limit() -> None:
    wire, handled = Wire(B), Handled()
    for base in range(0, 15, 3):
        wire.write(B, batch(base, rows(3), kit.UNKNOWN), 3)
    worker = WiredWorker(wire, handled, dead_letter_limit=DeadLetterLimit(max_count=2))
    with pytest.raises(DeadLetterLimitError, match="b/0@6"):
        await worker.run()
    assert len(worker.letters.written) == 2
    assert _last(worker, B) == 6


async def test_dead_letter_of_a_batch_is_described_to_operators() -> None:
    error = unreadable.UnreadableBatchError(
        B, base_offset=5, first_offset=6, next_offset=8, reason="x.CorruptRecordException"
    )
    key, value, headers = unreadable.batch_dead_letter("g", error, 8, attempts=4, since=1.0)
    record = Record("g.dlt", 0, 0, 0, key, value, tuple(headers), True, 0.0)
    letter = read_letter(record)
    assert letter.event is None
    assert letter.place == "b/0@6"
    assert letter.fault == "an unreadable batch: offsets 6 to 7 were not handled"
