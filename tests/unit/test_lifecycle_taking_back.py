"""Taking a request back: by its applicant or by an operator, and what a province says to it."""

from __future__ import annotations

from tests.unit.test_lifecycle import (
    LIFE,
    RULES,
    START,
    after,
    begun,
    must,
    operator,
    says,
    submitted,
)
from tongban_common.domain.status import CallKind, OutcomeKind, Status
from tongban_common.events.models import TimerDue, WithdrawalAsked
from tongban_router.dispatch.state import FaultNoted, next_due


def test_a_province_that_could_not_take_it_back_is_heard_when_it_is_asked_once_more() -> None:
    state = must(says(begun()[0], OutcomeKind.ACCEPTED))
    for number in (1, 2):
        command = WithdrawalAsked(request_id="r-1", command_id=f"w{number}", at=START, by="k")
        state = must(after(state, f"w-{number}", command))
        assert [call.kind for call in state.calls] == [CallKind.WITHDRAW]
        answer = OutcomeKind.ACCEPTED if number == 1 else OutcomeKind.WITHDRAWN
        state = must(says(state, answer))
    assert state.status is Status.WITHDRAWN


def test_an_operator_whom_a_province_did_not_follow_may_try_once_more() -> None:
    state, _ = begun()
    for number in (1, 2):
        state = must(after(state, f"f-{number}", FaultNoted("r-1", midway=False)))
        fail = operator("fail").model_copy(update={"command_id": f"d{number}"})
        state = must(after(state, f"d-{number}", fail))
        assert [call.kind for call in state.calls] == [CallKind.SUBMIT, CallKind.WITHDRAW]
        answer = OutcomeKind.ACCEPTED if number == 1 else OutcomeKind.WITHDRAWN
        state = must(says(state, answer))
    assert state.status is Status.FAILED


def test_what_an_operator_could_not_end_ends_by_who_ends_it() -> None:
    state = must(after(begun()[0], "f-1", FaultNoted("r-1", midway=False)))
    state = must(says(must(after(state, "d-1", operator("fail"))), OutcomeKind.ACCEPTED))
    command = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    state = must(says(must(after(state, "w-1", command)), OutcomeKind.WITHDRAWN))
    assert state.status is Status.WITHDRAWN


def test_what_is_being_taken_back_is_not_submitted_once_more_behind_that() -> None:
    """The connector has told both calls that it never will be, and would not know any more."""
    state, call_id = begun()
    command = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    asked = after(state, "w-1", command)
    state, withdrawal = must(asked), asked.calls[0].call_id
    silent = START + 2 * RULES.ask_again
    resumed = operator("resume")
    for event_id, body in (
        ("e-1", submitted()),
        ("t-1", TimerDue(request_id="r-1", due=silent)),
        ("d-1", resumed),
    ):
        decision = after(state, event_id, body, silent)
        assert [call.call_id for call in decision.calls] == [withdrawal]
        due = next_due(must(decision), RULES)
        assert due is not None
        assert due > silent or event_id == "e-1"
    # A province that has it and keeps it is asked about the submission again.
    kept = must(says(state, OutcomeKind.ACCEPTED))
    assert [call.call_id for call in after(kept, "e-1", submitted()).calls] == [call_id]


def test_what_is_being_taken_back_is_not_submitted_first() -> None:
    held = must(LIFE.apply(None, "f-1", FaultNoted("r-1", submitted()), now=START))
    withdrawal = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    asked = must(after(held, "w-1", withdrawal))
    resumed = after(asked, "d-1", operator("resume"))
    assert [call.kind for call in resumed.calls] == [CallKind.WITHDRAW]
