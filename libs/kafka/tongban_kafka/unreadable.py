"""Retries, gives up and describes batches that cannot be read.

`tongban_kafka._aiokafka.fetching` raises `UnreadableBatchError` for them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from tongban_kafka._aiokafka.fetching import UnreadableBatchError
from tongban_kafka.backoff import Backoff
from tongban_kafka.dead_letters import (
    DEAD_LETTER_BASE_OFFSET,
    DEAD_LETTER_NEXT_OFFSET,
    Cause,
    DeadLetter,
    dead_letter_headers,
)
from tongban_kafka.record import Record

TRIES = 5
"""Reads of one batch before it is given up: a transfer may garble a batch that the broker has
intact."""
_RETRY = Backoff(first=0.5, longest=5.0)


def offset_after(consumer: Any, error: UnreadableBatchError) -> int:
    """Return the offset to seek to in order to pass over the batch.

    A damaged header may claim any number of records, so the high watermark bounds the result.

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
    """Return key, value and headers of the one dead letter that represents the whole batch.

    It has neither key nor value. Its headers `dlt_topic`, `dlt_partition`, `dlt_base_offset`,
    `dlt_offset` (the first offset that was not handled) and `dlt_next_offset` locate the batch.

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
    extent = [
        (DEAD_LETTER_BASE_OFFSET, b"%d" % error.base_offset),
        (DEAD_LETTER_NEXT_OFFSET, b"%d" % next_offset),
    ]
    return None, b"", [*dead_letter_headers(group, record, cause), *extent]


def describe_batch(error: UnreadableBatchError) -> dict[str, Any]:
    """Return the fields that a log line about the batch has."""
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
    """Counts the failed reads of each partition's unreadable batch.

    Args:
        tries: reads before a batch is given up.
        retry: the exponential back-off between two reads.
    """

    def __init__(self, *, tries: int = TRIES, retry: Backoff = _RETRY) -> None:
        self._tries = tries
        self._retry = retry
        self._failing: dict[Any, _Failing] = {}

    def failed(self, error: UnreadableBatchError) -> float | None:
        """Count one failed read. Return the seconds to wait before the next one, or None to give
        the batch up."""
        failing = self._failing.get(error.tp)
        if failing is None or failing.first_offset != error.first_offset:
            failing = self._failing[error.tp] = _Failing(error.first_offset, time.time())
        failing.reads += 1
        return None if failing.reads >= self._tries else self._retry.delay(failing.reads)

    async def pass_over(self, consumer: Any, error: UnreadableBatchError) -> int | None:
        """Wait before the next read of the batch and return None. After its last read seek behind
        it instead, and return the offset sought."""
        delay = self.failed(error)
        if delay is not None:
            await asyncio.sleep(delay)
            return None
        after = offset_after(consumer, error)
        self.forget(error.tp)
        consumer.seek(error.tp, after)
        return after

    def reads(self, error: UnreadableBatchError) -> int:
        """Return how many reads of the partition's batch have failed."""
        failing = self._failing.get(error.tp)
        return 0 if failing is None else failing.reads

    def since(self, error: UnreadableBatchError) -> float:
        """Return the Unix time of the first failed read."""
        failing = self._failing.get(error.tp)
        return time.time() if failing is None else failing.since

    def forget(self, tp: Any) -> None:
        """Drop the count of a partition whose batch was read or given up."""
        self._failing.pop(tp, None)

    def __len__(self) -> int:
        return len(self._failing)
