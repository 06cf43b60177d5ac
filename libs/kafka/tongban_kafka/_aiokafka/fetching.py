"""Replaces the functions of aiokafka's fetcher that lose records next to an unreadable batch.

A batch is unreadable when its codec is unknown, its checksum is wrong, its records do not parse or
it would unpack to more than `unpacking.MAX_BYTES`. aiokafka's consumer stops at such a batch and
names no offset behind it (aio-libs/aiokafka#321). Version 0.14 also loses records in two ways:

- `Fetcher.fetched_records` drains one partition after the other into a local dict. When a batch of
  one of them raises, the records already drained from the others are lost, and their positions
  have moved.
- `FetchResult.getall` loses the records in front of the unreadable batch in the same way, and then
  fetches and loses them again and again.

`mend_fetching` replaces both. An unreadable batch then raises `UnreadableBatchError`, which names
the offset behind the batch, and only when there are no records to return.
`docs/upstream/aiokafka-drained-records.md` reports them,
`tests/unit/kafka/test_unreadable.py` reproduces both, and fails when an upgrade of aiokafka moves
what is replaced here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher as client
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from tongban_kafka.errors import MessagingError

_READS = Counter(
    "tongban_kafka_unreadable_batch_reads",
    "reads of a batch that failed: unknown codec, wrong checksum, broken records, too large",
    ["topic"],
)


class UnreadableBatchError(MessagingError, KafkaError):  # type: ignore[misc]
    """Raised when a batch cannot be read. The consumer's position stays in front of the batch.

    Args:
        base_offset: the offset in the batch's header.
        first_offset: the first offset of the batch that was not returned. It is above `base_offset`
            when the first records of the batch were readable or had been read before.
        next_offset: the first offset after the batch, as far as its header can be trusted; see
            `tongban_kafka.offset_after`.
        reason: the type of the exception behind it, without its text, which may quote a record.
    """

    def __init__(
        self, tp: Any, *, base_offset: int, first_offset: int, next_offset: int, reason: str
    ) -> None:
        super().__init__(
            f"{tp.topic}/{tp.partition}: the batch at {base_offset} cannot be read from offset "
            f"{first_offset} on; the next one begins at {next_offset} ({reason})"
        )
        self.tp = tp
        self.base_offset = base_offset
        self.first_offset = first_offset
        self.next_offset = next_offset
        self.reason = reason


class _Remembering:
    """Wraps aiokafka's MemoryRecords and keeps the batch that was returned last."""

    __slots__ = ("batch", "has_next", "records")

    def __init__(self, records: Any) -> None:
        self.records = records
        self.has_next = records.has_next
        self.batch: Any = None

    def next_batch(self) -> Any:
        self.batch = None
        self.batch = self.records.next_batch()
        return self.batch


def _unpack(self: Any) -> Iterator[Any]:
    """Replace `PartitionRecords._unpack_records`: every error of a batch becomes an
    `UnreadableBatchError`."""
    self._records = records = _Remembering(self._records)
    try:
        yield from _unpack_records(self)
    except MemoryError:  # the process is at fault, not the batch
        raise
    except Exception as error:
        raise _unreadable(self, records, error) from error


def _unreadable(partition: Any, records: _Remembering, error: Exception) -> UnreadableBatchError:
    batch, first = records.batch, partition.next_fetch_offset
    base = getattr(batch, "base_offset", first)
    after = first + 1 if batch is None else max(batch.next_offset, first + 1)
    try:
        following = records.next_batch() if records.has_next() else None
    except KafkaError:
        following = None
    begins = getattr(following, "base_offset", after)
    if first < begins < after:
        after = begins
    _READS.labels(partition._tp.topic).inc()
    return UnreadableBatchError(
        partition._tp,
        base_offset=min(base, first),
        first_offset=first,
        next_offset=after,
        reason=f"{type(error).__module__}.{type(error).__qualname__}",
    )


def _get_all(self: Any, max_records: int | None = None) -> list[Any]:
    """Replace `FetchResult.getall`: return the records in front of an unreadable batch."""
    if not self.check_assignment(self._topic_partition) or not self.has_more():
        return []
    records: list[Any] = []
    try:
        for record in self._partition_records:
            records.append(record)
            if max_records is not None and len(records) >= max_records:
                self._update_position()
                return records
    except UnreadableBatchError:
        if not records:
            raise
        # The next fetch begins at the unreadable batch, which raises then.
    self._update_position()
    self._partition_records = None
    return records


async def _fetched_records(
    self: Any, partitions: Any, timeout: float = 0, max_records: int | None = None
) -> dict[Any, list[Any]]:
    """Replace `Fetcher.fetched_records`: raise only when no records were drained."""
    ends_at = time.monotonic() + timeout
    while True:
        if self._subscriptions.reassignment_in_progress:
            await self._subscriptions.wait_for_assignment()
        drained = _drain(self, partitions, max_records)
        left = ends_at - time.monotonic()
        if drained or left <= 0:
            return drained
        waiter = self._create_fetch_waiter()
        done, pending = await asyncio.wait([waiter], timeout=left)
        if not done or self._closed:
            for future in pending:
                future.cancel()
            return {}
        waiter.result()  # raises the broker's refusal of the fetch, if there was one


def _drain(self: Any, partitions: Any, max_records: int | None) -> dict[Any, list[Any]]:
    drained: dict[Any, list[Any]] = {}
    for tp in list(self._records):
        if partitions and tp not in partitions:
            if not self._subscriptions.is_assigned(tp):
                del self._records[tp]
            continue
        found = self._records[tp]
        error: client.FetchError | None = None
        if type(found) is client.FetchResult:
            try:
                records = found.getall(max_records)
            except UnreadableBatchError as raised:
                error = client.FetchError(error=raised, backoff=self._prefetch_backoff)
        else:
            error = found
        if error is not None:
            if drained:
                # A later call raises it: raising now would lose what has been drained.
                self._records[tp] = error
                return drained
            del self._records[tp]
            self._notify(self._wait_consume_future)
            error.check_raise()
        if not found.has_more():
            del self._records[tp]
            self._notify(self._wait_consume_future)
        if records:
            drained[tp] = records
            if max_records is not None:
                max_records -= len(records)
                if max_records <= 0:
                    break
    return drained


_unpack_records: Any = client.PartitionRecords._unpack_records


def mend_fetching() -> None:
    """Replace the three functions for all consumers of this process. Idempotent."""
    client.PartitionRecords._unpack_records = _unpack
    client.FetchResult.getall = _get_all
    client.Fetcher.fetched_records = _fetched_records
