"""Handles a partition whose next batch cannot be read, while the other partitions go on."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any

import structlog

from tongban_kafka._aiokafka.fetching import UnreadableBatchError
from tongban_kafka.config import WorkerConfig
from tongban_kafka.failures import Failures
from tongban_kafka.flow import Flow, Spawn
from tongban_kafka.partition import Partition
from tongban_kafka.unreadable import (
    BatchRetries,
    batch_dead_letter,
    describe_batch,
    offset_after,
)

log = structlog.get_logger(__name__)


class BatchFailures:
    """Reads an unreadable batch again a few times, with exponential back-off; then writes one dead
    letter for it and seeks behind it. Only the batch's partition is paused meanwhile."""

    def __init__(
        self,
        config: WorkerConfig,
        flow: Flow,
        failures: Failures,
        consumer: Any,
        *,
        spawn: Spawn,
    ) -> None:
        self._config = config
        self._flow = flow
        self._failures = failures
        self._consumer = consumer
        self._spawn = spawn
        self._retries = BatchRetries()

    def failed(self, error: UnreadableBatchError) -> None:
        """Handle one failed read: wait for the next one, or give the batch up."""
        partition = self._flow.partitions.get(error.tp)
        if partition is None or self._flow.draining:
            return
        delay = self._retries.failed(error)
        if self._retries.reads(error) == 1:
            log.error("batch_unreadable", **describe_batch(error))
        partition.paused = True
        self._consumer.pause(partition.tp)
        if delay is not None:
            partition.blocked_until = time.monotonic() + delay
            return
        partition.blocked_until = math.inf
        self._flow.start_aside(
            self._spawn, partition, partial(self._give_up, partition, error), self._flow.changed.set
        )

    async def _give_up(self, partition: Partition, error: UnreadableBatchError) -> None:
        tp = partition.tp
        place = f"{tp.topic}/{tp.partition}@{error.first_offset}"
        if not self._failures.admit(place):
            return
        after = offset_after(self._consumer, error)
        letter = batch_dead_letter(
            self._config.group,
            error,
            after,
            attempts=self._retries.reads(error),
            since=self._retries.since(error),
        )
        log.error("batch_given_up", **{**describe_batch(error), "next_offset": after})
        written = await self._failures.until_done(place, lambda: self._failures.write_aside(letter))
        if not written or partition.revoked:
            return
        # Await nothing from here on: a rebalance in between would move the position.
        partition.tracker.skip(after)
        partition.stats.dead_lettered += 1
        partition.blocked_until = 0.0
        self._retries.forget(tp)
        self._consumer.seek(tp, after)
