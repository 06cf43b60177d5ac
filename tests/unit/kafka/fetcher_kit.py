"""aiokafka's real fetcher without a broker: batches are laid in as fetch responses would be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import OffsetAndMetadata

NONE, GZIP, SNAPPY, LZ4, ZSTD, UNKNOWN = 0, 1, 2, 3, 4, 7
_CRC_AT = 17
_ATTRIBUTES_AT = 21

Rows = Iterable[tuple[bytes | None, bytes | None]]


def batch(base: int, rows: Rows, codec: int = NONE, headers: Any = ()) -> bytes:
    """A batch of records (key, value) as a broker stores it."""
    rows = list(rows)
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec if codec != UNKNOWN else NONE, is_transactional=0,
        producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=100 * 1024 * 1024,
    )  # fmt: skip
    for number, (key, value) in enumerate(rows):
        builder.append(number, 0, key, value, list(headers))
    data = bytearray(builder.build())
    data[0:8] = base.to_bytes(8, "big")
    if codec == UNKNOWN:
        data = with_attributes(data, UNKNOWN)
    return bytes(data)


def with_attributes(data: bytearray, attributes: int) -> bytearray:
    """The batch with other attributes and the checksum that fits them."""
    data[_ATTRIBUTES_AT : _ATTRIBUTES_AT + 2] = attributes.to_bytes(2, "big")
    data[_CRC_AT : _CRC_AT + 4] = crc32c(bytes(data[_ATTRIBUTES_AT:])).to_bytes(4, "big")
    return data


def broken(data: bytes) -> bytes:
    """The batch with a wrong checksum."""
    changed = bytearray(data)
    changed[_CRC_AT] ^= 0xFF
    return bytes(changed)


def rows(count: int, value: bytes = b"v") -> list[tuple[bytes | None, bytes | None]]:
    return [(b"k%d" % number, value) for number in range(count)]


async def _nothing() -> None:
    return None


class Wire:
    """Logs of partitions, and a consumer that reads them: enough of AIOKafkaConsumer for ours."""

    def __init__(self, *tps: TopicPartition) -> None:
        self.subscriptions = SubscriptionState(loop=asyncio.get_running_loop())
        self.subscriptions.assign_from_user(list(tps))
        self.logs: dict[TopicPartition, list[bytes]] = {tp: [] for tp in tps}
        self.ends: dict[TopicPartition, int] = dict.fromkeys(tps, 0)
        self.begins: dict[TopicPartition, int] = dict.fromkeys(tps, 0)
        for tp in tps:
            self.state(tp).reset_to(0)
        client = SimpleNamespace(cluster=SimpleNamespace(), _loop=asyncio.get_running_loop())
        self._fetcher: Any = Fetcher.__new__(Fetcher)
        self._fetcher._subscriptions = self.subscriptions
        self._fetcher._client = client
        self._fetcher._records = {}
        self._fetcher._closed = False
        self._fetcher._fetch_waiters = set()
        self._fetcher._wait_consume_future = None
        self._fetcher._prefetch_backoff = 0.0
        self._fetcher._loop = asyncio.get_running_loop()
        self._closed = False
        self._coordinator = SimpleNamespace(
            _coordination_task=None,
            _heartbeat_task=None,
            fetch_committed_offsets=self._committed,
        )
        self._fetcher._fetch_task = None
        self._client = SimpleNamespace(_sync_task=None, close=_nothing)
        self.commits: list[dict[TopicPartition, int]] = []
        self.committed: dict[TopicPartition, OffsetAndMetadata] = {}

    def state(self, tp: TopicPartition) -> Any:
        return self.subscriptions.subscription.assignment.state_value(tp)

    def write(self, tp: TopicPartition, data: bytes, count: int) -> None:
        """Append a batch of so many records to the log; it must carry the right base offset."""
        self.logs[tp].append(data)
        self.ends[tp] = int.from_bytes(data[:8], "big") + count

    def make_anew(self, tp: TopicPartition) -> None:
        """Delete the topic and create it again: empty, with offsets from 0."""
        self.logs[tp], self.ends[tp] = [], 0

    def fetch(self) -> None:
        """Lay in what a broker would answer for each partition that has nothing laid in."""
        assignment = self.subscriptions.subscription.assignment
        for tp, log in self.logs.items():
            state = self.state(tp)
            if tp in self._fetcher._records or state.paused or not state.has_valid_position:
                continue
            if state.position > self.ends[tp]:
                state.seek(self.begins[tp])  # as `auto_offset_reset` earliest does
            rest = [
                data
                for data in log
                if int.from_bytes(data[:8], "big") + int.from_bytes(data[23:27], "big")
                >= state.position
            ]
            state.highwater = self.ends[tp]
            if rest:
                records = PartitionRecords(
                    tp, MemoryRecords(b"".join(rest)), [], state.position, None, None, True, 0
                )
                self._fetcher._records[tp] = FetchResult(
                    tp, assignment=assignment, partition_records=records, backoff=0
                )

    # --- as AIOKafkaConsumer

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Any]]:
        self.fetch()
        found: dict[TopicPartition, list[Any]] = await self._fetcher.fetched_records(
            tps, min(timeout_ms, 5) / 1000, max_records
        )
        return found

    def assignment(self) -> set[TopicPartition]:
        return set(self.logs)

    def highwater(self, tp: TopicPartition) -> int | None:
        value: int | None = self.state(tp).highwater
        return value

    def pause(self, *tps: TopicPartition) -> None:
        for tp in tps:
            self.state(tp).pause()

    def resume(self, *tps: TopicPartition) -> None:
        for tp in tps:
            self.state(tp).resume()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._fetcher.seek_to(tp, offset)

    async def position(self, tp: TopicPartition) -> int:
        position: int = self.state(tp).position
        return position

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.ends[tp] for tp in tps}

    async def beginning_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.begins[tp] for tp in tps}

    async def _committed(self, tps: list[TopicPartition]) -> dict[TopicPartition, Any]:
        return {tp: self.committed.get(tp, OffsetAndMetadata(-1, "")) for tp in tps}

    async def stop(self) -> None:
        self._closed = True

    async def commit(self, offsets: dict[TopicPartition, int | tuple[int, str]]) -> None:
        metas = {
            tp: OffsetAndMetadata(*at) if isinstance(at, tuple) else OffsetAndMetadata(at, "")
            for tp, at in offsets.items()
        }
        self.committed |= metas
        self.commits.append({tp: meta.offset for tp, meta in metas.items()})
