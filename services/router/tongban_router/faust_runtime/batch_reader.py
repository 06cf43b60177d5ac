"""Read what the Kafka client has fetched, also next to batches that cannot be read (ADR 0020)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import structlog

from tongban_kafka import (
    BatchRetries,
    DeadLetter,
    UnreadableBatchError,
    batch_dead_letter,
    describe_batch,
    offset_after,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """Stands for the offsets `first` to `last` of a partition, which cannot be unpacked."""

    first: int
    last: int
    letter: DeadLetter
    """The dead letter of the whole batch: key, value and headers."""


class BatchReader:
    """Returns what an aiokafka consumer has fetched, and a stand-in for each batch that cannot be
    unpacked. Use it in the consumer's own thread.

    `tongban_kafka` detects such batches, counts their reads and bounds what their headers claim
    (ADR 0020). The reader leaves the partition out of the fetches until the next read is due, while
    other partitions go on. After the last read the consumer seeks behind the batch, and the
    stand-in passes through Faust like a record: Faust commits the batch's offsets once its dead
    letter is written.

    Args:
        group: the consumer group that the dead letters name.
        now: returns monotonic seconds.
    """

    def __init__(
        self,
        group: str,
        *,
        retries: BatchRetries | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._retries = BatchRetries() if retries is None else retries
        self._now = now
        self._due: dict[Any, float] = {}
        """Partition -> monotonic time of the next read of its unreadable batch."""

    async def read(
        self, consumer: Any, wanted: Collection[Any] | None, timeout: float
    ) -> dict[Any, list[Any]]:
        """Wait at most `timeout` seconds for records of the wanted partitions (None means all).

        Returns:
            for each partition its records in order, or one `UnreadableBatch`.

        Raises:
            aiokafka.errors.KafkaError: the broker refused a fetch.
        """
        now = self._now()
        waits = {tp: due - now for tp, due in self._due.items() if due > now}
        if waits:
            timeout = min(timeout, *waits.values())
            wanted = [tp for tp in wanted or consumer.assignment() if tp not in waits]
            if not wanted:  # an empty list would mean all of them
                await asyncio.sleep(timeout)
                return {}
        try:
            fetched: dict[Any, list[Any]] = await consumer._fetcher.fetched_records(wanted, timeout)
        except UnreadableBatchError as error:
            return self._failed(consumer, error)
        for tp in self._due.keys() & fetched.keys():
            self._forget(tp)
        return fetched

    def _failed(self, consumer: Any, error: UnreadableBatchError) -> dict[Any, list[Any]]:
        """Count a failed read; after the last one seek behind the batch and return a stand-in."""
        tp, first = error.tp, error.first_offset
        delay = self._retries.failed(error)
        reads, since = self._retries.reads(error), self._retries.since(error)
        if reads == 1:
            log.error("router.batch_unreadable", **describe_batch(error))
        if delay is not None:
            self._due[tp] = self._now() + delay
            return {}
        self._forget(tp)
        after = offset_after(consumer, error)
        log.error("router.batch_given_up", **{**describe_batch(error), "next_offset": after})
        consumer.seek(tp, after)
        letter = batch_dead_letter(self._group, error, after, attempts=reads, since=since)
        return {tp: [UnreadableBatch(first, after - 1, letter)]}

    def _forget(self, tp: Any) -> None:
        self._due.pop(tp, None)
        self._retries.forget(tp)
