"""What a province's word (or a connector's) does to a request."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tongban_common.domain.ids import derived_id
from tongban_common.domain.moments import later
from tongban_common.domain.status import CallKind, OutcomeKind, Status
from tongban_common.events.models import ProvinceOutcome
from tongban_common.private_texts import REASON, RECEIPT, part_of
from tongban_router.domain import callbacks, texts
from tongban_router.domain.operators import words_of
from tongban_router.domain.state import Call, Rules, Why

if TYPE_CHECKING:
    from tongban_router.domain.lifecycle import Turn

_BEFORE_PROVINCE = frozenset({Status.SUBMITTED, Status.ROUTED, Status.WAITING_FOR_PROVINCE})
_BY = "province"
_WAITING_CAUSES = frozenset({"closed", "down", "throttled", "paused", "store"})
_MOST_WAITS = 16
"""Entries in a row that tell of waiting. A province that is down and throttles by turns, all night,
must not fill a request's history: all of it is written again with every step."""


def apply(turn: Turn, outcome: ProvinceOutcome, *, rules: Rules, now: datetime) -> bool:
    """Move the request by one outcome. False: it says nothing now, and may be said again."""
    if turn.state.status.final:
        return True
    if outcome.province != turn.state.request.item.province:
        return False  # each province has a connector of its own: none speaks for another
    call = turn.state.outstanding(outcome.call_id)
    if call is None and outcome.outcome not in (OutcomeKind.COMPLETED, OutcomeKind.REJECTED):
        # Answered already: a late final word is still worth hearing, an interim one is not. Or not
        # asked yet, as far as this state knows (the table lost its newest writes): then it will be
        # asked again and answered under the same id, which must not be remembered for that.
        return False
    match outcome.outcome:
        case OutcomeKind.WAITING:
            _waiting(turn, outcome, call)
        case OutcomeKind.HELD:
            _held(turn, outcome)
        case _:
            _answered(turn, call)
            if call is not None and call.kind is CallKind.WITHDRAW:
                turn.state.unresolved = False
                _kept(turn, outcome)
            if not _overtaken(turn, outcome):
                _final_or_next(turn, outcome, call, rules, now)
            callbacks.follow_up(turn, now)
            _keep_moving(turn, rules, now)
    return True


def _overtaken(turn: Turn, outcome: ProvinceOutcome) -> bool:
    """Whether this interim word is older than a supplement that is on its way: it would only ask
    the applicant for the same once more."""
    interim = outcome.outcome in (OutcomeKind.ACCEPTED, OutcomeKind.NEEDS_SUPPLEMENT)
    return interim and any(call.kind is CallKind.SUPPLEMENT for call in turn.state.calls)


def _answered(turn: Turn, call: Call | None) -> None:
    if call is not None:
        turn.state.calls = [open_ for open_ in turn.state.calls if open_ is not call]


def _kept(turn: Turn, outcome: ProvinceOutcome) -> None:
    """Where the province did not let go, what an operator had decided is over: however the request
    ends later, it was not by that."""
    if outcome.outcome is not OutcomeKind.WITHDRAWN:
        turn.state.failing = turn.state.failing_private = None


def _waiting(turn: Turn, outcome: ProvinceOutcome, call: Call | None) -> None:
    turn.state.calls = [
        open_.model_copy(update={"waits_until": outcome.until}) if open_ is call else open_
        for open_ in turn.state.calls
    ]
    reason, private = outcome.reason or texts.PROVINCE_AWAY, part_of(outcome.sealed, REASON)
    cause = outcome.cause if outcome.cause in _WAITING_CAUSES else None
    if turn.state.status not in _BEFORE_PROVINCE:
        turn.note(reason, at=outcome.at, by="router", private=private, cause=cause)
        return
    newest = turn.state.history[-1]
    # Sealed words cannot be compared: the first ones beside one text of ours are shown.
    told = newest.reason == reason and (private is None or newest.private is not None)
    if newest.status is Status.WAITING_FOR_PROVINCE and told:
        return
    latest = turn.state.history[-_MOST_WAITS:]
    if [entry.status for entry in latest] == [Status.WAITING_FOR_PROVINCE] * _MOST_WAITS:
        return
    turn.enter(
        Status.WAITING_FOR_PROVINCE,
        at=outcome.at,
        by="router",
        reason=reason,
        private=private,
        cause=cause,
        expected_by=outcome.until,
    )


def _held(turn: Turn, outcome: ProvinceOutcome) -> None:
    reason = outcome.reason or texts.HELD
    given_up = {"dead": True, "not_sent": outcome.not_sent is True}
    turn.state.calls = [
        call.model_copy(update=given_up) if call.call_id == outcome.call_id else call
        for call in turn.state.calls
    ]
    if outcome.call is CallKind.WITHDRAW:
        turn.state.unresolved = True
    if turn.state.status is Status.HELD and turn.state.history[-1].reason == reason:
        return
    turn.state.next_poll = None
    turn.enter(Status.HELD, at=outcome.at, by="router", reason=reason)


