"""A request is withdrawn by its applicant or an operator, as far as its province confirms it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.unit.router.domain.test_lifecycle import (
    LIFE,
    RULES,
    START,
    after,
    begun,
    must,
    operator,
    outcome,
    says,
    submitted,
)
from tongban_common.domain.status import CallKind, OutcomeKind, Status
from tongban_common.events.models import TimerDue, WithdrawalAsked
from tongban_router.domain.state import FaultNoted, RequestState, next_due


def test_province_that_refused_a_withdrawal_may_accept_the_next_one() -> None:
    state = must(says(begun()[0], OutcomeKind.ACCEPTED))
    for number in (1, 2):
        command = WithdrawalAsked(request_id="r-1", command_id=f"w{number}", at=START, by="k")
        state = must(after(state, f"w-{number}", command))
        assert [call.kind for call in state.calls] == [CallKind.WITHDRAW]
        answer = OutcomeKind.ACCEPTED if number == 1 else OutcomeKind.WITHDRAWN
        state = must(says(state, answer))
    assert state.status is Status.WITHDRAWN


def test_operator_may_withdraw_again_after_a_province_refused() -> None:
    state, _ = begun()
    for number in (1, 2):
        state = must(after(state, f"f-{number}", FaultNoted("r-1", midway=False)))
        fail = operator("fail").model_copy(update={"command_id": f"d{number}"})
        state = must(after(state, f"d-{number}", fail))
        assert [call.kind for call in state.calls] == [CallKind.SUBMIT, CallKind.WITHDRAW]
        answer = OutcomeKind.ACCEPTED if number == 1 else OutcomeKind.WITHDRAWN
        state = must(says(state, answer))
    assert state.status is Status.FAILED


def test_request_that_an_operator_could_not_end_may_still_be_withdrawn() -> None:
    state = must(after(begun()[0], "f-1", FaultNoted("r-1", midway=False)))
    state = must(says(must(after(state, "d-1", operator("fail"))), OutcomeKind.ACCEPTED))
    command = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    state = must(says(must(after(state, "w-1", command)), OutcomeKind.WITHDRAWN))
    assert state.status is Status.WITHDRAWN


def test_request_under_withdrawal_is_not_submitted_again() -> None:
    """The connector has answered both calls as withdrawn, and may have forgotten that."""
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


def test_request_withdrawn_before_submission_is_not_submitted() -> None:
    held = must(LIFE.apply(None, "f-1", FaultNoted("r-1", submitted()), now=START))
    withdrawal = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    asked = must(after(held, "w-1", withdrawal))
    resumed = after(asked, "d-1", operator("resume"))
    assert [call.kind for call in resumed.calls] == [CallKind.WITHDRAW]


def test_a_submission_answered_as_withdrawn_ends_nothing_that_this_state_did_not_ask_for() -> None:
    """The state with the withdrawal was lost with its router's disk. A repeat of the submission
    lies behind that withdrawal on the topic."""
    state, call_id = begun()
    asked = after(state, "o-1", outcome(OutcomeKind.WITHDRAWN, call_id))
    assert not must(asked).status.final
    assert [call.kind for call in asked.calls] == [CallKind.WITHDRAW]
    ended = must(says(must(asked), OutcomeKind.WITHDRAWN))
    assert ended.status is Status.WITHDRAWN


def test_submission_answered_as_withdrawn_ends_a_request_under_withdrawal() -> None:
    state, call_id = begun()
    command = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    asked = must(after(state, "w-1", command))
    ended = must(after(asked, "o-1", outcome(OutcomeKind.WITHDRAWN, call_id)))
    assert ended.status is Status.WITHDRAWN


WITHDRAWAL = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")


def first_sent_by_a_predecessor() -> RequestState:
    return must(LIFE.apply(None, "e-1", submitted(), now=START, maybe_seen=True))


def answered_early() -> RequestState:
    waiting = outcome(OutcomeKind.WAITING, begun()[1], cause="closed")
    early = must(LIFE.apply(None, "o-0", waiting, now=START))
    return must(LIFE.apply(early, "e-1", submitted(), now=START))


def sent_again_with_everything() -> RequestState:
    return must(after(begun()[0], "e-2", submitted()))


def asked_again_after_silence() -> RequestState:
    silent = START + 2 * RULES.ask_again
    due = TimerDue(request_id="r-1", due=silent)
    return must(after(begun()[0], "t-1", due, silent))


@pytest.mark.parametrize(
    "sent_twice",
    [
        first_sent_by_a_predecessor,
        answered_early,
        sent_again_with_everything,
        asked_again_after_silence,
    ],
)
def test_a_submission_sent_twice_and_answered_as_withdrawn_ends_by_the_withdrawals_answer(
    sent_twice: Callable[[], RequestState],
) -> None:
    """The answer may belong to the first sending. The second one lies behind it, and a connector
    that fetched it without the withdrawal carries it out."""
    asked = after(sent_twice(), "w-1", WITHDRAWAL)
    answered = after(must(asked), "o-1", outcome(OutcomeKind.WITHDRAWN, begun()[1]))
    assert not must(answered).status.final
    assert answered.calls == []
    assert [call.kind for call in must(answered).calls] == [CallKind.WITHDRAW]
    # The second sending was carried out, and the province keeps it.
    assert must(says(must(answered), OutcomeKind.COMPLETED)).status is Status.COMPLETED
    assert must(says(must(answered), OutcomeKind.WITHDRAWN)).status is Status.WITHDRAWN


def test_a_withdrawal_that_turns_out_to_be_kept_goes_on() -> None:
    state, call_id = begun()
    asked = must(after(state, "o-1", outcome(OutcomeKind.WITHDRAWN, call_id)))
    assert must(says(asked, OutcomeKind.ACCEPTED)).status is Status.ACCEPTED


@pytest.mark.parametrize("kind", [OutcomeKind.ACCEPTED, OutcomeKind.NEEDS_SUPPLEMENT])
def test_an_accepted_request_is_failed_by_its_provinces_word_alone(kind: OutcomeKind) -> None:
    """A malformed record with its id has held it; no call is open."""
    state = must(says(begun()[0], kind))
    held = must(after(state, "f-1", FaultNoted("r-1", midway=False)))
    failing = after(held, "d-1", operator("fail"))
    assert must(failing).status is Status.HELD
    assert [call.kind for call in failing.calls] == [CallKind.WITHDRAW]
    assert must(says(must(failing), OutcomeKind.WITHDRAWN)).status is Status.FAILED


def test_a_dead_poll_of_an_accepted_request_fails_nothing_at_once() -> None:
    accepted = must(says(begun()[0], OutcomeKind.ACCEPTED))
    assert accepted.next_poll is not None
    polled = after(accepted, "t-1", TimerDue(request_id="r-1", due=START), accepted.next_poll)
    call = polled.calls[0]
    dead = outcome(OutcomeKind.HELD, call.call_id, CallKind.POLL, not_sent=True)
    held = must(after(must(polled), "o-2", dead))
    failing = after(held, "d-1", operator("fail"))
    assert [call.kind for call in failing.calls] == [CallKind.WITHDRAW]


@pytest.mark.parametrize(("not_sent", "ends"), [(None, False), (False, False), (True, True)])
def test_a_dead_submission_ends_at_once_only_where_it_took_no_effect(
    not_sent: bool | None, ends: bool
) -> None:
    state, call_id = begun()
    held = must(after(state, "o-1", outcome(OutcomeKind.HELD, call_id, not_sent=not_sent)))
    decision = after(held, "d-1", operator("fail"))
    assert must(decision).status.final is ends
    assert [call.kind for call in decision.calls] == ([] if ends else [CallKind.WITHDRAW])


def test_operator_who_insists_ends_a_request_that_could_not_be_withdrawn() -> None:
    state, call_id = begun()
    held = must(after(state, "o-1", outcome(OutcomeKind.HELD, call_id)))
    asked = after(held, "d-1", operator("fail"))
    dead = outcome(OutcomeKind.HELD, asked.calls[0].call_id, CallKind.WITHDRAW)
    given_up = must(after(must(asked), "o-2", dead))
    again = operator("fail").model_copy(update={"command_id": "d2"})
    assert must(after(given_up, "d-2", again)).status is Status.FAILED


def test_an_open_call_of_a_held_request_is_asked_for_again() -> None:
    """The record of the call may be lost: a province's topic is kept for seven days."""
    state, call_id = begun()
    held = must(after(state, "o-1", outcome(OutcomeKind.HELD, call_id)))
    asked = after(held, "d-1", operator("fail"))
    due = next_due(must(asked), RULES)
    assert due == START + RULES.ask_again
    again = after(must(asked), "t-1", TimerDue(request_id="r-1", due=due), due)
    assert [(call.kind, call.asked) for call in again.calls] == [(CallKind.WITHDRAW, 2)]
    assert must(again).status is Status.HELD


