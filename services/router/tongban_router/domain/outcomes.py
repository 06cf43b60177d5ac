"""Apply what a province reports: the outcome of a call, and the notice of a signed callback.

An outcome is a province's answer to a call, or its connector's report about that call.

A notice is not believed (ADR 0008): the router polls the province at once. A notice may be
repeated, late or out of order without harm, since the answer to the poll is the province's state at
that moment. Two things matter:

- The answer to a call that is open now may be older than the notice. So the poll waits until no
  call is open; several notices meanwhile lead to one poll.
- Such polls are not counted among the scheduled ones: a province that sends many notices does not
  slow its own polling down.
"""

from __future__ import annotations

from datetime import datetime

from tongban_common.domain.ids import derived_id
from tongban_common.domain.moments import later
from tongban_common.domain.status import CallKind, OutcomeKind, Status
from tongban_common.events.models import ProvinceNotice, ProvinceOutcome
from tongban_common.private_texts import REASON, RECEIPT, part_of
from tongban_router.domain import texts
from tongban_router.domain.state import Call, Rules, Why
from tongban_router.domain.transition import Transition, reason_of

_BEFORE_PROVINCE = frozenset({Status.SUBMITTED, Status.ROUTED, Status.WAITING_FOR_PROVINCE})
_BY = "province"
_WAITING_CAUSES = frozenset({"closed", "down", "throttled", "paused", "store"})
_MOST_WAITS = 16
"""Most entries in a row about waiting. A province that is down and throttles by turns, all night,
must not fill a request's history: all of it is written again with every step."""


def apply_outcome(
    transition: Transition, outcome: ProvinceOutcome, *, rules: Rules, now: datetime
) -> bool:
    """Apply one outcome.

    Returns:
        False if it was ignored, and must be applied if it comes again.
    """
    state = transition.state
    if state.status.final:
        return True
    if outcome.province != state.request.item.province:
        return False  # each province has its own connector, which answers for no other
    call = state.outstanding(outcome.call_id)
    if call is None and outcome.outcome not in (OutcomeKind.COMPLETED, OutcomeKind.REJECTED):
        # Either the call is answered already: a late final outcome still counts, an interim one
        # does not. Or this state does not know the call, because the table lost its newest writes:
        # then the call goes out again and is answered under the same id, so do not remember it.
        return False
    match outcome.outcome:
        case OutcomeKind.WAITING:
            _waiting(transition, outcome, call)
        case OutcomeKind.HELD:
            _held(transition, outcome)
        case _:
            if call is not None:
                state.calls = [open_ for open_ in state.calls if open_ is not call]
            if call is not None and call.kind is CallKind.WITHDRAW:
                state.unresolved = False
                if outcome.outcome is not OutcomeKind.WITHDRAWN:
                    # The province refused the withdrawal: however the request ends later, an
                    # operator's decision to fail it is not the reason.
                    state.failing = state.failing_private = None
            if not _is_overtaken(transition, outcome):
                _final_or_next(transition, outcome, call, rules, now)
            follow_up(transition, now)
            _keep_moving(transition, rules, now)
    return True


def _is_overtaken(transition: Transition, outcome: ProvinceOutcome) -> bool:
    """Return True if the outcome is interim and a supplement is on its way. It is older than the
    supplement, and would only ask the applicant for the same once more."""
    interim = outcome.outcome in (OutcomeKind.ACCEPTED, OutcomeKind.NEEDS_SUPPLEMENT)
    return interim and any(call.kind is CallKind.SUPPLEMENT for call in transition.state.calls)


