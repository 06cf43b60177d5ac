"""The router is not live if it has lag and makes no progress, and live without lag."""

from __future__ import annotations

import pytest
from faust.types import TP

from tongban_router.faust_runtime import progress as module
from tongban_router.faust_runtime.consumer import SOURCES
from tongban_router.faust_runtime.progress import RouterProgress, missing_sources

PLACE = ("requests.submitted", 0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(module, "time", fake)
    return fake


def watch(progress: RouterProgress, clock: Clock, end: int, seconds: float) -> None:
    """Compare the lag every 2 s, for so many seconds."""
    for _ in range(int(seconds / 2)):
        clock.now += 2
        progress.trying()
        progress.look({PLACE: end}, {PLACE: 0})


def test_lag_without_progress_is_a_stall_and_no_lag_is_not(clock: Clock) -> None:
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    watch(progress, clock, 0, 60)
    assert progress.stalled() is None
    watch(progress, clock, 5, 8)
    assert progress.stalled() is None
    watch(progress, clock, 5, 6)
    assert "no progress" in str(progress.stalled())
    progress.handled(PLACE, 0)
    assert progress.stalled() is None


def test_records_that_another_router_has_committed_are_no_lag(clock: Clock) -> None:
    """The group took this router for dead; each of its assignments has the partition."""
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    progress.handled(PLACE, 10)
    progress.assign(frozenset({PLACE}))
    for _ in range(30):
        clock.now += 2
        progress.trying()
        progress.look({PLACE: 20}, {PLACE: 20})
    assert progress.stalled() is None


def test_slow_router_is_live(clock: Clock) -> None:
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    for offset in range(5):
        watch(progress, clock, 100, 8)
        progress.handled(PLACE, offset)
        assert progress.stalled() is None


def test_stopped_timer_is_a_stall_and_an_absent_broker_is_not(clock: Clock) -> None:
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    for _ in range(10):
        clock.now += 2
        progress.trying()
    assert progress.blind() is not None
    assert progress.stalled() is None
    clock.now += 12
    assert "has stopped" in str(progress.stalled())


def test_lag_of_a_revoked_partition_does_not_count(clock: Clock) -> None:
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    watch(progress, clock, 5, 20)
    progress.assign(frozenset())
    assert progress.stalled() is None


def test_a_source_that_was_deleted_is_missed_in_the_assignment() -> None:
    whole = [TP(topic, number) for topic in SOURCES for number in (0, 3)]
    assert missing_sources(whole) == []
    assert missing_sources([]) == []
    assert missing_sources([tp for tp in whole if tp.topic != SOURCES[0]]) == [SOURCES[0]]
