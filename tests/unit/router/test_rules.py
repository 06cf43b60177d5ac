"""Accepted requests are polled with exponential back-off, at any speed of business time."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.router.domain.test_lifecycle import START
from tongban_common.clock import BusinessClock
from tongban_router.settings import RouterSettings


def settings(speed: float = 1, **changes: float) -> RouterSettings:
    return RouterSettings(clock=BusinessClock(START, time.time(), speed), **changes)


def test_pauses_double_from_five_seconds_to_four_hours() -> None:
    rules = settings().rules()
    pauses = [rules.poll_after(polls) for polls in range(40)]
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (5, 10, 20, 40)]
    assert all(later == min(2 * pause, timedelta(hours=4)) for pause, later in pairwise(pauses))
    assert pauses[-1] == timedelta(hours=4)
    # A week of waiting is some fifty questions.
    asked, waited = 0, timedelta(0)
    while waited < timedelta(days=7):
        waited += rules.poll_after(asked)
        asked += 1
    assert 45 < asked < 60


@given(st.floats(0.1, 100_000), st.integers(0, 10_000))
def test_the_wall_clock_is_never_hurried(speed: float, polls: int) -> None:
    """However fast business time is, a province is not polled twice within a wall second."""
    rules = settings(speed).rules()
    assert rules.poll_after(polls).total_seconds() / speed >= 1 - 1e-6


@pytest.mark.parametrize("speed", [1, 60, 20_000])
def test_a_call_is_not_asked_again_before_its_connector_can_have_answered(speed: float) -> None:
    rules = settings(speed).rules()
    assert rules.ask_again_after(1).total_seconds() / speed >= 30
