"""Batches that cannot be read: found, told from their neighbours, and at last given up.

A batch is unreadable when its codec is unknown, its checksum is wrong, its records do not parse or
it would unpack to more than `unpacking.MAX_BYTES`. aiokafka 0.14 handles this badly in two ways:

- `Fetcher.fetched_records` drains one partition after the other into a local dict. When a batch of
  one of them raises, the records already drained from the others are lost, and their positions
  have moved.
- `FetchResult.getall` loses the records in front of the unreadable batch in the same way, and then
  fetches and loses them for ever.

`mend_fetching` replaces both. An unreadable batch raises `UnreadableBatchError`, which says where
the partition goes on after the batch, and only when there is nothing else to return. Everything
that reaches into aiokafka's private parts is in this file; its tests fail when an upgrade moves
them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher as client
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from tongban_kafka.config import RetryPolicy
from tongban_kafka.dead_letters import (
    BASE_OFFSET,
    NEXT_OFFSET,
    Cause,
    DeadLetter,
    dead_letter_headers,
)
from tongban_kafka.record import Record

TRIES = 5
"""Reads of one batch before it is given up: a transfer may garble what the broker has intact."""
_RETRY = RetryPolicy(first=0.5, longest=5.0)

_READS = Counter(
    "tongban_kafka_unreadable_batch_reads",
    "reads of a batch that failed: unknown codec, wrong checksum, broken records, too large",
    ["topic"],
)


class UnreadableBatchError(KafkaError):  # type: ignore[misc]
    """A batch cannot be read, now or ever. The consumer's position is in front of it.

    Args:
        tp: the partition.
        base_offset: of the batch, from its header.
        first_offset: the first offset of the batch that was not returned. Above `base_offset` where
            its first records could be read, or were read before.
        next_offset: where the partition goes on after the batch.
        reason: the type of the exception behind it; its text may quote a record.
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


def offset_after(consumer: Any, error: UnreadableBatchError) -> int:
    """Return the offset to seek to so that the partition goes on after the batch.

    A damaged header may claim any number of records, so the high watermark bounds what it says.

    Args:
        consumer: an `AIOKafkaConsumer` to which the partition is assigned.
    """
    tp = TopicPartition(error.tp.topic, error.tp.partition)
    highwater: int | None = consumer.highwater(tp) if tp in consumer.assignment() else None
    if highwater is None or highwater <= error.first_offset:
        return error.next_offset
    return min(error.next_offset, highwater)


def batch_dead_letter(
    group: str, error: UnreadableBatchError, next_offset: int, *, attempts: int, since: float
) -> DeadLetter:
    """Return key, value and headers of the one dead letter that stands for the batch.

    It has neither key nor value; `dlt_topic`, `dlt_partition`, `dlt_base_offset`, `dlt_offset` (the
    first offset that was not handled) and `dlt_next_offset` say where the batch is.

    Args:
        since: Unix time of the first failed read.
    """
    now = time.time()
    cause = Cause(
        reason="unreadable batch",
        exception=error.reason,
        where="",
        attempts=attempts,
        first_failed_at=since,
        last_failed_at=now,
    )
    record = Record(
        error.tp.topic, error.tp.partition, error.first_offset, round(now * 1000), None, None, (),
        False, 0.0,
    )  # fmt: skip
    extent = [(BASE_OFFSET, b"%d" % error.base_offset), (NEXT_OFFSET, b"%d" % next_offset)]
    return None, b"", [*dead_letter_headers(group, record, cause), *extent]


def describe(error: UnreadableBatchError) -> dict[str, Any]:
    """Return what a log line says about the batch."""
    return {
        "topic": error.tp.topic,
        "partition": error.tp.partition,
        "base_offset": error.base_offset,
        "first_offset": error.first_offset,
        "next_offset": error.next_offset,
        "error": error.reason,
    }


@dataclass(slots=True)
class _Failing:
    first_offset: int
    since: float
    reads: int = 0


class BatchRetries:
    """Counts failed reads of the unreadable batch of each partition.

    Args:
        tries: reads before a batch is given up.
        retry: the back-off between them.
    """

    def __init__(self, *, tries: int = TRIES, retry: RetryPolicy = _RETRY) -> None:
        self._tries = tries
        self._retry = retry
        self._failing: dict[Any, _Failing] = {}

    def failed(self, error: UnreadableBatchError) -> float | None:
        """Count one failed read; return the seconds to wait before the next, or None if the batch
        is to be given up."""
        failing = self._failing.get(error.tp)
        if failing is None or failing.first_offset != error.first_offset:
            failing = self._failing[error.tp] = _Failing(error.first_offset, time.time())
        failing.reads += 1
        return None if failing.reads >= self._tries else self._retry.delay(failing.reads)

    def reads(self, error: UnreadableBatchError) -> int:
        """Return how many reads of the partition's batch have failed."""
        failing = self._failing.get(error.tp)
        return 0 if failing is None else failing.reads

    def since(self, error: UnreadableBatchError) -> float:
        """Return the Unix time of the first failed read."""
        failing = self._failing.get(error.tp)
        return time.time() if failing is None else failing.since

    def forget(self, tp: Any) -> None:
        """Count from the beginning: the batch could be read, was given up, or is another's."""
        self._failing.pop(tp, None)

    def __len__(self) -> int:
        return len(self._failing)


class _Remembering:
    """aiokafka's MemoryRecords, keeping the batch that it returned last."""

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
    """`PartitionRecords._unpack_records`, raising `UnreadableBatchError` alone."""
    self._records = records = _Remembering(self._records)
    try:
        yield from _unpack_records(self)
    except MemoryError:  # the fault of the process, not of the batch
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
    """`FetchResult.getall`, returning what could be read in front of an unreadable batch."""
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
        # Fetched again from there, the batch comes first and raises.
    self._update_position()
    self._partition_records = None
    return records


async def _fetched_records(
    self: Any, partitions: Any, timeout: float = 0, max_records: int | None = None
) -> dict[Any, list[Any]]:
    """`Fetcher.fetched_records`, raising only while it has drained nothing."""
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
        waiter.result()  # raises what the fetcher was refused


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
                # Raised by a later call, when nothing that was drained before it is lost.
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
    """Replace the functions named above for all consumers of this process. Idempotent."""
    client.PartitionRecords._unpack_records = _unpack
    client.FetchResult.getall = _get_all
    client.Fetcher.fetched_records = _fetched_records
