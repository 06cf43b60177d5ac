"""Reports the state of a worker to probes, to Prometheus and to handlers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tongban_kafka import refusals
from tongban_kafka.commits import Committer
from tongban_kafka.config import WorkerConfig
from tongban_kafka.flow import Flow
from tongban_kafka.lease import Lease
from tongban_kafka.partition import TopicStats


@dataclass(frozen=True, slots=True)
class WorkerProgress:
    """Describes a worker's activity at one moment. Ages are seconds."""

    running: bool
    turn_age: float
    """Age of the fetching loop's last turn; it grows only when the loop is stuck."""
    coordinator_age: float | None
    """Age of the coordinator's last answer; None before the first."""
    lease_remaining: float
    assigned: int
    handled: int
    """Records that were handled successfully since the start."""
    in_flight: int
    under_way: int
    stalled: float
    """Age of the last progress of the slowest partition that has unfinished records."""


class WorkerHealth:
    """Collects the state of a worker; the runtime updates it."""

    def __init__(
        self, config: WorkerConfig, flow: Flow, lease: Lease, committer: Committer
    ) -> None:
        self.group = config.group
        self._config = config
        self._flow = flow
        self._lease = lease
        self._committer = committer
        self.consumer: Any = None
        self.running = False
        self.ended = False
        self.rebalances = 0
        self.drain_timeouts = 0
        self._turned_at = time.monotonic()

    def turned(self) -> None:
        """Record a turn of the fetching loop, or an attempt to connect."""
        self._turned_at = time.monotonic()

    def progress(self) -> WorkerProgress:
        """Return a snapshot of the worker's activity."""
        now = time.monotonic()
        return WorkerProgress(
            running=self.running,
            turn_age=now - self._turned_at,
            coordinator_age=self._lease.age(),
            lease_remaining=self._lease.remaining(),
            assigned=len(self._flow.partitions),
            handled=sum(stats.handled for stats in self._flow.stats.values()),
            in_flight=self._flow.held,
            under_way=self._flow.under_way,
            stalled=max(
                (
                    now - partition.moved_at
                    for partition in self._flow.partitions.values()
                    if partition.tracker.unfinished
                ),
                default=0.0,
            ),
        )

    def liveness(self) -> str | None:
        """Return None, or the reason to restart the process. An unreachable Kafka is no reason."""
        progress = self.progress()
        if self.ended:
            return f"worker {self.group} has ended"
        if progress.running and progress.turn_age > self._config.stuck_after:
            return f"worker {self.group} has not turned for {progress.turn_age:.0f} s"
        return None

    def readiness(self) -> str | None:
        """Return None, or the reason why the worker handles nothing at present."""
        if self._lease.age() is None:
            return refusals.explain(f"worker {self.group} has not joined yet")
        if self._lease.held and self._lease.remaining() == 0:
            return refusals.explain(f"worker {self.group} cannot reach its coordinator")
        return self.liveness()

    # --- for the metrics collector

    def topic_stats(self) -> Iterable[TopicStats]:
        """Return the counters of each topic."""
        return self._flow.stats.values()

    def gauges(self) -> dict[str, float]:
        """Return gauges by their name without `tongban_worker_`."""
        progress = self.progress()
        return {
            "in_flight": progress.in_flight,
            "under_way": progress.under_way,
            "paused_partitions": sum(p.paused for p in self._flow.partitions.values()),
            "assigned_partitions": progress.assigned,
            "unreadable_partitions": sum(
                p.blocked_until > 0 for p in self._flow.partitions.values()
            ),
            "stalled_seconds": progress.stalled,
            "lease_seconds": progress.lease_remaining,
            "turn_age_seconds": progress.turn_age,
        }

    def counters(self) -> dict[str, int]:
        """Return counters by their name without `tongban_worker_`."""
        return {
            "commits": self._committer.succeeded,
            "commit_failures": self._committer.failed,
            "rebalances": self.rebalances,
            "drain_timeouts": self.drain_timeouts,
        }

    def lags(self) -> Iterable[tuple[str, int, int]]:
        """Return topic, partition and lag in records of each partition."""
        if self.consumer is None:
            return
        for tp, partition in self._flow.partitions.items():
            highwater = self.consumer.highwater(tp)
            end = partition.seen_end if highwater is None else highwater
            if end is not None and partition.tracker.position is not None:
                yield tp.topic, tp.partition, max(0, end - partition.tracker.position)
