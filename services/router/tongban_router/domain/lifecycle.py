"""The life of a request as a pure state machine: an input and a state in, a state and outputs out.

                        ┌───────────────┐
     submitted ──> routed <──> waiting_for_province
                        │  └──> held ──(operator)──> where it was before, failed
                        v
        needs_supplement <──> accepted
                        │
     final:  completed   rejected   withdrawn   expired   failed

Rules that hold in every state:
- An input is applied once. Its repeat changes nothing (it is only noted that a submission went out
  twice) and sends everything again that may have been lost (the process may have died between
  writing its table and sending): all with derived ids, and marked as repeats.
- What was handed to a province ends as withdrawn or expired only by the connector's word.
- Nothing leaves a final state. What comes later is ignored, or noted where a person should know.
- An input that comes before its submission waits for it.
- An input that cannot be applied is put aside, and its request is held until a person decides.
- A province's notice moves nothing: it has the province asked at once (`notices`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Unpack

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
from tongban_router.domain import callbacks, operators, outcomes, texts
from tongban_router.domain.state import (
    AnyInput,
    Call,
    EarlyInput,
    Entry,
    FaultNoted,
    Input,
    RequestState,
    Rules,
    Why,
    next_due,
    undecided_at,
)


@dataclass(slots=True)
class Decision:
    """What an input does. `state` None: forget the request. The outputs are in sending order."""

    state: RequestState | None
    entries: list[Entry] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    completed: bool = False
    repeat: bool = False
    """All outputs may have been sent before."""
    republished: bool = False
    """The entries go to the read model alone: an operator rebuilds it."""

    @property
    def sends(self) -> bool:
        """Whether anything goes out."""
        return bool(self.entries or self.calls or self.completed)


class Lifecycle:
    """Decides what an input does to a request.

    `maybe_seen` says that a predecessor may have read the same record and acted on it: whatever
    goes out is then marked as a repeat, since the table alone cannot tell (its newest writes may
    have died with the predecessor).
    """

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
        """The decision; `state` itself is never changed."""
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
            decision = self._input(state, event_id, body, now)
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
        turn = _Turn(RequestState(first_seen=now, submitted=body))
        turn.state.remember(event_id)
        turn.enter(Status.SUBMITTED, at=body.submitted_at, by=body.origin.kiosk_id)
        turn.enter(Status.ROUTED, at=now, by="router")
        turn.call(CallKind.SUBMIT, derived_id("call", body.request_id, "submit"), now)
        for early in known.early:
            self._dispatch(turn, early.event_id, early.read(), now)
        decision = turn.decision()
        # An early answer means that a call went out before: this one is its repeat.
        decision.repeat = bool(known.early)
        return decision

    def _input(self, state: RequestState, event_id: str, body: Input, now: datetime) -> Decision:
        if isinstance(body, RequestSubmitted) and body.body_digest == state.request.body_digest:
            return _again(state)
        turn = _Turn(state.to_change())
        self._dispatch(turn, event_id, body, now)
        return turn.decision()

    def _fault(
        self, state: RequestState | None, event_id: str, fault: FaultNoted, now: datetime
    ) -> Decision:
        """Hold the request. Where the router fell over midway, all that the state says goes out
        once more: some of it may not have gone out before."""
        if state is None or state.submitted is None:
            if fault.submission is None:
                return Decision(state)
            # What came early waits on: it is applied when an operator lets the request go on.
            early = [] if state is None else state.early
            turn = _Turn(RequestState(first_seen=now, submitted=fault.submission, early=early))
            origin = fault.submission.origin
            turn.enter(Status.SUBMITTED, at=fault.submission.submitted_at, by=origin.kiosk_id)
        else:
            turn = _Turn(state.to_change())
        if event_id not in turn.state.seen and not turn.state.status.final:
            turn.state.remember(event_id)
            operators.hold(turn, now)
        if not fault.midway:
            return turn.decision()
        again = _again(turn.state)
        again.calls = []
        return again

    def _dispatch(self, turn: _Turn, event_id: str, body: Input, now: datetime) -> None:
        turn.state.remember(event_id)
        match body:
            case RequestSubmitted():
                turn.note(texts.OTHER_BODY, at=now, by="router")
            case ProvinceOutcome():
                if not outcomes.apply(turn, body, rules=self._rules, now=now):
                    turn.state.seen.remove(event_id)
            case SupplementHanded():
                _supplement(turn, body, now)
            case WithdrawalAsked():
                _withdraw(turn, body, now)
            case OperatorDecision():
                operators.decide(turn, body, now)
                early, turn.state.early = turn.state.early, []
                for waiting in early:
                    self._dispatch(turn, waiting.event_id, waiting.read(), now)
                callbacks.follow_up(turn, now)

    def _notice(
        self, state: RequestState | None, event_id: str, notice: ProvinceNotice, now: datetime
    ) -> Decision:
        # Before its submission it need not be kept: the call that follows hears how things stand.
        if state is None or state.submitted is None:
            return Decision(state)
        if event_id in state.notices:
            return _again(state)
        turn = _Turn(state.to_change())
        callbacks.apply(turn, event_id, notice, now)
        return turn.decision()

    def _timer(self, state: RequestState | None, *, now: datetime, maybe_seen: bool) -> Decision:
        if state is None:
            return Decision(None)
        due = next_due(state, self._rules)
        if due is None or due > now:
            return _again(state) if maybe_seen else Decision(state)
        if state.finished_at is not None or state.submitted is None:
            return Decision(None)
        turn = _Turn(state.to_change())
        undecided = undecided_at(state, self._rules)
        if undecided is not None and undecided <= now:
            turn.finish(Status.FAILED, at=now, by="router", reason=texts.UNDECIDED)
        elif not turn.state.closing and turn.state.request.deadline <= now:
            _close(turn, now)
        elif turn.state.next_poll is not None and turn.state.next_poll <= now:
            turn.state.polls += 1
            turn.poll(derived_id("call", turn.request_id, "poll", turn.state.polls), now)
        else:
            turn.ask_again(now, self._rules)
        return turn.decision()


_ALIVE = {"dead": False, "not_sent": False}


class _Turn:
    """One step: a private copy of the state, and what is to be sent."""

    def __init__(self, state: RequestState) -> None:
        self.state = state
        self._entries: list[Entry] = []
        self._calls: list[Call] = []
        self._repeat = False
        self._completed = False

    @property
    def request_id(self) -> str:
        return self.state.request.request_id

    def enter(
        self,
        status: Status,
        *,
        at: datetime,
        by: str,
        reason: str | None = None,
        private: str | None = None,
        cause: str | None = None,
        expected_by: datetime | None = None,
        note: bool = False,
    ) -> None:
        """Move to a status, or (with `note`) remark on the one that holds.

        `reason` is a text of ours; `private` are its author's words, sealed (ADR 0019).

        The history never goes back in time, though its moments come from several clocks and a
        province's word may be read after what was decided later than it.
        """
        history = self.state.history
        asks = status is Status.NEEDS_SUPPLEMENT and not note
        entry = Entry(
            seq=len(history) + 1,
            status=status,
            at=max(at, history[-1].at) if history else at,
            by=by,
            reason=reason,
            private=private,
            cause=cause,
            expected_by=expected_by,
            note=note,
            supplements=(self.state.supplements or None) if asks else None,
            parts=len(self.state.request.sealed.parts),
        )
        history.append(entry)
        self._entries.append(entry)

    def note(
        self,
        reason: str,
        *,
        at: datetime,
        by: str,
        private: str | None = None,
        cause: str | None = None,
    ) -> None:
        """Say something in the timeline, once."""
        if all(entry.reason != reason for entry in self.state.history[-3:]):
            why = Why(reason=reason, private=private, cause=cause)
            self.enter(self.state.status, at=at, by=by, note=True, **why)

    def finish(self, status: Status, *, at: datetime, by: str, **why: Unpack[Why]) -> None:
        """Reach a final state; no call is open any more."""
        self.enter(status, at=at, by=by, **why)
        self.state.finished_at = self.state.history[-1].at
        self.state.calls = []
        self.state.next_poll = None
        self.state.news = None
        self._calls = []
        self._completed = status is Status.COMPLETED

    def call(
        self,
        kind: CallKind,
        call_id: str,
        now: datetime,
        *,
        closing: bool = False,
        number: int | None = None,
    ) -> None:
        """Ask the province's connector for something."""
        call = Call(
            kind=kind,
            call_id=call_id,
            not_after=self.state.request.deadline,
            asked_at=now,
            closing=closing,
            number=number,
        )
        self.state.calls.append(call)
        self._calls.append(call)

    def poll(self, call_id: str, now: datetime) -> None:
        """Have the province asked how things stand; its answer says when to ask next."""
        self.state.next_poll = None
        self.call(CallKind.POLL, call_id, now)

    def ask_again(self, now: datetime, rules: Rules) -> None:
        """Send the calls again that have been silent for too long."""
        asked = []
        awaited = self.state.awaited()
        for index, call in enumerate(self.state.calls):
            if call in awaited and call.ask_again_at(rules) <= now:
                again = call.model_copy(update={"asked_at": now, "asked": call.asked + 1})
                self.state.calls[index] = again
                asked.append(again)
        self._calls += self.state.may_go_again(asked)
        self._repeat = True

    def resume(self, now: datetime) -> None:
        """Send all open calls again, as repeats: what became of them is not known."""
        self.state.calls = [
            call.model_copy(update={"asked_at": now, "asked": call.asked + 1, **_ALIVE})
            for call in self.state.calls
        ]
        self._calls += self.state.may_go_again(self.state.calls)
        self._repeat = True

    def decision(self) -> Decision:
        """The step's result."""
        return Decision(
            self.state, self._entries, self._calls, completed=self._completed, repeat=self._repeat
        )


