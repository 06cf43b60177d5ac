"""Model the state of a request, as the router's table and its changelog keep it, and when it is
due."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tongban_common.domain.moments import later
from tongban_common.domain.status import CallKind, Status
from tongban_common.events.models import (
    MODELS,
    DocumentRef,
    OperatorDecision,
    ProvinceNotice,
    ProvinceOutcome,
    RepublishRequested,
    RequestSubmitted,
    SupplementHanded,
    TimerDue,
    WithdrawalAsked,
)

Input = (
    RequestSubmitted
    | ProvinceOutcome
    | ProvinceNotice
    | SupplementHanded
    | WithdrawalAsked
    | OperatorDecision
    | RepublishRequested
)
"""Events that change a request, apart from timer events."""


@dataclass(frozen=True, slots=True)
class FaultNoted:
    """Reports that an input of this request could not be applied and was put aside.

    It is on no topic: the router makes it on the spot, and the dead-letter topic has the input.
    """

    request_id: str
    submission: RequestSubmitted | None = None
    """The input, if it was the submission."""
    midway: bool = True
    """True if the router may have sent part of the input's outputs."""


OnTopics = Input | TimerDue
"""Bodies of the events on the router's topics."""
AnyInput = OnTopics | FaultNoted
_REMEMBERED = 32
"""Most ids of inputs in a state. A request has a handful; polls of a slow province make more."""
_NOTICES = 8
"""Most ids of notices in a state. They are kept apart from the others, which a province that sends
many notices would push out. A notice that was forgotten and comes again costs one poll."""


class Why(TypedDict, total=False):
    """The reason of an `Entry`, as arguments of `Transition.enter`."""

    reason: str | None
    private: str | None
    cause: str | None


class Entry(BaseModel):
    """One line of the history, from which its RequestStatus event is made each time."""

    model_config = ConfigDict(frozen=True)

    seq: int
    status: Status
    at: AwareDatetime
    by: str
    reason: str | None = None
    """A text of the router's own."""
    private: str | None = None
    """The author's own words, sealed: the part `reason` of the event, as the outcome had it."""
    cause: str | None = None
    """A code; see RequestStatus."""
    note: bool = False
    expected_by: AwareDatetime | None = None
    supplements: int | None = None
    """Number of supplements handed in before this entry asked for one; None for 0. It identifies
    what the entry asks for, also when the same is entered again after a hold."""
    parts: int | None = None
    """Number of parts that the sealed envelope had then; parts are kept in order of arrival. None,
    in states of earlier versions, means all parts."""


class Call(BaseModel):
    """An unanswered call to the province."""

    model_config = ConfigDict(frozen=True)

    kind: CallKind
    call_id: str
    not_after: AwareDatetime
    asked_at: AwareDatetime
    asked: int = 1
    repeated: bool = False
    """True if the call may be on its province's topic more than `asked` times: it went out as a
    repeat, or a router whose state is lost may have sent it before."""
    closing: bool = False
    number: int | None = None
    """The number of a supplement within its request, from 1."""
    dead: bool = False
    """The connector has given up: it does nothing more until an operator resumes the call."""
    not_sent: bool = False
    """True if the call is dead and the connector knows that it has not taken effect."""
    waits_until: AwareDatetime | None = None
    """The moment at which the connector will go on with it, as the connector reported."""

    @property
    def sent_once(self) -> bool:
        """Return True if the call is on its province's topic exactly once."""
        return self.asked == 1 and not self.repeated

    def ask_again_at(self, rules: Rules) -> AwareDatetime:
        """Return the moment at which the call is sent again if it is still unanswered.

        That is after `waits_until`: sending it all through a closed weekend would only pile up
        repeats.
        """
        since = self.asked_at if self.waits_until is None else max(self.asked_at, self.waits_until)
        return later(since, rules.ask_again_after(self.asked))