def _waiting(transition: Transition, outcome: ProvinceOutcome, call: Call | None) -> None:
    transition.state.calls = [
        open_.model_copy(update={"waits_until": outcome.until}) if open_ is call else open_
        for open_ in transition.state.calls
    ]
    reason, private = outcome.reason or texts.PROVINCE_AWAY, part_of(outcome.sealed, REASON)
    cause = outcome.cause if outcome.cause in _WAITING_CAUSES else None
    if transition.state.status not in _BEFORE_PROVINCE:
        transition.note(reason, at=outcome.at, by="router", private=private, cause=cause)
        return
    newest = transition.state.history[-1]
    # Sealed words cannot be compared: show the first ones beside each text of ours.
    shown = newest.reason == reason and (private is None or newest.private is not None)
    if newest.status is Status.WAITING_FOR_PROVINCE and shown:
        return
    latest = transition.state.history[-_MOST_WAITS:]
    if [entry.status for entry in latest] == [Status.WAITING_FOR_PROVINCE] * _MOST_WAITS:
        return
    transition.enter(
        Status.WAITING_FOR_PROVINCE,
        at=outcome.at,
        by="router",
        reason=reason,
        private=private,
        cause=cause,
        expected_by=outcome.until,
    )


def _held(transition: Transition, outcome: ProvinceOutcome) -> None:
    reason = outcome.reason or texts.HELD
    given_up = {"dead": True, "not_sent": outcome.not_sent is True}
    transition.state.calls = [
        call.model_copy(update=given_up) if call.call_id == outcome.call_id else call
        for call in transition.state.calls
    ]
    if outcome.call is CallKind.WITHDRAW:
        transition.state.unresolved = True
    if transition.state.status is Status.HELD and transition.state.history[-1].reason == reason:
        return
    transition.state.next_poll = None
    transition.enter(Status.HELD, at=outcome.at, by="router", reason=reason)


def _final_or_next(
    transition: Transition, outcome: ProvinceOutcome, call: Call | None, rules: Rules, now: datetime
) -> None:
    at, reason = outcome.at, outcome.reason
    if receipt := part_of(outcome.sealed, RECEIPT):
        transition.state.sealed_receipt = receipt
    match outcome.outcome:
        case OutcomeKind.COMPLETED:
            _take_result(transition, outcome)
            transition.finish(Status.COMPLETED, at=at, by=_BY, **_reason(outcome))
        case OutcomeKind.REJECTED:
            transition.finish(Status.REJECTED, at=at, by=_BY, **_reason(outcome, texts.REJECTED))
        case OutcomeKind.WITHDRAWN if _is_unrequested(transition, call):
            _ask_to_withdraw(transition, outcome, now)
        case OutcomeKind.WITHDRAWN if _may_lie_before_a_repeat(call):
            pass  # the answer to the withdrawal ends the request
        case OutcomeKind.WITHDRAWN:
            _taken_back(transition, outcome, call)
        case OutcomeKind.NOT_SENT if outcome.call is not CallKind.SUBMIT:
            # Only a withdrawal (`lifecycle._close`) can end it: the province has the request.
            transition.note(reason or texts.CALL_NOT_SENT, at=at, by="router")
        case OutcomeKind.NOT_SENT:
            transition.finish(Status.EXPIRED, at=at, by="router", reason=reason or texts.NOT_SENT)
        case OutcomeKind.NEEDS_SUPPLEMENT:
            transition.state.next_poll = None
            if transition.state.status is not Status.NEEDS_SUPPLEMENT:
                transition.enter(
                    Status.NEEDS_SUPPLEMENT,
                    at=at,
                    by=_BY,
                    **_reason(outcome, texts.NEEDS_SUPPLEMENT),
                    expected_by=transition.state.request.deadline,
                )
        case OutcomeKind.ACCEPTED:
            _accepted(transition, outcome, rules, now)


def _is_unrequested(transition: Transition, call: Call | None) -> bool:
    """Return True if a submission or supplement is answered as withdrawn, and this state has no
    open withdrawal.

    Then a predecessor sent the withdrawal and its state is lost. The withdrawal is on the
    province's topic already, so a repeat of the submission that was sent since lies behind it, and
    would be carried out on a request that was reported as withdrawn.
    """
    if call is None or call.kind not in (CallKind.SUBMIT, CallKind.SUPPLEMENT):
        return False
    return all(open_.kind is not CallKind.WITHDRAW for open_ in transition.state.calls)


def _may_lie_before_a_repeat(call: Call | None) -> bool:
    """Return True if the call that is answered as withdrawn is a submission that may have been
    sent more than once.

    The answer may belong to the first sending. A connector that has been restarted since, and
    fetches the second sending without the withdrawal behind it, carries it out.
    """
    return call is not None and call.kind is CallKind.SUBMIT and not call.sent_once


