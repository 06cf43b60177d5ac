"""What a connector process tells operators of its breakers, and how often."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import pytest

from tongban_common.clock import CHINA, BusinessClock
from tongban_common.control.connectors import TELL_S, CircuitState, ConnectorState
from tongban_connectors import state_reporter as module
from tongban_connectors.domain.breaker import Breaker
from tongban_connectors.gate import Block, Gate
from tongban_connectors.state_reporter import StateReporter
from tongban_kafka import EventProducer, KafkaUnavailableError
from tongban_ops.operators.provinces import ProvinceStanding

START = datetime(2026, 3, 2, 9, tzinfo=CHINA)


class Producer:
    """Takes what is told, or does not."""

    def __init__(self) -> None:
        self.told: list[ConnectorState] = []
        self.away = False

    async def send(self, topic: str, *, key: bytes, value: bytes, headers: Any) -> None:  # noqa: ARG002
        if self.away:
            raise KafkaUnavailableError("away")
        assert topic == "connectors.state"
        state = ConnectorState.from_record(value)
        assert key == state.key.encode()
        self.told.append(state)


class World:
    """One province, its breaker's clock, and the wall's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.block: Block | None = None
        clock = BusinessClock.parse("2026-03-02T09:00:00+08:00@60")
        monkeypatch.setattr(BusinessClock, "now", lambda _: START)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.seconds)
        self.breaker = Breaker(threshold=1, first_s=2.0, now=lambda: self.seconds)
        self.gate = Gate("510000", clock=clock, sources=[lambda: self.block], breaker=self.breaker)
        self.producer = Producer()
        self.reporter = StateReporter(
            {"510000": self.gate},
            producer=cast(EventProducer, self.producer),
            clock=clock,
            instance="c-0",
        )

    async def tell(self) -> ConnectorState | None:
        """What is told now, if anything."""
        before = len(self.producer.told)
        await self.reporter.publish()
        new = self.producer.told[before:]
        return new[0] if new else None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_a_breaker_opens_probes_and_closes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(state: ConnectorState | None) -> tuple[str, str | None, int]:
        assert state is not None
        return state.circuit, state.cause, round((state.since - START).total_seconds())

    assert seen(await world.tell()) == ("closed", None, 0)
    monkeypatch.setattr(BusinessClock, "now", lambda _: START.replace(minute=5))
    world.breaker.failed(world.breaker.enter())
    opened = await world.tell()
    assert seen(opened) == ("open", "down", 300)
    assert opened is not None
    assert opened.until == START.replace(minute=7)  # two seconds of a clock that goes 60 times
    world.seconds = 3.0
    assert seen(await world.tell()) == ("half_open", "down", 300)
    world.breaker.succeeded(world.breaker.enter())
    assert seen(await world.tell()) == ("closed", None, 300)


async def test_state_is_repeated_at_its_interval_and_otherwise_published_once(world: World) -> None:
    assert await world.tell() is not None
    world.seconds = TELL_S - 1
    assert await world.tell() is None
    world.seconds = TELL_S
    assert await world.tell() is not None


async def test_pause_is_not_reported_as_open_breaker_and_is_published_when_kafka_is_back(
    world: World,
) -> None:
    world.block = Block("paused", START)
    place = world.gate.join_queue(effect=True)
    world.producer.away = True
    assert await world.tell() is None
    world.producer.away = False
    state = await world.tell()
    place.cancel()
    assert state is not None
    assert (state.circuit, state.cause, state.until, state.waiting) == (
        "closed", "paused", START, 1,
    )  # fmt: skip


def test_the_process_with_the_most_trouble_stands_for_the_province() -> None:
    states = tuple(
        ConnectorState(province="p", instance=str(n), circuit=circuit, since=START, waiting=n)
        for n, circuit in enumerate(
            (CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.OPEN)
        )
    )
    worst = ProvinceStanding("p", None, 0, 0, states).worst
    assert worst is not None
    assert worst.instance == "3"
    assert ProvinceStanding("p", None, 0, 0).worst is None
