"""Defines the options of a worker. Times are seconds; sizes are bytes or records as named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tongban_kafka.backoff import Backoff
from tongban_kafka.security import KafkaAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Backoff):
    """Delays attempts by exponential back-off, and limits their number.

    `max_attempts` limits the attempts after unexpected exceptions; None is without limit. `Retry`
    and transient errors are retried for ever, because a neighbour that is down for a night is no
    reason to give a record up.
    """

    first: float = 0.2
    longest: float = 30.0
    max_attempts: int | None = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterLimit:
    """Limits the dead letters after which the worker stops instead of writing more.

    The limit is reached when `window` seconds hold more than `max_count` dead letters, or when at
    least `ratio_from` dead letters make up more than `max_ratio` of the records that ended in the
    window. Dead letters of other replicas and of earlier runs count: the worker reads their number
    from the topic at start, so that restarting the process does not evade the limit.
    """

    max_count: int = 100
    max_ratio: float = 0.5
    ratio_from: int = 20
    window: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """Has a batch handler called at `size` records, or `linger` seconds after the first one."""

    size: int = 500
    linger: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Holds the options of one member of a consumer group.

    Args:
        bootstrap: the cluster, or `HOST:PORT[,HOST:PORT]` of one without TLS and SASL.
        group: the consumer group; its dead letters go to `<group>.dlt`.
        instance: a name that this replica keeps over a restart (static membership, KIP-345). The
            partitions of a process that is killed wait for its successor, for `session_timeout` at
            most; a process that stops leaves the group, and its partitions move at once. Two
            running processes of one name fence each other out of the group.
        concurrency: handlers that run at once.
        max_in_flight: records held in memory: queued, running, waiting for a retry or for an
            acknowledgement. At the bound nothing is fetched, while polls and heartbeats go on.
        max_in_flight_bytes: bytes of values in memory, and some for each record.
        max_span: offsets between the committed prefix and the newest fetched record of a
            partition. A key that is stuck pauses its partition there.
        commit_interval: seconds between commits: the work that a killed process repeats at most.
        drain_timeout: seconds for running handlers to end when partitions are given up or on stop.
        session_timeout: seconds without a heartbeat after which the coordinator assigns the
            partitions of this member to others. A broker refuses less than its
            `group.min.session.timeout.ms`, by default 6 s.
        heartbeat_interval: seconds between heartbeats. A member learns of a rebalance by the next
            one, and meanwhile the partitions of a member that left wait.
        lone_heartbeat_interval: the same for a member that has all partitions of its topics: no
            partition waits until such a member learns of a rebalance.
        fetch_wait: seconds for which the broker may wait for records before it answers a fetch,
            and the longest turn of the fetching loop.
        idle_fetch_wait: the same while nothing comes. The first record is returned at once.
        fetch_min_bytes: bytes that the broker waits for meanwhile. Raise it where latency does not
            matter: an answer costs this process and the broker the same with one record as with a
            hundred.
        fetch_apart: seconds from one fetch that returned records to the next, so that the next
            returns several. The first fetch after a pause is not delayed.
        handler_timeout: a handler is cancelled after it and retried; None sets no limit.
        transient_errors: exception types that are retried for ever, besides `Retry`, Kafka's own
            and the process's trouble (`is_process_trouble`).
        client: more arguments for aiokafka's clients; those of security come from `bootstrap`.
    """

    bootstrap: KafkaAddress
    group: str
    instance: str | None = None
    concurrency: int = 32
    max_in_flight: int = 1000
    max_in_flight_bytes: int = 16 * 1024 * 1024
    max_span: int = 10_000
    commit_interval: float = 0.5
    commit_timeout: float = 5.0
    drain_timeout: float = 10.0
    session_timeout: float = 6.0
    heartbeat_interval: float = 0.5
    lone_heartbeat_interval: float = 2.0
    stuck_after: float = 60.0
    fetch_wait: float = 0.5
    idle_fetch_wait: float = 5.0
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
        """Return the topic for the records that the worker gives up."""
        return f"{self.group}.dlt"

    @property
    def partition_share(self) -> int:
        """Return how many records of one partition may be in memory. One stuck partition leaves
        room for the others."""
        return max(1, self.max_in_flight // 2)
