"""Apply commands: an applicant hands in a supplement or withdraws, an operator decides."""

from __future__ import annotations

from datetime import datetime

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, Status
from tongban_common.events.models import OperatorDecision, SupplementHanded, WithdrawalAsked
from tongban_common.private_texts import REASON, part_of
from tongban_router.domain import texts
from tongban_router.domain.state import Entry, RequestState, Why
from tongban_router.domain.transition import Transition, reason_of

BY = "operator"
"""The author in the timeline. The decision on requests.commands names the person."""
_WAITED_IN = frozenset({Status.ACCEPTED, Status.NEEDS_SUPPLEMENT})


def supplement(transition: Transition, command: SupplementHanded, now: datetime) -> None:
    """Send a supplement to the province; note in the timeline if none is wanted now."""
    state = transition.state
    if state.status is not Status.NEEDS_SUPPLEMENT or state.closing:
        transition.note(texts.SUPPLEMENT_NOT_WANTED, at=now, by="router")
        return
    sealed = state.request.sealed
    parts = {**sealed.parts, "supplement": command.sealed.parts["supplement"]}
    state.submitted = state.request.model_copy(
        update={"sealed": sealed.model_copy(update={"parts": parts})}
    )
    state.supplements += 1
    transition.enter(Status.ROUTED, at=now, by=command.by, reason=texts.SUPPLEMENT_HANDED)
    transition.call(
        CallKind.SUPPLEMENT,
        derived_id("call", transition.request_id, "supplement", command.command_id),
        now,
        number=state.supplements,
    )


def withdraw(transition: Transition, command: WithdrawalAsked, now: datetime) -> None:
    """Ask the province to withdraw the request; note in the timeline if it has ended already."""
    if transition.state.status.final:
        transition.note(texts.WITHDRAWAL_TOO_LATE, at=now, by="router")
        return
    transition.note(texts.WITHDRAWAL_ASKED, at=now, by=command.by)
    if any(call.kind is CallKind.WITHDRAW and not call.closing for call in transition.state.calls):
        return  # the answer to that call answers this command, too
    # The id contains the command's: a province that refused once may be asked once more.
    transition.call(
        CallKind.WITHDRAW,
        derived_id("call", transition.request_id, "withdraw", command.command_id),
        now,
    )


def hold(transition: Transition, now: datetime) -> None:
    """Hold the request, an input of which was put aside, until an operator decides or its time is
    up."""
    if transition.state.status is Status.HELD:
        return
    transition.state.next_poll = None
    transition.enter(Status.HELD, at=now, by="router", reason=texts.PUT_ASIDE)


def decide(transition: Transition, decision: OperatorDecision, now: datetime) -> None:
    """Resume the request from where it was held, or end it."""
    if transition.state.status.final:
        return
    if decision.decision == "resume":
        _resume(transition, decision, now)
    elif transition.state.status is Status.HELD:
        _fail(transition, decision, now)
    else:
        # The operator decided about a held request, which has moved on meanwhile.
        transition.note(texts.NOT_FAILED, at=now, by=BY)


def _fail(transition: Transition, decision: OperatorDecision, now: datetime) -> None:
    """Fail the request at once if none of its calls can have taken effect or still can.

    Otherwise withdraw it: it fails when the connector confirms the withdrawal. Where the connector
    could not, an operator who insists fails it without confirmation.
    """
    state = transition.state
    insists = state.unresolved and all(call.dead for call in state.calls)
    if insists or _never_took_effect(state):
        transition.finish(Status.FAILED, at=now, by=BY, **_reason(decision))
        return
    state.failing = decision.reason
    state.failing_private = part_of(decision.sealed, REASON)
    transition.note(texts.FAILING, at=now, by=BY)
    if any(call.kind is CallKind.WITHDRAW and not call.dead for call in state.calls):
        return
    transition.call(
        CallKind.WITHDRAW,
        derived_id("call", transition.request_id, "failing", decision.command_id),
        now,
    )


def _never_took_effect(state: RequestState) -> bool:
    """Return True if the province has certainly done nothing, and will do nothing."""
    if state.calls:
        certain = all(call.dead and call.not_sent for call in state.calls)
    else:
        # Either the submission itself was put aside, or a call of it has been answered.
        certain = _never_asked(state.history)
    return certain and all(entry.status not in _WAITED_IN for entry in state.history)


def _never_asked(history: list[Entry]) -> bool:
    return all(entry.status in (Status.SUBMITTED, Status.HELD) for entry in history)


def _resume(transition: Transition, decision: OperatorDecision, now: datetime) -> None:
    state = transition.state
    state.unresolved = False
    # Look before `enter`: the applicant sees "routed" before the province is asked.
    never_asked = _never_asked(state.history)
    if state.status is Status.HELD:
        before = _before_hold(state.history)
        status = before.status if before and before.status in _WAITED_IN else Status.ROUTED
        transition.enter(
            status,
            at=now,
            by=BY,
            **_reason(decision),
            expected_by=before.expected_by if before and status is before.status else None,
        )
    transition.resume(now)
    if never_asked and not state.calls:
        # The submission itself was put aside. An open call is its withdrawal: then only the
        # connector can say that the province will never have the request.
        transition.call(CallKind.SUBMIT, derived_id("call", transition.request_id, "submit"), now)
    elif _is_silent(state):
        state.next_poll = now


def _reason(decision: OperatorDecision) -> Why:
    """Return an operator's reason: our text, and the operator's own words as they were sealed."""
    return reason_of("operator", decision.reason, part_of(decision.sealed, REASON))


def _before_hold(history: list[Entry]) -> Entry | None:
    """Return the newest entry from before the hold, notes aside."""
    return next((e for e in reversed(history) if e.status is not Status.HELD and not e.note), None)


def _is_silent(state: RequestState) -> bool:
    """Return True if nothing would move the request: no call is open, no poll is due, and no
    supplement is expected from the applicant."""
    asks_applicant = state.status is Status.NEEDS_SUPPLEMENT and not state.closing
    return not state.calls and state.next_poll is None and not asks_applicant
