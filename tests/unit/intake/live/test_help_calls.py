"""Tests who is shown as waiting for help, and for how long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tongban_common.clock import BusinessClock
from tongban_intake.access.tokens import Kiosk
from tongban_intake.live.help_calls import FORGOTTEN_AFTER, HelpCall, HelpCalls
from tongban_intake.problems import Kind, ProblemError
from tongban_kafka import EventProducer, KafkaUnavailableError

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KIOSK = cast(Kiosk, type("K", (), {"kiosk_id": "k-1", "branch_id": "b-1"})())


class Clock:
    speed = 1.0

    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at


class Topic:
    """A producer whose records the view has at once, unless it is away."""

    def __init__(self) -> None:
        self.calls: HelpCalls
        self.sent: list[bytes | None] = []
        self.away = False

    async def send(self, _: str, *, key: bytes, value: bytes | None, **__: Any) -> None:
        if self.away:
            raise KafkaUnavailableError("away")
        self.sent.append(value)
        call = None if value is None else HelpCall.from_record(value)
        self.calls.view._set(key.decode(), call)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def topic(clock: Clock) -> Topic:
    made = Topic()
    producer, business = cast(EventProducer, made), cast(BusinessClock, clock)
    made.calls = HelpCalls("", producer, business)
    return made


def called(kiosk_id: str, branch_id: str = "b-1", minutes: float = 0.0) -> HelpCall:
    since = AT + timedelta(minutes=minutes)
    return HelpCall(kiosk_id=kiosk_id, branch_id=branch_id, since=since)


async def test_calls_of_a_branch_are_shown_the_oldest_first(topic: Topic) -> None:
    for call in (called("k-2", minutes=1), called("k-1"), called("k-3", "b-2")):
        topic.calls.view._set(call.key, call)
    assert [each.kiosk_id for each in topic.calls.of_branch("b-1")] == ["k-1", "k-2"]


async def test_second_call_of_a_kiosk_writes_nothing(topic: Topic) -> None:
    for _ in range(3):
        await topic.calls.call(KIOSK)
    assert len(topic.sent) == 1
    await topic.calls.end("k-1")
    await topic.calls.end("k-1")
    assert len(topic.sent) == 2
    assert not topic.calls.calls("k-1")


async def test_call_that_nobody_answered_is_forgotten_and_can_be_made_again(
    topic: Topic, clock: Clock
) -> None:
    await topic.calls.call(KIOSK)
    clock.at += FORGOTTEN_AFTER - timedelta(seconds=1)
    assert topic.calls.calls("k-1")
    clock.at += timedelta(seconds=1)
    assert not topic.calls.calls("k-1")
    assert topic.calls.of_branch("b-1") == []
    await topic.calls.call(KIOSK)
    assert topic.calls.calls("k-1")


async def test_person_is_told_when_nobody_can_be_called(topic: Topic) -> None:
    topic.away = True
    with pytest.raises(ProblemError) as raised:
        await topic.calls.call(KIOSK)
    assert raised.value.kind is Kind.UNAVAILABLE


async def test_answer_waits_until_this_replica_knows_of_the_call(topic: Topic) -> None:
    """Otherwise the page that follows would offer the button again."""
    send = topic.send

    async def later(name: str, *, key: bytes, value: bytes | None, headers: Any) -> None:
        asyncio.get_running_loop().call_later(
            0.05, lambda: asyncio.ensure_future(send(name, key=key, value=value, headers=headers))
        )

    topic.send = later  # type: ignore[method-assign]
    await topic.calls.call(KIOSK)
    assert topic.calls.calls("k-1")
