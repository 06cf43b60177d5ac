"""Tests how long a send may take effect, and that the note on it is true of every send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.wire_kit import search
from tongban_connectors.domain.effect_bound import EffectBound

PATIENT_S, PROMPT_S = 12.0, 3.0


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def bound_at(clock: Clock, *, prompt_s: float = PROMPT_S) -> EffectBound:
    return EffectBound(patient_s=PATIENT_S, prompt_s=prompt_s, now=clock)


def prompt_bound(clock: Clock) -> EffectBound:
    """Return a bound that has had prompt answers alone, since longer than any send lasts."""
    bound = bound_at(clock)
    for _ in range(20):
        bound.answered(0.05)
    clock.at += 100
    assert bound.for_send(clock.at) == PROMPT_S
    return bound


def test_bound_is_long_until_enough_answers_were_prompt() -> None:
    clock = Clock()
    bound = bound_at(clock)
    for _ in range(3):
        bound.answered(0.05)
    assert bound.for_send(clock.at) == PATIENT_S
    bound.answered(0.05)
    assert bound.for_send(clock.at) == PROMPT_S


def test_answers_that_take_over_half_of_the_time_keep_the_long_bound() -> None:
    clock = Clock()
    bound = bound_at(clock)
    for _ in range(64):
        bound.answered(0.6)
    assert bound.for_send(clock.at) == PATIENT_S


@pytest.mark.parametrize("prompt_s", [0.0, 2.0, 12.0, 60.0])
def test_short_bound_without_room_for_the_clocks_is_not_used(prompt_s: float) -> None:
    clock = Clock()
    bound = bound_at(clock, prompt_s=prompt_s)
    for _ in range(64):
        bound.answered(0.0)
    clock.at += 100
    assert bound.for_send(clock.at) == PATIENT_S
    assert bound.note(0.0, "", False) == ""


def test_note_names_the_rest_of_long_sends_here_and_of_predecessors() -> None:
    clock = Clock()
    bound = bound_at(clock)
    last_long = clock.at
    assert bound.for_send(last_long) == PATIENT_S
    for _ in range(20):
        bound.answered(0.05)
    bound.for_send(clock.at)
    for passed, told in ((0.0, 12), (0.5, 12), (1.0, 11), (7.3, 5), (9.0, 3), (100.0, 3)):
        clock.at = last_long + passed
        assert bound.of_predecessor(bound.note(0.0, "", False)) == told, passed
    assigned_at = clock.at - 2.0
    assert bound.of_predecessor(bound.note(assigned_at, "", False)) == 10, (
        "of an unknown predecessor"
    )
    assert bound.of_predecessor(bound.note(assigned_at, "within-3.000", False)) == PROMPT_S
    assert bound.of_predecessor(bound.note(assigned_at, "within-9.000", False)) == 7


def test_slow_call_needs_the_note_withdrawn_before_a_long_send() -> None:
    clock = Clock()
    bound = prompt_bound(clock)
    assert bound.note(0.0, "", False)
    bound.answered(1.5)
    assert bound.must_withdraw
    assert bound.note(0.0, "", False) == ""
    assert bound.for_send(clock.at) == PROMPT_S, "the note stands still"
    bound.withdrawn()
    assert not bound.must_withdraw
    assert bound.for_send(clock.at) == PATIENT_S


def test_commit_that_withdraws_after_the_slow_time_tells_no_short_bound_again() -> None:
    clock = Clock()
    bound = prompt_bound(clock)
    assert bound.note(0.0, "", False)
    bound.was_slow()
    clock.at += 59.9
    assert bound.must_withdraw
    with bound.withdrawing():
        clock.at += 0.2  # behind another commit
        assert bound.note(0.0, "", False) == ""
        bound.withdrawn()
    assert bound.note(0.0, "", False) == ""
    assert bound.for_send(clock.at) == PATIENT_S


def test_withdrawal_that_failed_leaves_the_note_as_it_was() -> None:
    clock = Clock()
    bound = prompt_bound(clock)
    assert bound.note(0.0, "", False)
    bound.was_slow()
    with bound.withdrawing():
        assert bound.note(0.0, "", False) == ""
    assert bound.must_withdraw


def test_slow_call_without_a_note_needs_no_withdrawal() -> None:
    clock = Clock()
    bound = prompt_bound(clock)
    bound.unanswered(3.0)
    assert not bound.must_withdraw
    assert bound.for_send(clock.at) == PATIENT_S


def test_each_return_to_slow_doubles_the_calm_that_is_asked_for() -> None:
    clock = Clock()
    bound = prompt_bound(clock)
    for calm_s in (60.0, 120.0, 240.0):
        bound.was_slow()
        for _ in range(20):
            bound.answered(0.05)
        clock.at += calm_s - 1
        assert bound.for_send(clock.at) == PATIENT_S
        clock.at += 1
        assert bound.for_send(clock.at) == PROMPT_S


@pytest.mark.parametrize("note", ["", "within-", "within-x", "within-3.0 ", "other", "within--3"])
def test_note_that_is_none_of_ours_stands_for_the_long_bound(note: str) -> None:
    assert bound_at(Clock()).of_predecessor(note) == PATIENT_S


def test_note_of_a_predecessor_with_another_setting_is_believed() -> None:
    clock = Clock()
    bound = EffectBound(patient_s=PATIENT_S, prompt_s=5.0, now=clock)
    for _ in range(20):
        bound.answered(0.05)
    bound.for_send(clock.at)
    clock.at += 100
    assert bound_at(clock).of_predecessor(bound.note(0.0, "", False)) == 5.0


def test_process_that_hands_over_names_the_rest_of_what_had_no_clear_answer() -> None:
    clock = Clock()
    bound = bound_at(clock)
    assert bound.note(0.0, "", True) == "within-0.000", "nothing was sent"
    ends = clock.at + bound.for_send(clock.at)
    bound.begun(ends)
    bound.begun(ends)
    clock.at += 2.5
    assert bound.note(0.0, "", True) == "within-10.000"
    bound.settled(ends)
    assert bound.note(0.0, "", True) == "within-10.000", "the other one has no answer yet"
    bound.settled(ends)
    assert bound.note(0.0, "", True) == "within-0.000"
    assert bound.note(clock.at - 1.0, "", True) == "within-11.000", "of an unknown predecessor"
    assert bound.note(clock.at - 1.0, "within-3.000", True) == "within-2.000"


class Owners:
    """The owners of one partition after one another, each killed or stopped; and the broker."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.note = ""
        self.latest_effect = 0.0
        self._begin(answers=0)

    def _begin(self, answers: int) -> None:
        self.bound = bound_at(self.clock)
        self.assigned_at = self.clock.at
        self.told, self.note = self.note, ""  # removed by the worker before it handles anything
        for _ in range(answers):  # of other partitions
            self.bound.answered(0.05)

    def step(self, what: str, amount: Any) -> None:
        clock, bound = self.clock, self.bound
        match what:
            case "wait":
                clock.at += amount
            case "prompt":
                for _ in range(20):
                    bound.answered(0.05)
            case "slow":
                bound.was_slow()
            case "commit":
                note = bound.note(self.assigned_at, self.told, False)
                if amount:  # else the broker has not got it
                    self.note = note
            case "send":
                self._send(amount)
            case "hand over":
                self.note = bound.note(self.assigned_at, self.told, True)
                self._next(amount)
            case "kill":
                self._next(amount)

    def _send(self, amount: Any) -> None:
        bound = self.bound
        if bound.must_withdraw:
            note = bound.note(self.assigned_at, self.told, False)
            if not amount:
                return
            self.note = note
            bound.withdrawn()
        ends = self.clock.at + bound.for_send(self.clock.at)
        bound.begun(ends)
        if amount == "answered":
            bound.settled(ends)
        else:
            self.latest_effect = max(self.latest_effect, ends)

    def _next(self, amount: Any) -> None:
        waited_for = self.clock.at + self.bound.of_predecessor(self.note)
        assert self.latest_effect <= waited_for, "a send outlasts what the note says"
        self._begin(answers=20 if amount else 0)


_OFTEN = [("send", True), ("send", "answered"), ("commit", True), ("kill", True)]
_SELDOM = [
    ("send", False), ("commit", False), ("kill", False), ("prompt", None), ("slow", None),
    ("hand over", True), ("hand over", False),
]  # fmt: skip
_WAITS = [("wait", seconds) for seconds in (0.5, 2.9, 3.1, 6.0, 11.9, 12.1, 60.0, 120.0)]


@search(1000)
@example([("wait", 12.1), ("send", True), ("prompt", None), ("send", True), ("commit", True)])
@given(
    st.lists(
        st.one_of(st.sampled_from(_OFTEN), st.sampled_from(_SELDOM), st.sampled_from(_WAITS)),
        max_size=40,
    )
)
def test_no_send_outlasts_what_the_note_tells_the_next_owner(steps: list[tuple[str, Any]]) -> None:
    owners = Owners()
    for what, amount in [*steps, ("kill", False)]:
        owners.step(what, amount)
