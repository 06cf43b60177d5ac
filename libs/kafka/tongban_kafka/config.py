"""What a worker can be told. Times are seconds, sizes are bytes or records as named."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tongban_kafka.security import KafkaAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter above a floor, for one key at a time.

    `max_attempts` counts for exceptions that nobody expected; `Retry` and transient errors are
    tried for ever, because a province that is down for a night is no reason to give a request up.
    None never gives up on anything but `Poison`.
    """

    first: float = 0.2
    longest: float = 30.0
    factor: float = 2.0
    max_attempts: int | None = 6

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the attempt of that number (1 is the first)."""
        exponent = min(attempt - 1, 32)
        ceiling = min(self.longest, self.first * self.factor**exponent)
        return random.uniform(ceiling / 2, ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterLimit:
    """How much may go to the dead-letter topic before the worker stops instead.

    Reached when `window` seconds hold more than `max_count` dead letters, or when at least
    `ratio_from` of them make up more than `max_ratio` of what ended in the window. The count takes
    in what other replicas and earlier lives of this process wrote, read from the topic at start:
    a supervisor that restarts the process does not get round it.
    """

    max_count: int = 100
    max_ratio: float = 0.5
    ratio_from: int = 20
    window: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """When a batch handler is called: at `size` records, or `linger` seconds after the first."""

    size: int = 500
    linger: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """One member of one consumer group.

    Args:
        bootstrap: the cluster, or `HOST:PORT[,HOST:PORT]` of one without TLS and SASL.
        group: the consumer group; its dead letters go to `<group>.dlt`.
        instance: a name that this replica keeps over a restart (static membership, KIP-345): its
            partitions then wait for it, for `session_timeout` at most, instead of moving. Two
            living processes of one name throw each other out.
        concurrency: handlers running at once.
        max_in_flight: records held in memory: queued, running, waiting for a retry or for an
            acknowledgement. Beyond it nothing is fetched, while polls and heartbeats go on.
        max_in_flight_per_partition: the same for one partition, so that one stuck partition leaves
            room for the others; None is half of `max_in_flight`.
        max_in_flight_bytes: the same in bytes of keys and values.
        max_span: offsets between the committed prefix and the newest fetched record of a
            partition. A key that is stuck pauses its partition there.
        commit_interval: how much work a killed process repeats at most, in seconds.
        drain_timeout: what handlers in flight get when partitions are given up or on stop.
        session_timeout: after so long without a heartbeat the coordinator gives the partitions of
            this member to others.
        fetch_wait: how long the broker may wait for records before it answers a fetch, and so how
            often the loop turns at least.
        fetch_min_bytes: how much the broker waits for meanwhile. A worker that nobody waits for
            should let it wait for many: every answer costs this process and the broker the same,
            with one record or with a hundred.
        fetch_apart: seconds from one fetch that brought records to the next, in which more may come
            that then come together. The first after a pause is not held up.
        handler_timeout: a handler is cancelled after it and retried; None leaves it to the handler.
        transient_errors: exception types that are retried for ever, besides `Retry`, Kafka's own
            and the trouble of the process (`tongban_kafka.trouble`).
        client: more arguments for aiokafka's clients; `bootstrap` brings those of security.
    """

    bootstrap: KafkaAddress
    group: str
    instance: str | None = None
    concurrency: int = 32
    max_in_flight: int = 1000
    max_in_flight_per_partition: int | None = None
    max_in_flight_bytes: int = 16 * 1024 * 1024
    max_span: int = 10_000
    commit_interval: float = 0.5
    commit_timeout: float = 5.0
    drain_timeout: float = 10.0
    session_timeout: float = 10.0
    heartbeat_interval: float = 3.0
    stuck_after: float = 60.0
    fetch_wait: float = 0.5
    fetch_min_bytes: int = 1
    fetch_apart: float = 0.005
    partition_fetch_bytes: int = 1024 * 1024
    handler_timeout: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letter_limit: DeadLetterLimit = field(default_factory=DeadLetterLimit)
    transient_errors: tuple[type[Exception], ...] = ()
    client: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dead_letter_topic(self) -> str:
        """Where a record goes that the worker gave up on."""
        return f"{self.group}.dlt"

    @property
    def partition_share(self) -> int:
        """Records that one partition may hold in memory."""
        return self.max_in_flight_per_partition or max(1, self.max_in_flight // 2)
