"""Tests what idle consumers ask of the broker, on aiokafka's own fetcher."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError

from tongban_kafka._aiokafka.polling import be_quiet_when_idle, drop_fetches
from tongban_kafka.runtime import Runtime

HERE = TopicPartition("t", 0)
Answer = Callable[[], Awaitable[Any]]


class Connection:
    """Has what `drop_fetches` uses of aiokafka's connections."""

    def __init__(self) -> None:
        self._requests: list[tuple[int, Any, asyncio.Future[Any]]] = []
        self.closed = False

    def close(self, **_: Any) -> None:
        self.closed = True
        for _number, _request, answer in self._requests:
            if not answer.done():
                answer.set_exception(KafkaConnectionError("closed"))


class Client:
    """The client of one broker; `fails` says whether its connection is broken."""

    def __init__(self, *, fails: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 30_000
        self.cluster = SimpleNamespace(
            leader_for_partition=lambda _: 1, broker_metadata=lambda _: object()
        )
        self._conns: dict[Any, Connection] = {}
        self._fails = fails
        self.groups: list[Any] = []

    def force_metadata_update(self) -> asyncio.Future[None]:
        return self._loop.create_future()

    async def send(self, node: int, request: Any, *, group: Any = "default") -> Any:
        self.groups.append(group)
        if self._fails:
            raise KafkaConnectionError("broken")
        connection = self._conns.setdefault((node, group), Connection())
        answer = self._loop.create_future()
        connection._requests.append((1, request, answer))
        return await answer


def fetching(*, fails: bool) -> Any:
    """A consumer whose fetcher has begun."""
    client = Client(fails=fails)
    subscriptions = SubscriptionState(loop=client._loop)
    subscriptions.assign_from_user({HERE})
    consumer = SimpleNamespace(_client=client, _fetcher=Fetcher(client, subscriptions))
    be_quiet_when_idle(consumer)
    subscriptions.seek(HERE, 0)
    return consumer


async def end(fetcher: Any) -> None:
    """aiokafka's own `close` raises the cancellation of a fetch that pauses."""
    tasks = [fetcher._fetch_task, *fetcher._pending_tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("moment", ["not begun", "waiting for an answer", "after a failure"])
async def test_fetcher_goes_on_whenever_its_fetches_are_dropped(moment: str) -> None:
    consumer = fetching(fails=moment == "after a failure")
    fetcher, client = consumer._fetcher, consumer._client
    while not fetcher._pending_tasks:  # noqa: ASYNC110 - the fetcher has no event for it
        await asyncio.sleep(0)
    if moment != "not begun":
        while not client.groups:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
    drop_fetches(consumer)
    before = len(client.groups)
    async with asyncio.timeout(5):
        while len(client.groups) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not fetcher._fetch_task.done()
    await end(fetcher)


async def test_fetches_have_a_connection_of_their_own() -> None:
    """Whatever else is asked of the broker would wait behind a fetch that it keeps."""
    consumer = fetching(fails=False)
    async with asyncio.timeout(5):
        while not consumer._client.groups:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert consumer._client.groups == ["fetches"]
    drop_fetches(consumer)
    assert [each.closed for each in consumer._client._conns.values()] == [True]
    await end(consumer._fetcher)


def interval(assigned: set[int], known: set[int] | None) -> float:
    """Seconds between heartbeats of a member with these partitions, of those that it knows."""
    worker = Runtime.__new__(Runtime)
    worker.topics = ("t",)
    worker.config = SimpleNamespace(  # type: ignore[assignment]
        heartbeat_interval=0.5, lone_heartbeat_interval=2.0, session_timeout=6.0
    )
    consumer = SimpleNamespace(partitions_for_topic=lambda _: known)
    return worker._heartbeat_interval(consumer, {TopicPartition("t", each) for each in assigned})


@pytest.mark.parametrize(
    ("assigned", "known", "expected"),
    [
        ({0, 1}, {0, 1}, 2.0),
        ({0}, {0, 1}, 0.5),
        (set(), {0, 1}, 0.5),
        ({0, 1}, None, 0.5),
        # The topic has grown, the leader of the group knows it, and this member does not yet.
        ({0, 2, 4, 6}, {0, 1, 2, 3}, 0.5),
    ],
)
def test_only_a_member_with_all_partitions_beats_seldom(
    assigned: set[int], known: set[int] | None, expected: float
) -> None:
    assert interval(assigned, known) == expected


async def test_callers_share_one_question_whether_the_member_exists() -> None:
    """Each would otherwise wait for its own time-out, one after the other."""
    asked = 0

    async def never() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(60)

    worker = Runtime.__new__(Runtime)
    worker.group, worker._confirming = "g", None
    worker.config = SimpleNamespace(heartbeat_interval=0.5)  # type: ignore[assignment]
    worker._lease = SimpleNamespace(age=lambda: 3.0, holds=lambda: True)  # type: ignore[assignment]
    coordinator = SimpleNamespace(_do_heartbeat=never)
    worker._health = SimpleNamespace(  # type: ignore[assignment]
        consumer=SimpleNamespace(_coordinator=coordinator)
    )
    async with asyncio.timeout(2.5):
        await asyncio.gather(*(worker.confirm_membership() for _ in range(6)))
    assert asked == 1
