"""One step of a request: the changed copy of its state, and the decision of what goes out.

The modules that apply an input (`commands`, `operators`, `outcomes`, `callbacks`) change a
`Transition`; `lifecycle` makes it and returns its decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Unpack

from tongban_common.domain.status import CallKind, Status
from tongban_router.domain.state import Call, Entry, RequestState, Rules, Why

_ALIVE = {"dead": False, "not_sent": False}


@dataclass(slots=True)
class Decision:
    """The result of an input. The outputs are in sending order."""

    state: RequestState | None
    """The new state; None removes the request from the table."""
    entries: list[Entry] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    completed: bool = False
    repeat: bool = False
    """All outputs may have been sent before."""
    republished: bool = False
    """Only the read model uses the entries, because an operator rebuilds it."""

    @property
    def sends(self) -> bool:
        """Return True if anything goes out."""
        return bool(self.entries or self.calls or self.completed)


class Transition:
    """Collects what one input changes and sends. It owns `state` and changes it in place: pass a
    copy (`RequestState.to_change`)."""

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
        """Add an entry to the history: a new status, or with `note` a remark on the present one.

        The entry is dated no earlier than the one before it. The moments come from several clocks,
        and an answer of a province may be read after what was decided later than it.

        Args:
            at: business time.
            by: who caused it, as the timeline names it.
            reason: a text of the router's own.
            private: the author's own words, sealed (ADR 0019).
            cause: a code; see `RequestStatus`.
            expected_by: business time by which the status is expected to change.
        """
        history = self.state.history
        asks_supplement = status is Status.NEEDS_SUPPLEMENT and not note
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
            supplements=(self.state.supplements or None) if asks_supplement else None,
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
        """Add a remark to the timeline, unless one of the last three entries has the same text."""
        if all(entry.reason != reason for entry in self.state.history[-3:]):
            why = Why(reason=reason, private=private, cause=cause)
            self.enter(self.state.status, at=at, by=by, note=True, **why)

    def finish(self, status: Status, *, at: datetime, by: str, **why: Unpack[Why]) -> None:
        """Enter a final status and drop all open calls, also those of this transition."""
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
        """Open a call and send it to the province's connector.

        Args:
            closing: the call withdraws the request because its deadline has passed.
            number: of a supplement, from 1.
        """
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
        """Poll the province. Its answer sets the moment of the next poll."""
        self.state.next_poll = None
        self.call(CallKind.POLL, call_id, now)

    def call_again(self, now: datetime, rules: Rules) -> None:
        """Send those open calls again, as repeats, that have been unanswered for too long."""
        repeated = []
        awaited = self.state.awaited()
        for index, call in enumerate(self.state.calls):
            if call in awaited and call.ask_again_at(rules) <= now:
                again = call.model_copy(update={"asked_at": now, "asked": call.asked + 1})
                self.state.calls[index] = again
                repeated.append(again)
        self._calls += self.state.may_go_again(repeated)
        self._repeat = True

    def resume(self, now: datetime) -> None:
        """Send all open calls again, as repeats, because their effect is not known."""
        self.state.calls = [
            call.model_copy(update={"asked_at": now, "asked": call.asked + 1, **_ALIVE})
            for call in self.state.calls
        ]
        self._calls += self.state.may_go_again(self.state.calls)
        self._repeat = True

    def decision(self) -> Decision:
        """Return the new state and what has to be sent."""
        return Decision(
            self.state, self._entries, self._calls, completed=self._completed, repeat=self._repeat
        )


def reason_of(author: str, own: str | None, private: str | None) -> Why:
    """Return the arguments of `Transition.enter` for a reason of `author`.

    Args:
        author: named as the cause if `private` is given.
        own: a text of the router's own.
        private: the author's words, sealed.
    """
    return Why(reason=own, private=private, cause=None if private is None else author)
