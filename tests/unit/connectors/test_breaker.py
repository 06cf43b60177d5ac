"""The circuit breaker by a clock of its own."""

from __future__ import annotations

import pytest

from tongban_common.clock import BusinessClock
from tongban_connectors.domain.breaker import Breaker, Circuit
from tongban_connectors.gate import Gate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(threshold=3, first_s=1, longest_s=4, now=clock)
    for _ in range(3):
        breaker.failed(breaker.enter())
    assert breaker.state is Circuit.OPEN
    return breaker


def test_breaker_opens_after_failures_in_a_row_but_not_with_a_success_between(clock: Clock) -> None:
    breaker = Breaker(threshold=3, first_s=1, longest_s=4, now=clock)
    for _ in range(5):
        breaker.failed(breaker.enter())
        breaker.failed(breaker.enter())
        breaker.succeeded(breaker.enter())
    assert breaker.state is Circuit.CLOSED
    assert breaker.remaining_s() == 0


def test_open_breaker_lets_one_probe_through_whose_end_decides(clock: Clock) -> None:
    breaker = opened(clock)
    pauses = []
    for _ in range(4):
        pauses.append(breaker.remaining_s())
        clock.now += breaker.remaining_s()
        assert breaker.state is Circuit.PROBING
        probe = breaker.enter()
        assert breaker.remaining_s() > 0, "nobody else meanwhile"
        breaker.failed(probe)
    assert pauses == [1, 2, 4, 4]
    clock.now += 4
    breaker.succeeded(breaker.enter())
    assert breaker.state is Circuit.CLOSED
    assert breaker.remaining_s() == 0


def test_call_begun_before_the_breaker_opened_does_not_change_it(clock: Clock) -> None:
    breaker = Breaker(threshold=3, first_s=1, longest_s=4, now=clock)
    old = [breaker.enter() for _ in range(10)]
    for call in old[:3]:
        breaker.failed(call)
    breaker.succeeded(old[3])
    assert breaker.state is Circuit.OPEN, "a late answer is no probe"
    clock.now += 1
    probe = breaker.enter()
    breaker.failed(old[4])
    breaker.succeeded(probe)
    for call in old[5:]:
        breaker.failed(call)
    assert breaker.state is Circuit.CLOSED, "late time-outs do not open again what a probe closed"


def test_wait_that_a_gateway_requests_holds_for_all_calls_and_is_never_shortened(
    clock: Clock,
) -> None:
    breaker = Breaker(now=clock)
    calls = [breaker.enter() for _ in range(3)]
    breaker.wait_requested("throttled", 10)
    breaker.wait_requested("throttled", 3)
    breaker.succeeded(calls[0])
    assert breaker.remaining_s() == 10
    assert breaker.cause == "throttled"
    breaker.wait_requested("closed", 60)
    assert (breaker.remaining_s(), breaker.cause) == (60, "closed")
    clock.now += 60
    assert breaker.state is Circuit.PROBING


def test_a_probe_that_comes_to_nothing_makes_room_for_another(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 1
    probe = breaker.enter()
    breaker.abandoned(probe)
    assert breaker.remaining_s() == 0
    another = breaker.enter()
    breaker.abandoned(probe)
    assert breaker.remaining_s() > 0, "the other is under way"
    breaker.succeeded(another)
    assert breaker.state is Circuit.CLOSED


@pytest.mark.parametrize("effect", [True, False])
def test_a_gateway_that_is_closed_for_days_is_asked_again_after_one(
    clock: Clock, effect: bool
) -> None:
    """It may have been mistaken, whatever it was asked."""
    days = 86_400.0
    gate = Gate("110000", clock=BusinessClock.real(), breaker=Breaker(now=clock))
    gate.enter(effect=effect).wait_requested("closed", 14 * days)
    if effect:
        assert gate._try_again_at is not None
        assert gate._try_again_at <= gate._in(days)
        return
    assert gate.block(effect=False) is not None
    clock.now += days
    assert gate.block(effect=False) is None
