"""Decide what an input does to a request: a pure state machine, from a state and an input to a new
state and outputs.

                        ┌───────────────┐
     submitted ──> routed <──> waiting_for_province
                        │  └──> held ──(operator)──> where it was before, failed
                        v
        needs_supplement <──> accepted
                        │
     final:  completed   rejected   withdrawn   expired   failed

Rules that hold in every state:
- An input is applied once. A repeat of it changes nothing, except that the state notes that a
  submission went out twice. It sends everything again that may be lost, since the process may have
  died between writing its table and sending: with derived ids, and marked as repeats.
- A request that was sent to a province is withdrawn or expires only when the connector says so.
- No input leaves a final state. A later one is ignored, or noted where an operator or the applicant
  should know of it.
- An input that comes before its submission is kept until the submission comes.
- An input that cannot be applied is put aside, and its request is held until an operator decides.
- A province's notice changes no status: the router polls the province at once
  (`domain/outcomes.py`).
"""

from __future__ import annotations

from datetime import datetime

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, Status
from tongban_common.events.models import (
    OperatorDecision,
    ProvinceNotice,
    ProvinceOutcome,
    RepublishRequested,
    RequestSubmitted,
    SupplementHanded,
    TimerDue,
    WithdrawalAsked,
)
from tongban_router.domain import commands, outcomes, texts
from tongban_router.domain.state import (
    AnyInput,
    EarlyInput,
    FaultNoted,
    Input,
    RequestState,
    Rules,
    next_due,
    undecided_at,
)
from tongban_router.domain.transition import Decision, Transition


