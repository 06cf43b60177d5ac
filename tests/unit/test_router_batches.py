"""A batch that cannot be unpacked costs no other record, and ends as one dead letter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from tongban_router.dispatch.batches import BatchReader, UnreadableBatch

GOOD, BAD = TopicPartition("requests.submitted", 0), TopicPartition("requests.submitted", 1)


def batch(first: int, count: int, *, codec: int | None = None, header: str = "h") -> bytes:
    """Bytes of a batch; `codec` overwrites the codec that its head names."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 10_000)
    for index in range(count):
        name = header if index == count - 1 else "h"
        assert builder.append(index, 0, b"k", b"v", [(name, b"x")]) is not None
    raw = bytearray(builder.build())
    raw[0:8] = first.to_bytes(8, "big")
    if codec is not None:
        raw[22] = codec
    if header == "hh":
        raw = bytearray(bytes(raw).replace(b"hh", b"\xff\xff"))
    return bytes(raw)


class Log:
    """Stands for aiokafka's fetcher over logs that are lists of batches."""

    def __init__(self, logs: dict[TopicPartition, list[tuple[int, bytes]]], *, crcs: bool) -> None:
        self.logs = logs
        self.crcs = crcs
        self._records: dict[TopicPartition, Any] = {}
        self._wait_consume_future = None
        self._closed = False
        self._subscriptions = SimpleNamespace(
            reassignment_in_progress=False, is_assigned=lambda _: True
        )
        self.states = {tp: State() for tp in logs}

    def seek_to(self, tp: TopicPartition, offset: int) -> None:
        self.states[tp].position = offset
        self._records.pop(tp, None)

    def _notify(self, _: Any) -> None: ...

    def fetch(self) -> None:
        """Do the background task's work: a response for each partition that has none."""
        for tp, batches in self.logs.items():
            position = self.states[tp].position
            raw = b"".join(data for last, data in batches if last >= position)
            if raw and tp not in self._records:
                records = PartitionRecords(
                    tp, MemoryRecords(raw), [], position, None, None, self.crcs, READ_UNCOMMITTED
                )
                assignment = SimpleNamespace(active=True, state_value=self.states.__getitem__)
                self._records[tp] = FetchResult(
                    tp, assignment=assignment, partition_records=records, backoff=0
                )


class State:
    position = 0
    paused = False

    def consumed_to(self, offset: int) -> None:
        self.position = offset


async def read_all(fetcher: Log) -> dict[TopicPartition, list[Any]]:
    reader = BatchReader()
    found: dict[TopicPartition, list[Any]] = {tp: [] for tp in fetcher.logs}
    for _ in range(8):
        fetcher.fetch()
        for tp, records in (await reader.read(fetcher, set(fetcher.logs), 0.0)).items():
            found[tp] += [
                record if isinstance(record, UnreadableBatch) else record.offset
                for record in records
            ]
    return found


@pytest.mark.parametrize(
    ("broken", "crcs", "expected"),
    [
        (batch(3, 4, codec=7), False, UnreadableBatch(3, 6, "UnsupportedCodecError")),
        (batch(3, 4, codec=0x40), True, UnreadableBatch(3, 6, "CorruptRecordException")),
        (batch(3, 4, codec=1), False, UnreadableBatch(3, 6, "zlib.error")),
    ],
    ids=["unknown codec", "wrong crc", "no gzip inside"],
)
async def test_an_unreadable_batch_stands_once_between_its_neighbours(
    broken: bytes, crcs: bool, expected: UnreadableBatch
) -> None:
    fetcher = Log(
        {
            GOOD: [(2, batch(0, 3)), (4, batch(3, 2))],
            BAD: [(2, batch(0, 3)), (6, broken), (8, batch(7, 2))],
        },
        crcs=crcs,
    )
    found = await read_all(fetcher)
    assert found[GOOD] == [0, 1, 2, 3, 4]
    assert found[BAD] == [0, 1, 2, expected, 7, 8]


async def test_records_before_an_unreadable_one_of_the_same_batch_are_kept() -> None:
    broken = batch(3, 4, header="hh")  # not UTF-8
    fetcher = Log({BAD: [(6, broken), (8, batch(7, 2))]}, crcs=False)
    fetcher.states[BAD].position = 3
    found = await read_all(fetcher)
    assert found[BAD] == [3, 4, 5, UnreadableBatch(6, 6, "UnicodeDecodeError"), 7, 8]


async def test_a_batch_that_can_be_read_the_second_time_is_read() -> None:
    fetcher = Log({BAD: [(2, batch(0, 3, codec=0x40))]}, crcs=True)
    fetcher.fetch()
    reader = BatchReader()
    assert await reader.read(fetcher, None, 0.0) == {}
    fetcher.logs[BAD] = [(2, batch(0, 3))]
    fetcher.fetch()
    records = (await reader.read(fetcher, None, 0.0))[BAD]
    assert [record.offset for record in records] == [0, 1, 2]