def _ask_to_withdraw(transition: Transition, outcome: ProvinceOutcome, now: datetime) -> None:
    """Send a withdrawal of our own: its answer comes after every submission on the topic."""
    transition.note(texts.WITHDRAWAL_ASKED, at=outcome.at, by="router")
    call_id = derived_id("call", transition.request_id, "withdraw", outcome.call_id)
    transition.call(CallKind.WITHDRAW, call_id, now)


def _taken_back(transition: Transition, outcome: ProvinceOutcome, call: Call | None) -> None:
    failing = transition.state.failing
    if failing is not None:
        why = reason_of("operator", failing, transition.state.failing_private)
        transition.finish(Status.FAILED, at=outcome.at, by="operator", **why)
        return
    expired = call is not None and call.closing
    status = Status.EXPIRED if expired else Status.WITHDRAWN
    own = texts.EXPIRED if expired else texts.WITHDRAWN
    transition.finish(status, at=outcome.at, by=_BY, **_reason(outcome, own))


def _reason(outcome: ProvinceOutcome, own: str | None = None) -> Why:
    """Return a province's reason: our text, and the province's own words as they were sealed."""
    return reason_of("province", outcome.reason or own, part_of(outcome.sealed, REASON))


def _keep_moving(transition: Transition, rules: Rules, now: datetime) -> None:
    """Keep polling for a request past its deadline, which would otherwise never be looked at again:
    the province's answer to the closing call did not end it. After `Rules.keep_closing` hold it
    for an operator, since it must reach a final state."""
    state = transition.state
    if not state.closing or state.status.final or state.status is Status.HELD:
        return
    if later(state.request.deadline, rules.keep_closing) <= now:
        # The province neither ends it nor withdraws it: an operator has to find out why.
        state.next_poll = None
        state.unresolved = True
        transition.enter(Status.HELD, at=now, by="router", reason=texts.NOT_TAKEN_BACK)
    elif not state.calls and state.next_poll is None:
        state.next_poll = now + rules.longest_poll


def _accepted(
    transition: Transition, outcome: ProvinceOutcome, rules: Rules, now: datetime
) -> None:
    if transition.state.status is not Status.ACCEPTED:
        transition.enter(
            Status.ACCEPTED,
            at=outcome.at,
            by=_BY,
            **_reason(outcome),
            expected_by=outcome.until,
        )
    # Also when closing: the router polls a province that cannot withdraw it until it ends.
    transition.state.next_poll = now + rules.poll_after(transition.state.polls)


def _take_result(transition: Transition, outcome: ProvinceOutcome) -> None:
    transition.state.documents = outcome.documents
    result = part_of(outcome.sealed, "result")
    if result is None:
        return
    sealed = transition.state.request.sealed
    parts = {**sealed.parts, "result": result}
    transition.state.submitted = transition.state.request.model_copy(
        update={"sealed": sealed.model_copy(update={"parts": parts})}
    )


def apply_notice(
    transition: Transition, event_id: str, notice: ProvinceNotice, now: datetime
) -> None:
    """Remember a notice, and poll its province now or later.

    Ignored where the request has ended, or the notice is of another province: each province has a
    token of its own, and none speaks for another.
    """
    state = transition.state
    state.remember_notice(event_id)
    if state.status.final or notice.province != state.request.item.province:
        return
    state.news = event_id
    follow_up(transition, now)


def follow_up(transition: Transition, now: datetime) -> None:
    """Send the poll that a notice has led to, once no other call than a withdrawal is open.

    A held request waits for an operator: its poll follows the calls that the operator resumes.
    """
    state = transition.state
    if state.news is None or state.status.final or state.status is Status.HELD:
        return
    if any(call.kind is not CallKind.WITHDRAW for call in state.calls):
        return
    # Number the poll: a notice that was forgotten and comes again leads to a new one, whose answer
    # must not have the id of the earlier answer.
    state.looks += 1
    call_id = derived_id("call", transition.request_id, "poll", state.news, state.looks)
    state.news = None
    transition.poll(call_id, now)