class EarlyInput(BaseModel):
    """An input that was read before its submission.

    That happens after a router died between sending a call and writing its table: the province's
    answer may then be read before the submission is read again.
    """

    model_config = ConfigDict(frozen=True)

    event_id: str
    type: str
    """CloudEvents type of the body; the fields of commands are too similar to tell them apart."""
    body: str
    """JSON."""

    @classmethod
    def of(cls, event_id: str, body: Input) -> EarlyInput:
        """Return the input in the form in which a state keeps it."""
        return cls(event_id=event_id, type=body.TYPE, body=body.model_dump_json())

    def read(self) -> Input:
        """Return the input."""
        return cast(Input, MODELS[self.type].model_validate_json(self.body))


class RequestState(BaseModel):
    """The state of one request. `submitted` is None while only early inputs are known."""

    submitted: RequestSubmitted | None = None
    history: list[Entry] = []
    calls: list[Call] = []
    sealed_receipt: str | None = Field(None, description="the part `receipt`; never in clear")
    documents: list[DocumentRef] = []
    supplements: int = 0
    polls: int = 0
    next_poll: AwareDatetime | None = None
    closing: bool = Field(
        default=False, description="its deadline has passed; it is being withdrawn"
    )
    unresolved: bool = Field(
        default=False,
        description="its province could not or would not withdraw it: an operator may end it "
        "without the province's answer",
    )
    failing: str | None = Field(
        None, description="our text for its end; it is being withdrawn at its province"
    )
    failing_private: str | None = Field(
        None, description="the operator's own words for its end: the sealed part `reason`"
    )
    finished_at: AwareDatetime | None = None
    first_seen: AwareDatetime
    seen: list[str] = Field([], description="ids of the inputs applied, newest last")
    early: list[EarlyInput] = []
    notices: list[str] = Field([], description="ids of the notices applied, newest last")
    news: str | None = Field(None, description="id of a notice that a poll must follow")
    looks: int = Field(0, description="polls after notices so far; numbers their calls")
    traceparent: str | None = Field(
        None,
        description="W3C context of the first input that was traced: what timers and callbacks "
        "cause days later is of the same trace",
    )

    @property
    def status(self) -> Status:
        """The status of the newest entry; a note has that of the entry before it."""
        return self.history[-1].status if self.history else Status.SUBMITTED

    @property
    def request(self) -> RequestSubmitted:
        """The submission; the caller makes sure that the state has one."""
        assert self.submitted is not None  # noqa: S101 - early states never get here
        return self.submitted

    def to_change(self) -> RequestState:
        """Return a copy with lists of its own. Their items are frozen, so a deep copy, which takes
        ten times as long, is not needed."""
        lists = {name: [*value] for name, value in self if isinstance(value, list)}
        return self.model_copy(update=lists)

    def outstanding(self, call_id: str) -> Call | None:
        """Return the unanswered call of that id."""
        return next((call for call in self.calls if call.call_id == call_id), None)

    def may_go_again(self, calls: list[Call]) -> list[Call]:
        """Return those open calls that may be sent again: all but a submission that is being
        withdrawn. Sent behind the withdrawal it would be new to a province that never had it, and
        be carried out after the connector reported that it never will be."""
        withdrawn = any(c.kind is CallKind.WITHDRAW and not c.closing for c in self.calls)
        return [c for c in calls if c.kind is not CallKind.SUBMIT or not withdrawn]

    def sent_as_repeats(self, sent: list[Call]) -> RequestState:
        """Return the state with those calls marked that now go out as repeats; `self` if nothing
        changes."""
        ids = {call.call_id for call in sent if call.kind is CallKind.SUBMIT and call.sent_once}
        if not any(call.call_id in ids for call in self.calls):
            return self
        calls = [
            call.model_copy(update={"repeated": True}) if call.call_id in ids else call
            for call in self.calls
        ]
        return self.model_copy(update={"calls": calls})

    def awaited(self) -> list[Call]:
        """Return the open calls whose answers may still come: all, but in a held request without
        those that their connector has given up, which wait for an operator."""
        held = self.status is Status.HELD
        return [call for call in self.calls if not (held and call.dead)]

    def remember_notice(self, event_id: str) -> None:
        """Keep the id of a notice that has been applied."""
        self.notices.append(event_id)
        del self.notices[:-_NOTICES]

    def remember(self, event_id: str) -> None:
        """Keep the id of an input that has been applied."""
        self.seen.append(event_id)
        del self.seen[:-_REMEMBERED]


