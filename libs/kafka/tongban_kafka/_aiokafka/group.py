"""Reaches into the private parts of aiokafka's consumer: its coordinator, fetcher and tasks.

Checked with aiokafka 0.14. `tests/unit/kafka/test_commits.py` and the tests of the worker fail when
an upgrade moves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalGenerationError,
    KafkaError,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from tongban_kafka.errors import ConsumerDeniedError, ConsumerFailedError, is_denial
from tongban_kafka.lease import Lease

log = structlog.get_logger(__name__)

_RENEWING = (HeartbeatRequest, SyncGroupRequest, OffsetCommitRequest)
"""Requests that start the member's session timer anew at the coordinator."""
_AS_MEMBER = (HeartbeatRequest, OffsetCommitRequest)
"""Requests of an established member."""


def watch_lease(consumer: Any, lease: Lease) -> None:
    """Renew the lease with every answer of the coordinator, which must exist already."""
    coordinator = consumer._coordinator
    send = coordinator._send_req

    async def send_and_renew(request: Any) -> Any:
        if isinstance(request, LeaveGroupRequest):
            lease.give_up()  # first: the broker assigns the partitions before it answers
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


def leave_at_close(consumer: Any) -> None:
    """Make a static member leave its group when it is closed. Call this once the coordinator
    exists.

    aiokafka sends no LeaveGroup when `group_instance_id` is set, so that the partitions of a member
    that is restarted wait for it. A process of ours takes seconds to start, and its replicas take
    partitions over in less than one. The broker removes a static member by its member id
    (LeaveGroup 0 to 2), as it removes any other (ADR 0032).
    """
    coordinator = consumer._coordinator
    leave = coordinator._maybe_leave_group

    async def leave_if_closing() -> None:
        member, generation = coordinator.member_id, coordinator.generation
        if not coordinator._closing.done() or generation <= 0:
            await leave()
            return
        try:
            await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, member))
        except KafkaError as error:  # the session ends the membership then
            log.warning("group_not_left", group=coordinator.group_id, error=repr(error))
        coordinator.reset_generation()

    coordinator._maybe_leave_group = leave_if_closing


def hear_commits(consumer: Any) -> None:
    """Retrieve the errors of commits whose caller has timed out. Call this once the coordinator
    exists.

    aiokafka shields a commit from its caller's time-out. asyncio would log a traceback for the
    error that the commit ends with later, beside the time-out that is in the log already.
    `tests/unit/kafka/test_commits.py` reproduces it, and
    `docs/upstream/aiokafka-abandoned-commit.md` reports it.
    """
    coordinator = consumer._coordinator
    commit = coordinator._do_commit_offsets

    def retrieve_error(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()

    def start_commit(*arguments: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(commit(*arguments))
        task.add_done_callback(retrieve_error)
        return task

    coordinator._do_commit_offsets = start_commit


async def heartbeat(consumer: Any) -> None:
    """Send a heartbeat now. The lease and the client learn its answer, as that of any other.

    Raises:
        KafkaError: the broker does not permit the group any more.
    """
    await consumer._coordinator._do_heartbeat()


def _errors(response: Any) -> set[type[Exception]]:
    if hasattr(response, "topics"):
        codes = [code for _, partitions in response.topics for _, code in partitions]
    else:
        codes = [response.error_code]
    return {for_code(code) for code in codes}


def check_background(consumer: Any) -> None:
    """Check the client's background tasks: without one of them the client is silent for ever.

    Raises:
        ConsumerFailedError: one of the tasks has ended; its error is the cause. It is a
            ConsumerDeniedError if the broker does not permit the group.
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
    # The heartbeat task ends without an error before a rejoin, which starts another. After an error
    # no rejoin follows: only a heartbeat's answer would announce that one is due.
    if (error := heartbeat.exception()) is not None:
        kind = ConsumerDeniedError if is_denial(error) else ConsumerFailedError
        raise kind(f"the heartbeat task of the Kafka client ended: {error!r}") from error


def check_coordination(consumer: Any) -> None:
    """Raise the error that the coordinator keeps for the next fetch. A consumer that never gets a
    partition, because the broker does not permit its group, never fetches.

    Raises:
        KafkaError: of the coordination, once.
    """
    check = getattr(consumer._coordinator, "check_errors", None)
    if check is not None:
        check()


async def check_topics(consumer: Any, topics: Collection[str]) -> None:
    """Check that all of these topics exist.

    Raises:
        KafkaError: names those that do not.
    """
    if missing := set(topics) - await consumer.topics():
        raise KafkaError(f"topics are missing: {', '.join(sorted(missing))}")


async def partitions_of(consumer: Any, topics: Sequence[str]) -> list[Any]:
    """Return all partitions of these topics, which must exist."""
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(await consumer._client._wait_on_metadata(topic))
    ]


async def records_since(consumer: Any, topic: str, unix_ms: int) -> int:
    """Return how many records the topic has received since that Unix time in milliseconds."""
    partitions = await partitions_of(consumer, [topic])
    begins = await consumer.offsets_for_times(dict.fromkeys(partitions, unix_ms))
    ends = await consumer.end_offsets(partitions)
    return sum(ends[tp] - begin.offset for tp, begin in begins.items() if begin is not None)


async def committed_offsets(consumer: Any, tps: Collection[Any]) -> dict[Any, Any]:
    """Return the group's committed offset of each partition that has one, with its metadata. Sends
    one request, where `AIOKafkaConsumer.committed` sends one for each partition."""
    found = await consumer._coordinator.fetch_committed_offsets(list(tps))
    return {tp: meta for tp, meta in found.items() if meta.offset >= 0}


async def close_consumer(consumer: Any, timeout: float) -> None:
    """Stop the consumer within `timeout` seconds, whatever state it is in. Without that limit it
    would wait for a broker that is away (aio-libs/aiokafka#1013)."""
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