def _final_or_next(
    turn: Turn, outcome: ProvinceOutcome, call: Call | None, rules: Rules, now: datetime
) -> None:
    at, reason = outcome.at, outcome.reason
    turn.state.sealed_receipt = part_of(outcome.sealed, RECEIPT) or turn.state.sealed_receipt
    match outcome.outcome:
        case OutcomeKind.COMPLETED:
            _take_result(turn, outcome)
            turn.finish(Status.COMPLETED, at=at, by=_BY, **_words(outcome))
        case OutcomeKind.REJECTED:
            turn.finish(Status.REJECTED, at=at, by=_BY, **_words(outcome, texts.REJECTED))
        case OutcomeKind.WITHDRAWN if _is_unasked(turn, call):
            _ask_to_withdraw(turn, outcome, now)
        case OutcomeKind.WITHDRAWN if _may_lie_before_a_repeat(call):
            pass  # the withdrawal's own answer ends it
        case OutcomeKind.WITHDRAWN:
            _taken_back(turn, outcome, call)
        case OutcomeKind.NOT_SENT if outcome.call is not CallKind.SUBMIT:
            # The province has the request itself: only taking it back can end it (see `_close`).
            turn.note(reason or texts.CALL_NOT_SENT, at=at, by="router")
        case OutcomeKind.NOT_SENT:
            turn.finish(Status.EXPIRED, at=at, by="router", reason=reason or texts.NOT_SENT)
        case OutcomeKind.NEEDS_SUPPLEMENT:
            turn.state.next_poll = None
            if turn.state.status is not Status.NEEDS_SUPPLEMENT:
                turn.enter(
                    Status.NEEDS_SUPPLEMENT,
                    at=at,
                    by=_BY,
                    **_words(outcome, texts.NEEDS_SUPPLEMENT),
                    expected_by=turn.state.request.deadline,
                )
        case OutcomeKind.ACCEPTED:
            _accepted(turn, outcome, rules, now)


def _is_unasked(turn: Turn, call: Call | None) -> bool:
    """Return True if a submission or supplement is answered as withdrawn, and this state has not
    asked for that.

    A predecessor's state, which had asked, is lost. Its withdrawal is on the province's topic
    already, so a repeat of the submission sent since then is behind it, and would be carried out on
    a request that was reported as withdrawn.
    """
    if call is None or call.kind not in (CallKind.SUBMIT, CallKind.SUPPLEMENT):
        return False
    return all(open_.kind is not CallKind.WITHDRAW for open_ in turn.state.calls)


def _may_lie_before_a_repeat(call: Call | None) -> bool:
    """Return True if a submission that was sent more than once is answered as withdrawn, and the
    withdrawal is not answered yet.

    The answer may be the first sending's. A connector that has been restarted since, and fetches
    the second sending without the withdrawal behind it, carries it out.
    """
    return call is not None and call.kind is CallKind.SUBMIT and not call.sent_once


def _ask_to_withdraw(turn: Turn, outcome: ProvinceOutcome, now: datetime) -> None:
    """Ask for the withdrawal again: its answer is behind every submission on the topic."""
    turn.note(texts.WITHDRAWAL_ASKED, at=outcome.at, by="router")
    call_id = derived_id("call", turn.request_id, "withdraw", outcome.call_id)
    turn.call(CallKind.WITHDRAW, call_id, now)


def _taken_back(turn: Turn, outcome: ProvinceOutcome, call: Call | None) -> None:
    failing = turn.state.failing
    if failing is not None:
        why = words_of("operator", failing, turn.state.failing_private)
        turn.finish(Status.FAILED, at=outcome.at, by="operator", **why)
        return
    expired = call is not None and call.closing
    status = Status.EXPIRED if expired else Status.WITHDRAWN
    own = texts.EXPIRED if expired else texts.WITHDRAWN
    turn.finish(status, at=outcome.at, by=_BY, **_words(outcome, own))


def _words(outcome: ProvinceOutcome, own: str | None = None) -> Why:
    """Return a province's reason: our text, and the province's own words as they were sealed."""
    private = part_of(outcome.sealed, REASON)
    return words_of("province", outcome.reason or own, private)


def _keep_moving(turn: Turn, rules: Rules, now: datetime) -> None:
    """Past its deadline no moment is set for a request any more: where the province's answer to the
    closing call ended nothing, go on asking, or it would be stuck in silence. After
    `Rules.keep_closing` hold it for an operator: it must reach a final state."""
    state = turn.state
    if not state.closing or state.status.final or state.status is Status.HELD:
        return
    if later(state.request.deadline, rules.keep_closing) <= now:
        # The province neither ends it nor lets go of it. A person has to find out why.
        state.next_poll = None
        state.unresolved = True
        turn.enter(Status.HELD, at=now, by="router", reason=texts.NOT_TAKEN_BACK)
    elif not state.calls and state.next_poll is None:
        state.next_poll = now + rules.longest_poll


def _accepted(turn: Turn, outcome: ProvinceOutcome, rules: Rules, now: datetime) -> None:
    if turn.state.status is not Status.ACCEPTED:
        turn.enter(
            Status.ACCEPTED,
            at=outcome.at,
            by=_BY,
            **_words(outcome),
            expected_by=outcome.until,
        )
    # Also when closing: a province that cannot take it back is followed to its end.
    turn.state.next_poll = now + rules.poll_after(turn.state.polls)


def _take_result(turn: Turn, outcome: ProvinceOutcome) -> None:
    turn.state.documents = outcome.documents
    result = part_of(outcome.sealed, "result")
    if result is None:
        return
    sealed = turn.state.request.sealed
    parts = {**sealed.parts, "result": result}
    turn.state.submitted = turn.state.request.model_copy(
        update={"sealed": sealed.model_copy(update={"parts": parts})}
    )