class Rules(BaseModel):
    """Time spans that govern requests, in business time."""

    model_config = ConfigDict(frozen=True)

    first_poll: timedelta = timedelta(minutes=1)
    longest_poll: timedelta = timedelta(hours=4)
    ask_again: timedelta = timedelta(minutes=10)
    keep_finished: timedelta = timedelta(hours=24)
    keep_closing: timedelta = timedelta(days=7)
    """The router polls for so long after a request's deadline, then holds it for an operator."""
    keep_held: timedelta = timedelta(days=30)
    """A held request waits for an operator for so long after its deadline, then fails."""

    def poll_after(self, polls: int) -> timedelta:
        """Return the wait before the next poll after `polls` of them: exponential back-off."""
        return min(self.first_poll * (1 << min(polls, 20)), self.longest_poll)

    def ask_again_after(self, asked: int) -> timedelta:
        """Return how long a call that was sent `asked` times may stay unanswered: exponential
        back-off."""
        return self.ask_again * (1 << min(asked - 1, 6))


def waited_for(state: RequestState) -> str | None:
    """Return what the request had to wait for that no published time limit covers, or None.

    That is an applicant who had to supplement it, an operator's pause of its province, or the
    province's closing hours; the first of these that applies, in this order. A province that is
    down or throttles is no such reason.
    """
    if any(entry.status is Status.NEEDS_SUPPLEMENT for entry in state.history):
        return "applicant"
    causes = {entry.cause for entry in state.history}
    return next((cause for cause in ("paused", "closed") if cause in causes), None)


def undecided_at(state: RequestState, rules: Rules) -> AwareDatetime | None:
    """Return when a held request past its deadline fails if no operator decides; None for any
    other request."""
    if state.status is not Status.HELD or not state.closing:
        return None
    return later(max(state.history[-1].at, state.request.deadline), rules.keep_held)


def next_due(state: RequestState, rules: Rules) -> AwareDatetime | None:
    """Return when the next timer event is due for this request; None if it waits for other events
    alone."""
    if state.finished_at is not None:
        return later(state.finished_at, rules.keep_finished)
    if state.submitted is None:
        return later(state.first_seen, rules.keep_finished)
    moments = [call.ask_again_at(rules) for call in state.awaited()]
    if (undecided := undecided_at(state, rules)) is not None:
        moments.append(undecided)
    if state.next_poll is not None:
        moments.append(state.next_poll)
    if not state.closing:
        moments.append(state.submitted.deadline)
    return min(moments) if moments else None


class DueIndex:
    """Keeps the next due moment of each request in memory; rebuilt from the table at each start.

    A moment that has come becomes an event on router.timers, which the agent handles like any other
    input (ADR 0004): Faust writes a table only while it handles a record, whose partition it uses,
    and an event is as ordered, repeatable and testable as an outcome. Not thread-safe.
    """

    def __init__(self, *, resend_after: timedelta) -> None:
        """Make an empty index.

        Args:
            resend_after: business time after which a due request is due again, unless `set` was
                called meanwhile.
        """
        self._due: dict[bytes, datetime] = {}
        self._heap: list[tuple[datetime, bytes]] = []
        self._resend_after = resend_after

    def __len__(self) -> int:
        return len(self._due)

    def clear(self) -> None:
        """Remove all requests, before the index is rebuilt."""
        self._due.clear()
        self._heap.clear()

    def set(self, key: bytes, due: datetime | None) -> None:
        """Set the due moment of a request; None removes the request."""
        if due is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def pop_due(self, now: datetime, limit: int) -> Iterator[tuple[bytes, datetime]]:
        """Yield at most `limit` due requests. Each is due again later, unless `set` is called."""
        for _ in range(limit):
            if not self._heap or self._heap[0][0] > now:
                return
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue  # `set` has been called since
            again = now + self._resend_after
            self._due[key] = again
            heapq.heappush(self._heap, (again, key))
            yield key, due
