"""A router whose clock jumps closes no request and deletes none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.router.domain.test_lifecycle import begun
from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.events import Event, encode
from tongban_common.events.models import TimerDue
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.timers import moment_of
from tongban_router.settings import RouterSettings

WALL = 1_800_000_000.0
DAYS = 10 * 24 * 3600.0


def clock_at(wall: float, monkeypatch: pytest.MonkeyPatch, speed: float = 1.0) -> BusinessClock:
    """Return the clock of a machine whose wall clock shows `wall`."""
    monkeypatch.setattr("tongban_common.clock.time.time", lambda: wall)
    start = BusinessClock.real().start
    return BusinessClock(start - timedelta(seconds=(wall - WALL) * speed), WALL, speed)


def message(wall: float, kind: int = 1) -> Any:
    return SimpleNamespace(timestamp=wall, timestamp_type=kind)


def test_the_brokers_stamp_is_the_time_of_the_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clock_at(WALL + 3600, monkeypatch)  # the event was read an hour late
    assert moment_of(message(WALL), clock.at(WALL), clock) == clock.at(WALL)


@pytest.mark.parametrize("ahead", [DAYS, -DAYS, 300.0, -300.0])
def test_an_event_announced_under_a_wrong_clock_is_refused(
    monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    clock = clock_at(WALL, monkeypatch)
    assert moment_of(message(WALL), clock.at(WALL + ahead), clock) is None


def test_a_router_whose_own_clock_is_behind_decides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = clock_at(WALL - DAYS, monkeypatch)
    assert moment_of(message(WALL), clock.at(WALL), clock) is None


def test_a_fast_business_clock_is_compared_in_wall_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clock_at(WALL, monkeypatch, speed=3600.0)
    assert moment_of(message(WALL), clock.at(WALL - 60), clock) == clock.at(WALL)


def test_a_topic_without_the_brokers_stamps_goes_by_our_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = clock_at(WALL, monkeypatch)
    assert moment_of(message(WALL - DAYS, kind=0), clock.at(WALL), clock) == clock.now()


def test_the_broker_stamps_the_timers() -> None:
    config = topics.TOPICS[topics.ROUTER_TIMERS].kafka_config()
    assert config["message.timestamp.type"] == "LogAppendTime"


async def test_a_clock_ten_days_ahead_closes_no_request(tmp_path: Path) -> None:
    state, _ = begun()
    handler = Router(RouterSettings(data=tmp_path)).handler
    kept = state.model_dump_json(exclude_defaults=True).encode()
    sent: list[str] = []

    async def emit(topic: str, *_: Any) -> None:
        sent.append(topic)

    handler.requests.table, handler._emit = {b"r-1": kept}, emit
    window = handler._redelivery_window
    window.learn(window.assign([("t", 0)]), {("t", 0): 0})
    clock = handler._clock
    due = state.request.deadline
    value, headers = encode(Event("t-1", "test", TimerDue(request_id="r-1", due=due), clock.now()))
    record = SimpleNamespace(
        key=b"r-1", value=value, headers=headers, offset=0, topic=topics.ROUTER_TIMERS,
        timestamp=clock.anchor - DAYS, timestamp_type=1,
    )  # fmt: skip
    result = await handler._apply(SimpleNamespace(message=record), ("t", 0), again=False)
    assert (result, sent) == ("refused", [])