class Lifecycle:
    """Applies inputs to the states of requests, under the given rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def apply(
        self,
        state: RequestState | None,
        event_id: str,
        body: AnyInput,
        *,
        now: datetime,
        maybe_seen: bool = False,
    ) -> Decision:
        """Return the decision on one input; `state` itself is not changed.

        Args:
            state: of the request, or None if the table does not have it.
            now: business time.
            maybe_seen: a predecessor may have read the same record and acted on it. Everything that
                goes out is then marked as a repeat: the table alone cannot tell, since its newest
                writes may have died with the predecessor.
        """
        if isinstance(body, TimerDue):
            decision = self._timer(state, now=now, maybe_seen=maybe_seen)
        elif isinstance(body, FaultNoted):
            decision = self._fault(state, event_id, body, now)
        elif isinstance(body, RepublishRequested):
            decision = _history_again(state)
        elif isinstance(body, ProvinceNotice):
            decision = self._notice(state, event_id, body, now)
        elif state is None or state.submitted is None:
            decision = self._before_submission(state, event_id, body, now)
        elif event_id in state.seen:
            decision = _again(state)
        else:
            decision = self._known_request(state, event_id, body, now)
        decision.repeat = decision.repeat or maybe_seen
        if decision.repeat and decision.state is not None:
            decision.state = decision.state.sent_as_repeats(decision.calls)
        return decision

    def _before_submission(
        self, state: RequestState | None, event_id: str, body: Input, now: datetime
    ) -> Decision:
        known = state or RequestState(first_seen=now)
        if not isinstance(body, RequestSubmitted):
            if any(early.event_id == event_id for early in known.early):
                return Decision(known)
            waiting = [*known.early, EarlyInput.of(event_id, body)]
            return Decision(known.model_copy(update={"early": waiting}))
        transition = Transition(RequestState(first_seen=now, submitted=body))
        transition.state.remember(event_id)
        transition.enter(Status.SUBMITTED, at=body.submitted_at, by=body.origin.kiosk_id)
        transition.enter(Status.ROUTED, at=now, by="router")
        transition.call(CallKind.SUBMIT, derived_id("call", body.request_id, "submit"), now)
        for early in known.early:
            self._apply_input(transition, early.event_id, early.read(), now)
        decision = transition.decision()
        # An early answer shows that the call went out before: this one is its repeat.
        decision.repeat = bool(known.early)
        return decision

    def _known_request(
        self, state: RequestState, event_id: str, body: Input, now: datetime
    ) -> Decision:
        if isinstance(body, RequestSubmitted) and body.body_digest == state.request.body_digest:
            return _again(state)
        transition = Transition(state.to_change())
        self._apply_input(transition, event_id, body, now)
        return transition.decision()

    def _fault(
        self, state: RequestState | None, event_id: str, fault: FaultNoted, now: datetime
    ) -> Decision:
        """Hold the request. If the router failed midway, send the whole history again: some of it
        may not have gone out."""
        if state is None or state.submitted is None:
            if fault.submission is None:
                return Decision(state)
            # Early inputs keep waiting: they are applied when an operator resumes the request.
            early = [] if state is None else state.early
            body = fault.submission
            transition = Transition(RequestState(first_seen=now, submitted=body, early=early))
            transition.enter(Status.SUBMITTED, at=body.submitted_at, by=body.origin.kiosk_id)
        else:
            transition = Transition(state.to_change())
        if event_id not in transition.state.seen and not transition.state.status.final:
            transition.state.remember(event_id)
            commands.hold(transition, now)
        if not fault.midway:
            return transition.decision()
        again = _again(transition.state)
        again.calls = []
        return again

    def _apply_input(
        self, transition: Transition, event_id: str, body: Input, now: datetime
    ) -> None:
        transition.state.remember(event_id)
        match body:
            case RequestSubmitted():
                transition.note(texts.OTHER_BODY, at=now, by="router")
            case ProvinceOutcome():
                if not outcomes.apply_outcome(transition, body, rules=self._rules, now=now):
                    transition.state.seen.remove(event_id)
            case SupplementHanded():
                commands.supplement(transition, body, now)
            case WithdrawalAsked():
                commands.withdraw(transition, body, now)
            case OperatorDecision():
                commands.decide(transition, body, now)
                early, transition.state.early = transition.state.early, []
                for waiting in early:
                    self._apply_input(transition, waiting.event_id, waiting.read(), now)
                outcomes.follow_up(transition, now)

    def _notice(
        self, state: RequestState | None, event_id: str, notice: ProvinceNotice, now: datetime
    ) -> Decision:
        # A notice before the submission need not be kept: the submit call that follows it brings
        # the present state.
        if state is None or state.submitted is None:
            return Decision(state)
        if event_id in state.notices:
            return _again(state)
        transition = Transition(state.to_change())
        outcomes.apply_notice(transition, event_id, notice, now)
        return transition.decision()

    def _timer(self, state: RequestState | None, *, now: datetime, maybe_seen: bool) -> Decision:
        if state is None:
            return Decision(None)
        due = next_due(state, self._rules)
        if due is None or due > now:
            return _again(state) if maybe_seen else Decision(state)
        if state.finished_at is not None or state.submitted is None:
            return Decision(None)
        transition = Transition(state.to_change())
        undecided = undecided_at(state, self._rules)
        if undecided is not None and undecided <= now:
            transition.finish(Status.FAILED, at=now, by="router", reason=texts.UNDECIDED)
        elif not transition.state.closing and transition.state.request.deadline <= now:
            _close(transition, now)
        elif transition.state.next_poll is not None and transition.state.next_poll <= now:
            transition.state.polls += 1
            polls = transition.state.polls
            transition.poll(derived_id("call", transition.request_id, "poll", polls), now)
        else:
            transition.call_again(now, self._rules)
        return transition.decision()


def _again(state: RequestState) -> Decision:
    """Send everything again that may have been lost with a process that died."""
    if state.submitted is None:
        return Decision(state)
    return Decision(
        state,
        list(state.history),
        state.may_go_again(state.calls),
        completed=state.status is Status.COMPLETED,
        repeat=True,
    )


def _history_again(state: RequestState | None) -> Decision:
    """Publish the whole history again for the read model, without calls or completion. A request
    that the table no longer has ended more than a day ago: its history is on requests.status."""
    if state is None or state.submitted is None:
        return Decision(state)
    return Decision(state, list(state.history), repeat=True, republished=True)


def _close(transition: Transition, now: datetime) -> None:
    """Withdraw a request whose deadline has passed; it ends when the connector answers."""
    transition.state.closing = True
    transition.state.next_poll = None
    transition.note(texts.TIME_IS_UP, at=now, by="router")
    call_id = derived_id("call", transition.request_id, "closing")
    transition.call(CallKind.WITHDRAW, call_id, now, closing=True)
