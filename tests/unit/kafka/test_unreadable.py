"""Tests batches that cannot be read on aiokafka's real fetcher, without a broker."""

from __future__ import annotations

import gzip

import pytest
from aiokafka import TopicPartition
from aiokafka.record import _crecords

from tests.unit.kafka import fetcher_kit as kit
from tests.unit.kafka.fetcher_kit import Wire, batch, broken, rows
from tongban_kafka import BatchRetries, UnreadableBatchError, batch_dead_letter, offset_after
from tongban_kafka._aiokafka import unpacking

A, B = TopicPartition("a", 0), TopicPartition("b", 0)
_BROKEN = {
    "unknown codec": batch(0, rows(3), kit.UNKNOWN),
    "wrong checksum": broken(batch(0, rows(3))),
    "header name that is not UTF-8": batch(0, rows(3), headers=[("naïve", b"1")]).replace(
        "ï".encode(), b"\xff\xfe"
    ),
}


def _fixed(data: bytes) -> bytes:
    """Return the batch with a correct checksum."""
    attributes = int.from_bytes(data[21:23], "big")
    return bytes(kit.with_attributes(bytearray(data), attributes))


@pytest.mark.parametrize("codec", [kit.NONE, kit.GZIP, kit.SNAPPY, kit.LZ4, kit.ZSTD])
async def test_every_codec_of_kafka_is_read(codec: int) -> None:
    wire = Wire(A)
    wire.write(A, batch(0, rows(50, b"v" * 1000), codec), 50)
    found = await wire.getmany(A)
    assert [record.value for record in found[A]] == [b"v" * 1000] * 50


@pytest.mark.parametrize("what", _BROKEN)
async def test_unreadable_batch_leaves_other_partitions_their_drained_records(what: str) -> None:
    data = _BROKEN[what] if what == "wrong checksum" else _fixed(_BROKEN[what])
    for tps in ((A, B), (B, A)):
        wire = Wire(*tps)
        wire.write(A, batch(0, rows(15)), 15)
        wire.write(B, data, 3)
        found, failures = [], []
        for _ in range(6):
            try:
                for records in (await wire.getmany(A, B, max_records=10)).values():
                    found += [record.offset for record in records]
            except UnreadableBatchError as error:
                failures.append(error)
        assert found == list(range(15))
        assert failures
        assert {(e.tp, e.base_offset, e.first_offset, e.next_offset) for e in failures} == {
            (B, 0, 0, 3)
        }


async def test_records_in_front_of_an_unreadable_batch_are_returned_first() -> None:
    wire = Wire(A)
    wire.write(A, batch(0, rows(5)), 5)
    wire.write(A, broken(batch(5, rows(3))), 3)
    wire.write(A, batch(8, rows(2)), 2)
    found = await wire.getmany(A)
    assert [record.offset for record in found[A]] == [0, 1, 2, 3, 4]
    with pytest.raises(UnreadableBatchError, match="the next one begins at 8") as raised:
        await wire.getmany(A)
    wire.seek(A, offset_after(wire, raised.value))
    assert [record.offset for record in (await wire.getmany(A))[A]] == [8, 9]


async def test_damaged_header_skips_neither_the_next_batch_nor_beyond_the_end() -> None:
    header = bytearray(broken(batch(0, rows(3))))
    header[23:27] = (1_000_000).to_bytes(4, "big")
    wire = Wire(A)
    wire.write(A, bytes(header), 3)
    with pytest.raises(UnreadableBatchError) as alone:
        await wire.getmany(A)
    assert offset_after(wire, alone.value) == 3
    wire.write(A, batch(3, rows(2)), 2)
    wire.seek(A, 0)
    with pytest.raises(UnreadableBatchError) as followed:
        await wire.getmany(A)
    assert offset_after(wire, followed.value) == 3


@pytest.mark.parametrize("codec", [kit.GZIP, kit.SNAPPY, kit.LZ4, kit.ZSTD])
async def test_batch_that_unpacks_to_too_much_is_unreadable(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MAX_BYTES", 1024 * 1024)
    wire = Wire(A)
    wire.write(A, batch(0, rows(2, b"\0" * 700_000), codec), 2)
    with pytest.raises(UnreadableBatchError, match="BatchTooLargeError"):
        await wire.getmany(A)


def test_gzip_of_several_members_is_read_and_a_cut_one_refused() -> None:
    two = gzip.compress(b"one") + gzip.compress(b"two")
    assert unpacking.gzip_decode(two) == b"onetwo"
    with pytest.raises(EOFError):
        unpacking.gzip_decode(two[:-1])


async def test_memory_error_is_not_taken_for_an_unreadable_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted(_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(_crecords.default_records, "gzip_decode", exhausted)
    wire = Wire(A)
    wire.write(A, batch(0, rows(2), kit.GZIP), 2)
    with pytest.raises(MemoryError):
        await wire.getmany(A)


def _error(first: int = 5) -> UnreadableBatchError:
    return UnreadableBatchError(A, base_offset=4, first_offset=first, next_offset=9, reason="x.Y")


def test_batch_is_given_up_after_some_reads_and_counted_anew_after_it() -> None:
    retries = BatchRetries(tries=3)
    waits = [retries.failed(_error()) for _ in range(3)]
    assert waits[0] is not None
    assert waits[1] is not None
    assert waits[2] is None
    assert retries.reads(_error()) == 3
    assert retries.failed(_error(first=9)) is not None
    retries.forget(A)
    assert retries.reads(_error()) == 0


def test_dead_letter_of_a_batch_says_where_it_is_and_holds_nothing_of_it() -> None:
    key, value, headers = batch_dead_letter("g", _error(), 9, attempts=5, since=1.0)
    told = dict(headers)
    assert (key, value) == (None, b"")
    assert told["dlt_topic"] == b"a"
    assert told["dlt_partition"] == b"0"
    assert told["dlt_base_offset"] == b"4"
    assert told["dlt_offset"] == b"5"
    assert told["dlt_next_offset"] == b"9"
    assert told["dlt_exception"] == b"x.Y"
    assert told["dlt_attempts"] == b"5"
