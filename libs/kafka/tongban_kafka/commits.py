"""Commits the contiguous done prefix of each partition."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from tongban_kafka import faultpoints
from tongban_kafka.flow import Flow

log = structlog.get_logger(__name__)


class Committer:
    """Runs one commit at a time. A failed one loses nothing: the next includes its offsets."""

    def __init__(self, flow: Flow, *, timeout: float) -> None:
        self._flow = flow
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self.succeeded = 0
        self.failed = 0

    def due(self) -> dict[Any, int]:
        """Return the positions that are not committed yet."""
        positions = {}
        for tp, partition in self._flow.partitions.items():
            position = partition.tracker.position
            if position is not None and position != partition.committed:
                positions[tp] = position
        return positions

    async def commit(self, consumer: Any) -> bool:
        """Commit what is due, within the timeout. Return True if that succeeded. Kafka's errors
        are logged and counted, not raised."""
        try:
            # aiokafka would retry for ever while the coordinator is away; the worker calls again.
            async with asyncio.timeout(self._timeout), self._lock:
                await self._commit(consumer)
        except (CommitFailedError, IllegalStateError) as error:
            # The group has rebalanced without this member; the listener is about to be called.
            self.failed += 1
            log.warning("commit_refused", error=type(error).__name__)
            return False
        except (KafkaError, TimeoutError) as error:
            self.failed += 1
            log.warning("commit_failed", error=type(error).__name__)
            return False
        return True

    async def _commit(self, consumer: Any) -> None:
        partitions = self._flow.partitions
        due = self.due()
        if not due:
            return
        faultpoints.reached("worker.before_commit")
        await consumer.commit(due)
        faultpoints.reached("worker.after_commit")
        self.succeeded += 1
        now = time.monotonic()
        for tp, position in due.items():
            partitions[tp].committed = position
            partitions[tp].moved_at = now