def closed(state: RequestState) -> tuple[RequestState, datetime]:
    """Return the request closed at its deadline, and that moment."""
    deadline = state.request.deadline
    return must(after(state, "t-0", TimerDue(request_id="r-1", due=deadline), deadline)), deadline


def test_a_province_that_never_lets_go_is_polled_for_a_bounded_time() -> None:
    state, now = closed(must(says(begun()[0], OutcomeKind.ACCEPTED)))
    for number in range(200):
        kind = state.calls[0].kind
        answer = outcome(OutcomeKind.ACCEPTED, state.calls[0].call_id, kind)
        state = must(after(state, f"o-{number}", answer, now))
        if state.status is Status.HELD:
            break
        due = next_due(state, RULES)
        assert due is not None
        now = due
        state = must(after(state, f"t-{number}", TimerDue(request_id="r-1", due=now), now))
    assert state.status is Status.HELD
    assert now - state.request.deadline < RULES.keep_closing + timedelta(hours=5)
    # An operator may end it without the province.
    assert must(after(state, "d-1", operator("fail"), now)).status is Status.FAILED


def test_held_request_without_a_decision_fails_after_the_time_it_is_kept() -> None:
    state, call_id = begun()
    held = must(after(state, "o-1", outcome(OutcomeKind.HELD, call_id)))
    held, now = closed(held)
    dead = outcome(OutcomeKind.HELD, held.calls[-1].call_id, CallKind.WITHDRAW)
    held = must(after(held, "o-2", dead, now))
    due = next_due(held, RULES)
    assert due == held.request.deadline + RULES.keep_held
    ended = must(after(held, "t-2", TimerDue(request_id="r-1", due=due), due))
    assert (ended.status, ended.calls) == (Status.FAILED, [])


def test_an_outcome_of_another_province_is_not_believed() -> None:
    state, call_id = begun()
    forged = outcome(OutcomeKind.REJECTED, call_id).model_copy(update={"province": "510000"})
    decision = after(state, "o-1", forged)
    assert must(decision).status is Status.ROUTED
    assert must(says(must(decision), OutcomeKind.ACCEPTED)).status is Status.ACCEPTED