Turn = _Turn


def _again(state: RequestState) -> Decision:
    """Everything that may have been lost with a dead process, once more."""
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
    """Publish the whole history once more, and nothing that anybody acts on. A request that the
    table no longer has ended more than a day ago: its history is on requests.status."""
    if state is None or state.submitted is None:
        return Decision(state)
    return Decision(state, list(state.history), repeat=True, republished=True)


def _supplement(turn: _Turn, command: SupplementHanded, now: datetime) -> None:
    if turn.state.status is not Status.NEEDS_SUPPLEMENT or turn.state.closing:
        turn.note(texts.SUPPLEMENT_NOT_WANTED, at=now, by="router")
        return
    sealed = turn.state.request.sealed
    parts = {**sealed.parts, "supplement": command.sealed.parts["supplement"]}
    turn.state.submitted = turn.state.request.model_copy(
        update={"sealed": sealed.model_copy(update={"parts": parts})}
    )
    turn.state.supplements += 1
    turn.enter(Status.ROUTED, at=now, by=command.by, reason=texts.SUPPLEMENT_HANDED)
    turn.call(
        CallKind.SUPPLEMENT,
        derived_id("call", turn.request_id, "supplement", command.command_id),
        now,
        number=turn.state.supplements,
    )


def _withdraw(turn: _Turn, command: WithdrawalAsked, now: datetime) -> None:
    if turn.state.status.final:
        turn.note(texts.WITHDRAWAL_TOO_LATE, at=now, by="router")
        return
    turn.note(texts.WITHDRAWAL_ASKED, at=now, by=command.by)
    if any(call.kind is CallKind.WITHDRAW and not call.closing for call in turn.state.calls):
        return  # its answer is the answer to this one, too
    # The command is in the id: a province that could not take it back may be asked once more.
    turn.call(
        CallKind.WITHDRAW,
        derived_id("call", turn.request_id, "withdraw", command.command_id),
        now,
    )


def _close(turn: _Turn, now: datetime) -> None:
    """Its time is up: ask the connector to take it back, and wait for its word."""
    turn.state.closing = True
    turn.state.next_poll = None
    turn.note(texts.TIME_IS_UP, at=now, by="router")
    call_id = derived_id("call", turn.request_id, "closing")
    turn.call(CallKind.WITHDRAW, call_id, now, closing=True)
