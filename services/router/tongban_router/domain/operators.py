"""What people decide about a request, and what makes one wait for a person."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, Status
from tongban_common.events.models import OperatorDecision
from tongban_common.private_texts import REASON, part_of
from tongban_router.domain import texts
from tongban_router.domain.state import Entry, Why

if TYPE_CHECKING:
    from tongban_router.domain.lifecycle import Turn

BY = "operator"
"""In the timeline; who it was stands in the decision on requests.commands."""
_WAITED_IN = frozenset({Status.ACCEPTED, Status.NEEDS_SUPPLEMENT})


def hold(turn: Turn, now: datetime) -> None:
    """An input of this request was put aside: show it, until a person decides or time is up."""
    if turn.state.status is Status.HELD:
        return
    turn.state.next_poll = None
    turn.enter(Status.HELD, at=now, by="router", reason=texts.PUT_ASIDE)


def decide(turn: Turn, decision: OperatorDecision, now: datetime) -> None:
    """Let it go on from where it was, or end it."""
    if turn.state.status.final:
        return
    if decision.decision == "resume":
        _resume(turn, decision, now)
    elif turn.state.status is Status.HELD:
        _fail(turn, decision, now)
    else:
        # The decision was about a request that was held; this one has moved on meanwhile.
        turn.note(texts.NOT_FAILED, at=now, by=BY)


def _fail(turn: Turn, decision: OperatorDecision, now: datetime) -> None:
    """End it at once where no call of it may have taken effect or may yet. Otherwise it ends by its
    connector's word, as all that is taken back does. Where that could not be had, an operator who
    insists ends it."""
    insists = turn.state.unresolved and all(call.dead for call in turn.state.calls)
    if insists or _never_took_effect(turn):
        turn.finish(Status.FAILED, at=now, by=BY, **_why(decision))
        return
    turn.state.failing = decision.reason
    turn.state.failing_private = part_of(decision.sealed, REASON)
    turn.note(texts.FAILING, at=now, by=BY)
    if any(call.kind is CallKind.WITHDRAW and not call.dead for call in turn.state.calls):
        return
    turn.call(
        CallKind.WITHDRAW,
        derived_id("call", turn.request_id, "failing", decision.command_id),
        now,
    )


def _never_took_effect(turn: Turn) -> bool:
    """Return True if the province has certainly done nothing, and will do nothing."""
    state = turn.state
    if state.calls:
        certain = all(call.dead and call.not_sent for call in state.calls)
    else:
        # The submission itself was put aside. Else a call of it has been answered.
        certain = _never_asked(state.history)
    return certain and all(entry.status not in _WAITED_IN for entry in state.history)


def _never_asked(history: list[Entry]) -> bool:
    return all(entry.status in (Status.SUBMITTED, Status.HELD) for entry in history)


def _resume(turn: Turn, decision: OperatorDecision, now: datetime) -> None:
    state = turn.state
    state.unresolved = False
    # Who hands in a request is told that it is routed before its province is asked.
    never_asked = _never_asked(state.history)
    if state.status is Status.HELD:
        before = _before(state.history)
        status = before.status if before and before.status in _WAITED_IN else Status.ROUTED
        turn.enter(
            status,
            at=now,
            by=BY,
            **_why(decision),
            expected_by=before.expected_by if before and status is before.status else None,
        )
    turn.resume(now)
    if never_asked and not state.calls:
        # What was put aside was the submission itself. Not where it is being taken back meanwhile:
        # that a province "never will" have it is then the connector's word.
        turn.call(CallKind.SUBMIT, derived_id("call", turn.request_id, "submit"), now)
    elif _is_silent(turn):
        state.next_poll = now


def _why(decision: OperatorDecision) -> Why:
    """Return an operator's reason: our text, and the operator's own words as they were sealed."""
    return words_of("operator", decision.reason, part_of(decision.sealed, REASON))


def words_of(author: str, own: str | None, private: str | None) -> Why:
    """Return the arguments of `Turn.enter` for a reason of that author, who is named as its cause
    where there are words of his own."""
    return Why(reason=own, private=private, cause=None if private is None else author)


def _before(history: list[Entry]) -> Entry | None:
    """Where the request stood when it was held."""
    return next((e for e in reversed(history) if e.status is not Status.HELD and not e.note), None)


def _is_silent(turn: Turn) -> bool:
    """Whether nothing would move it: no call is open, no poll is due, and no applicant is asked."""
    state = turn.state
    asks_applicant = state.status is Status.NEEDS_SUPPLEMENT and not state.closing
    return not state.calls and state.next_poll is None and not asks_applicant
