"""Makes the consumer of a worker, and passes on what its consumer group decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

import aiokafka

from tongban_kafka._aiokafka import check_prepared
from tongban_kafka.config import WorkerConfig
from tongban_kafka.security import client_options

_METADATA_AGE_MS = 30_000
"""Milliseconds between refreshes of the metadata. A topic that was deleted and created again is
assigned once its partitions are in the metadata, which aiokafka refreshes every five minutes."""


class RebalanceListener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]
    """Calls back when the group revokes or assigns partitions. An exception of a callback goes to
    `on_error`, because aiokafka would swallow it."""

    def __init__(
        self,
        on_revoked: Callable[[], Awaitable[None]],
        on_assigned: Callable[[Collection[Any]], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned
        self._on_error = on_error

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """Handle the loss of all partitions (aiokafka rebalances by the eager protocol)."""
        if not revoked:
            return
        try:
            await self._on_revoked()
        except Exception as error:
            self._on_error(error)

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """Handle the assignment of these partitions to this member."""
        try:
            self._on_assigned(assigned)
        except Exception as error:
            self._on_error(error)


def make_consumer(config: WorkerConfig) -> Any:
    """Return a consumer that commits nothing by itself.

    Its rebalance timeout is longer than the drain and the commit after it, because a rebalance
    waits for members that drain.
    """
    rebalance = max(config.drain_timeout + config.commit_timeout + 3.0, config.session_timeout)
    check_prepared()
    return aiokafka.AIOKafkaConsumer(
        client_id=f"{config.group}-{config.instance}" if config.instance else config.group,
        group_id=config.group,
        group_instance_id=config.instance,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=round(config.session_timeout * 1000),
        heartbeat_interval_ms=round(config.heartbeat_interval * 1000),
        rebalance_timeout_ms=round(rebalance * 1000),
        fetch_max_wait_ms=round(config.fetch_wait * 1000),
        fetch_min_bytes=config.fetch_min_bytes,
        max_partition_fetch_bytes=config.partition_fetch_bytes,
        # The coordinator answers a JoinGroup once the other members have drained, too.
        request_timeout_ms=round((rebalance + 5.0) * 1000),
        retry_backoff_ms=100,
        **{
            "metadata_max_age_ms": _METADATA_AGE_MS,
            **client_options(config.bootstrap),
            **config.client,
        },
    )
