"""A batch that cannot be unpacked costs the router no other record, and ends as one dead letter."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition

from tests.unit.kafka import fetcher_kit as kit
from tests.unit.kafka.fetcher_kit import Wire, batch, broken, rows
from tongban_kafka import BatchRetries, RetryPolicy
from tongban_router.faust_runtime.batch_reader import BatchReader, UnreadableBatch

GOOD, BAD = TopicPartition("requests.submitted", 0), TopicPartition("requests.submitted", 1)
TRIES = 3


class Reading:
    """Reads a wire with a router's reader and a clock that the test sets."""

    def __init__(self, *tps: TopicPartition) -> None:
        self.wire = Wire(*tps)
        self.now = 0.0
        self.reader = BatchReader(
            "tongban-router",
            retries=BatchRetries(tries=TRIES, retry=RetryPolicy(first=1.0, longest=1.0)),
            now=lambda: self.now,
        )

    async def read(self) -> dict[TopicPartition, list[Any]]:
        self.wire.fetch()
        wanted = set(self.wire.logs)
        return await self.reader.read(self.wire, wanted, 0.0)

    async def read_all(self) -> dict[TopicPartition, list[Any]]:
        """Read until long after the last try; return offsets in place of records."""
        found: dict[TopicPartition, list[Any]] = {tp: [] for tp in self.wire.logs}
        for _ in range(12):
            self.now += 2.0
            for tp, records in (await self.read()).items():
                found[tp] += [
                    record if isinstance(record, UnreadableBatch) else record.offset
                    for record in records
                ]
        return found


def place(stand_in: UnreadableBatch) -> tuple[int, int, str]:
    headers = dict(stand_in.letter[2])
    return stand_in.first, stand_in.last, headers["dlt_exception"].decode()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (batch(3, rows(4), kit.UNKNOWN), "UnsupportedCodecError"),
        (broken(batch(3, rows(4))), "CorruptRecordException"),
    ],
    ids=["unknown codec", "wrong checksum"],
)
async def test_an_unreadable_batch_stands_once_between_its_neighbours(
    data: bytes, error: str
) -> None:
    reading = Reading(GOOD, BAD)
    reading.wire.write(GOOD, batch(0, rows(5)), 5)
    for part, count in ((batch(0, rows(3)), 3), (data, 4), (batch(7, rows(2)), 2)):
        reading.wire.write(BAD, part, count)
    found = await reading.read_all()
    assert found[GOOD] == [0, 1, 2, 3, 4]
    (stand_in,) = [each for each in found[BAD] if isinstance(each, UnreadableBatch)]
    assert found[BAD] == [0, 1, 2, stand_in, 7, 8]
    first, last, exception = place(stand_in)
    assert (first, last) == (3, 6)
    assert exception.endswith(error)


async def test_dead_letter_of_a_batch_names_its_offsets_as_a_workers_does() -> None:
    reading = Reading(BAD)
    reading.wire.write(BAD, broken(batch(0, rows(3))), 3)
    (stand_in,) = (await reading.read_all())[BAD]
    key, value, headers = stand_in.letter
    assert (key, value) == (None, b"")
    named = {name: text.decode() for name, text in headers}
    assert (named["dlt_topic"], named["dlt_partition"]) == ("requests.submitted", "1")
    assert (named["dlt_offset"], named["dlt_next_offset"]) == ("0", "3")
    assert (named["dlt_reason"], named["dlt_attempts"]) == ("unreadable batch", str(TRIES))


async def test_damaged_header_takes_the_router_no_further_than_the_high_watermark() -> None:
    header = bytearray(broken(batch(0, rows(3))))
    header[23:27] = (1_000_000).to_bytes(4, "big")
    reading = Reading(BAD)
    reading.wire.write(BAD, bytes(header), 3)
    stand_ins: list[Any] = []
    for _ in range(TRIES):
        reading.now += 2.0
        stand_ins += (await reading.read()).get(BAD, [])
    assert [(each.first, each.last) for each in stand_ins] == [(0, 2)]
    reading.wire.logs[BAD] = [batch(3, rows(2))]
    reading.wire.ends[BAD] = 5
    assert (await reading.read_all())[BAD] == [3, 4]


async def test_a_batch_that_can_be_read_the_second_time_is_read() -> None:
    reading = Reading(BAD)
    reading.wire.write(BAD, broken(batch(0, rows(3))), 3)
    assert await reading.read() == {}
    reading.wire.logs[BAD] = [batch(0, rows(3))]
    assert (await reading.read_all())[BAD] == [0, 1, 2]


async def test_the_partition_of_an_unreadable_batch_alone_waits_for_its_next_read() -> None:
    reading = Reading(GOOD, BAD)
    reading.wire.write(BAD, broken(batch(0, rows(3))), 3)
    for _ in range(10):  # no time passes, so these are one read of the batch
        assert await reading.read() == {}
    reading.wire.write(GOOD, batch(0, rows(2)), 2)
    assert list(await reading.read()) == [GOOD]
    (stand_in,) = (await reading.read_all())[BAD]
    assert dict(stand_in.letter[2])["dlt_attempts"] == b"%d" % TRIES
