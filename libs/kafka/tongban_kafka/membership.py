"""The worker's place in its consumer group, and what aiokafka does not tell of it.

Everything that reaches into aiokafka's private parts is in this file; the tests of it fail when an
upgrade moves them. Checked with 0.14.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import aiokafka
from aiokafka.errors import (
    IllegalGenerationError,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from tongban_kafka._aiokafka import check_prepared
from tongban_kafka.config import WorkerConfig
from tongban_kafka.errors import ConsumerFailedError
from tongban_kafka.lease import Lease
from tongban_kafka.security import client_options

_RENEWING = (HeartbeatRequest, SyncGroupRequest, OffsetCommitRequest)
"""Requests that start the member's session timer anew at the coordinator."""
_AS_MEMBER = (HeartbeatRequest, OffsetCommitRequest)
"""Those that an established member sends."""

_METADATA_AGE_MS = 30_000
"""A topic that was deleted and made anew is assigned when its partitions are seen again, which
aiokafka's five minutes would put off."""


class RebalanceListener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes on what the group decides. aiokafka swallows exceptions here, so they are kept."""

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
        """All partitions are given up (aiokafka's protocol is the eager one)."""
        if not revoked:
            return
        try:
            await self._on_revoked()
        except Exception as error:
            self._on_error(error)

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """These are ours from now on."""
        try:
            self._on_assigned(assigned)
        except Exception as error:
            self._on_error(error)


def make_consumer(config: WorkerConfig) -> Any:
    """A consumer that commits nothing by itself.

    The rebalance waits for members that drain: its timeout has to be longer than the drain and the
    commit after it.
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
        # A JoinGroup is answered when the others have drained, too.
        request_timeout_ms=round((rebalance + 5.0) * 1000),
        retry_backoff_ms=100,
        **{
            "metadata_max_age_ms": _METADATA_AGE_MS,
            **client_options(config.bootstrap),
            **config.client,
        },
    )


def watch_lease(consumer: Any, lease: Lease) -> None:
    """Renew the lease whenever the coordinator answers. Call once the coordinator exists."""
    coordinator = consumer._coordinator
    send = coordinator._send_req

    async def send_and_renew(request: Any) -> Any:
        sent = lease.sending()
        response = await send(request)
        if isinstance(request, _RENEWING):
            errors = _errors(response)
            if errors <= {NoError, RebalanceInProgressError}:
                lease.renew(*sent)
            elif UnknownMemberIdError in errors and isinstance(request, _AS_MEMBER):
                lease.refuse()
            elif IllegalGenerationError in errors:
                lease.give_up()
        return response

    coordinator._send_req = send_and_renew


def hear_commits(consumer: Any) -> None:
    """Have the error of a commit that nobody waits for any more be heard here: aiokafka shields it
    from the time-out of whoever asked, and asyncio would write a traceback about it to the log,
    where the time-out is told already. Call once the coordinator exists."""
    coordinator = consumer._coordinator
    commit = coordinator._do_commit_offsets

    def heard(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()

    def begun(*arguments: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(commit(*arguments))
        task.add_done_callback(heard)
        return task

    coordinator._do_commit_offsets = begun


def _errors(response: Any) -> set[type[Exception]]:
    if hasattr(response, "topics"):
        codes = [code for _, partitions in response.topics for _, code in partitions]
    else:
        codes = [response.error_code]
    return {for_code(code) for code in codes}


def check_background(consumer: Any) -> None:
    """Raise if one of the client's own tasks has died: it would be silent for ever.

    Raises:
        ConsumerFailedError: with the cause.
    """
    for name, task in (
        ("fetcher", consumer._fetcher._fetch_task),
        ("coordination", getattr(consumer._coordinator, "_coordination_task", None)),
        ("metadata", getattr(consumer._client, "_sync_task", None)),
    ):
        if task is not None and task.done() and not consumer._closed:
            error = None if task.cancelled() else task.exception()
            raise ConsumerFailedError(
                f"the {name} task of the Kafka client ended: {error!r}"
            ) from error
    heartbeat = getattr(consumer._coordinator, "_heartbeat_task", None)
    if heartbeat is None or not heartbeat.done() or heartbeat.cancelled() or consumer._closed:
        return
    # It ends without an error before a rejoin, which starts another. After an error there is none:
    # only a heartbeat would hear that one is due.
    if (error := heartbeat.exception()) is not None:
        raise ConsumerFailedError(
            f"the heartbeat task of the Kafka client ended: {error!r}"
        ) from error


async def records_since(consumer: Any, topic: str, unix_ms: int) -> int:
    """How many records a topic has got since then."""
    partitions = [
        aiokafka.TopicPartition(topic, number)
        for number in await consumer._client._wait_on_metadata(topic)
    ]
    begins = await consumer.offsets_for_times(dict.fromkeys(partitions, unix_ms))
    ends = await consumer.end_offsets(partitions)
    return sum(ends[tp] - begin.offset for tp, begin in begins.items() if begin is not None)


async def committed_offsets(consumer: Any, tps: Collection[Any]) -> dict[Any, int]:
    """Return what the group has committed of these partitions, without those of which it has
    committed nothing; by one request, where `AIOKafkaConsumer.committed` sends one for each."""
    found = await consumer._coordinator.fetch_committed_offsets(list(tps))
    return {tp: meta.offset for tp, meta in found.items() if meta.offset >= 0}


async def close_consumer(consumer: Any, timeout: float) -> None:
    """Stop within the time, whatever state the client is in. A static member does not leave the
    group (aiokafka sends no LeaveGroup where `group_instance_id` is set)."""
    try:
        async with asyncio.timeout(timeout):
            await consumer.stop()
    except TimeoutError:
        pass
    except Exception:
        if not consumer._closed:
            raise
    await _cancel_leftovers(consumer)


async def _cancel_leftovers(consumer: Any) -> None:
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks = [
        task
        for task in (
            getattr(coordinator, "_coordination_task", None),
            getattr(coordinator, "_heartbeat_task", None),
            getattr(coordinator, "_commit_refresh_task", None),
            getattr(fetcher, "_fetch_task", None),
        )
        if task is not None and not task.done()
    ]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
    await consumer._client.close()
