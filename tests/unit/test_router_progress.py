"""The router's liveness tells the truth: dead when nothing moves, alive when nothing has to."""

from __future__ import annotations

import pytest
from faust.types import TP

from tongban_router.faust_runtime import progress as module
from tongban_router.faust_runtime.consumer import SOURCES
from tongban_router.faust_runtime.partition_watch import missing_sources
from tongban_router.faust_runtime.progress import RouterProgress

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
    """The lag is looked at every 2 s for so long."""
    for _ in range(int(seconds / 2)):
        clock.now += 2
        progress.trying()
        progress.look({PLACE: end}, {PLACE: 0})


def test_lag_without_progress_is_death_and_no_lag_is_not(clock: Clock) -> None:
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


def test_what_another_has_done_meanwhile_is_not_waited_for(clock: Clock) -> None:
    """We were thought dead; the partition came back with no assignment without it."""
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    progress.handled(PLACE, 10)
    progress.assign(frozenset({PLACE}))
    for _ in range(30):
        clock.now += 2
        progress.trying()
        progress.look({PLACE: 20}, {PLACE: 20})
    assert progress.stalled() is None


def test_a_slow_one_lives(clock: Clock) -> None:
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    for offset in range(5):
        watch(progress, clock, 100, 8)
        progress.handled(PLACE, offset)
        assert progress.stalled() is None


def test_a_timer_that_died_is_death_and_a_broker_that_is_away_is_not(clock: Clock) -> None:
    progress = RouterProgress(10)
    progress.assign(frozenset({PLACE}))
    for _ in range(10):
        clock.now += 2
        progress.trying()
    assert progress.blind() is not None
    assert progress.stalled() is None
    clock.now += 12
    assert "has stopped" in str(progress.stalled())


def test_what_is_no_longer_ours_is_no_lag_of_ours(clock: Clock) -> None:
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
