"""What the router keeps of a request, in its table and the table's changelog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
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
"""What moves a request, time aside."""


@dataclass(frozen=True, slots=True)
class FaultNoted:
    """An input of this request could not be applied and was put aside. No event: the dispatcher
    makes it where it happens, and what was put aside is on the dead-letter topic."""

    request_id: str
    submission: RequestSubmitted | None = None
    """What was put aside, where it was the submission."""
    midway: bool = True
    """Whether the dispatcher may have been in the middle of carrying it out."""


OnTopics = Input | TimerDue
"""What the dispatcher's topics carry."""
AnyInput = OnTopics | FaultNoted
_REMEMBERED = 32
"""Ids of inputs that a state remembers. A request sees a handful; polls of a slow province more."""
_NOTICES = 8
"""Ids of notices that a state remembers, apart from the others: a talkative province must not make
it forget them. A notice that was forgotten and comes again costs a look-up."""


class Why(TypedDict, total=False):
    """Why a request has come to a status: arguments of `Turn.enter`, fields of an Entry."""

    reason: str | None
    private: str | None
    cause: str | None


class Entry(BaseModel):
    """One line of the history; becomes a RequestStatus event, also when it is sent again."""

    model_config = ConfigDict(frozen=True)

    seq: int
    status: Status
    at: AwareDatetime
    by: str
    reason: str | None = None
    """A text of ours."""
    private: str | None = None
    """Its author's own words, sealed: the part `reason` of the event, as the outcome brought it."""
    cause: str | None = None
    """A code; see RequestStatus."""
    note: bool = False
    expected_by: AwareDatetime | None = None
    supplements: int | None = None
    """Where a supplement is asked for: how many had been handed in, None where none had. So each
    asking is told apart, and one that comes back after a hold is the same."""
    parts: int | None = None
    """How many parts the sealed envelope had then; they are kept in the order in which they came.
    None, from before this was kept: all that it has now."""


class Call(BaseModel):
    """A call to the province that has not been answered yet."""

    model_config = ConfigDict(frozen=True)

    kind: CallKind
    call_id: str
    not_after: AwareDatetime
    asked_at: AwareDatetime
    asked: int = 1
    repeated: bool = False
    """True if it may be on its province's topic more than once, `asked` aside: the router sent it
    as a repeat, or a router whose state is lost may have sent it before."""
    closing: bool = False
    number: int | None = None
    """Of a supplement: which of the request, from 1."""
    dead: bool = False
    """Its connector has given it up: nothing comes of it until an operator resumes it."""
    not_sent: bool = False
    """Where it is dead: whether its connector knows that it has not taken effect."""
    waits_until: AwareDatetime | None = None
    """When its connector goes on with it, as the connector has said."""

    @property
    def sent_once(self) -> bool:
        """Return True if it is on its province's topic once for certain."""
        return self.asked == 1 and not self.repeated

    def ask_again_at(self, rules: Rules) -> AwareDatetime:
        """When its silence has lasted too long. A connector that told until when it waits is not
        silent: asking it through a closed weekend would only make a heap of repeats."""
        since = self.asked_at if self.waits_until is None else max(self.asked_at, self.waits_until)
        return later(since, rules.ask_again_after(self.asked))


class EarlyInput(BaseModel):
    """An input that came before the submission it belongs to.

    That happens when the router died after a call had gone out and before its table was written:
    the province's answer may then be read before the submission is read again.
    """

    model_config = ConfigDict(frozen=True)

    event_id: str
    type: str
    """CloudEvents type of the body: commands resemble one another too much to be told by shape."""
    body: str
    """JSON."""

    @classmethod
    def of(cls, event_id: str, body: Input) -> EarlyInput:
        """Keep an input for later."""
        return cls(event_id=event_id, type=body.TYPE, body=body.model_dump_json())

    def read(self) -> Input:
        """The input that was kept."""
        return cast(Input, MODELS[self.type].model_validate_json(self.body))


class RequestState(BaseModel):
    """A request in the table. `submitted` is None while only early inputs are known."""

    submitted: RequestSubmitted | None = None
    history: list[Entry] = []
    calls: list[Call] = []
    sealed_receipt: str | None = Field(None, description="the part `receipt`; never in clear")
    documents: list[DocumentRef] = []
    supplements: int = 0
    polls: int = 0
    next_poll: AwareDatetime | None = None
    closing: bool = Field(default=False, description="its time is up; it is being taken back")
    unresolved: bool = Field(
        default=False,
        description="its province was asked to let go and could not or would not: an operator may "
        "end it without the province's word",
    )
    failing: str | None = Field(
        None, description="our text for its end; its province is being asked to let go"
    )
    failing_private: str | None = Field(
        None, description="the operator's own words for it: the part `reason`"
    )
    finished_at: AwareDatetime | None = None
    first_seen: AwareDatetime
    seen: list[str] = Field([], description="ids of the inputs applied, newest last")
    early: list[EarlyInput] = []
    notices: list[str] = Field([], description="ids of the notices heard, newest last")
    news: str | None = Field(None, description="id of a notice that is to be followed by a look-up")
    looks: int = Field(0, description="such look-ups so far; numbers their calls")

    @property
    def status(self) -> Status:
        """Where the request stands: the newest entry says it, a note repeats it."""
        return self.history[-1].status if self.history else Status.SUBMITTED

    @property
    def request(self) -> RequestSubmitted:
        """The submission. Only to be asked for where there is one."""
        assert self.submitted is not None  # noqa: S101 - early states never get here
        return self.submitted

    def to_change(self) -> RequestState:
        """A copy whose lists are its own. What is in them is frozen, so that nothing deeper needs
        copying, which takes ten times as long."""
        lists = {name: [*value] for name, value in self if isinstance(value, list)}
        return self.model_copy(update=lists)

    def outstanding(self, call_id: str) -> Call | None:
        """The unanswered call of that id."""
        return next((call for call in self.calls if call.call_id == call_id), None)

    def may_go_again(self, calls: list[Call]) -> list[Call]:
        """Those of the open calls that may be sent once more: not a submission that is being taken
        back. Behind the withdrawal it would be new to a province that never had it, and be carried
        out after the connector has said that it never will be."""
        taken_back = any(c.kind is CallKind.WITHDRAW and not c.closing for c in self.calls)
        return [c for c in calls if c.kind is not CallKind.SUBMIT or not taken_back]

    def sent_as_repeats(self, sent: list[Call]) -> RequestState:
        """Return the state that knows of the calls that go out as repeats; itself where it does."""
        ids = {call.call_id for call in sent if call.kind is CallKind.SUBMIT and call.sent_once}
        if not any(call.call_id in ids for call in self.calls):
            return self
        calls = [
            call.model_copy(update={"repeated": True}) if call.call_id in ids else call
            for call in self.calls
        ]
        return self.model_copy(update={"calls": calls})

    def awaited(self) -> list[Call]:
        """The open calls whose answers may still come. Of a held request's calls those that their
        connector has given up are left out: they wait for a person."""
        held = self.status is Status.HELD
        return [call for call in self.calls if not (held and call.dead)]

    def hear(self, event_id: str) -> None:
        """Note that this notice has been heard."""
        self.notices.append(event_id)
        del self.notices[:-_NOTICES]

    def remember(self, event_id: str) -> None:
        """Note that this input has been applied."""
        self.seen.append(event_id)
        del self.seen[:-_REMEMBERED]


class Rules(BaseModel):
    """The spans of time that the life of a request goes by, in business time."""

    model_config = ConfigDict(frozen=True)

    first_poll: timedelta = timedelta(minutes=1)
    longest_poll: timedelta = timedelta(hours=4)
    ask_again: timedelta = timedelta(minutes=10)
    keep_finished: timedelta = timedelta(hours=24)
    keep_closing: timedelta = timedelta(days=7)
    """How long after its deadline a province that keeps a request is polled, before an operator is
    asked."""
    keep_held: timedelta = timedelta(days=30)
    """How long after its deadline a held request waits for an operator, before it fails."""

    def poll_after(self, polls: int) -> timedelta:
        """How long to wait before the next poll, after so many: doubling, to a limit."""
        return min(self.first_poll * (1 << min(polls, 20)), self.longest_poll)

    def ask_again_after(self, asked: int) -> timedelta:
        """How long a call may stay unanswered before it is sent again, after so many sendings."""
        return self.ask_again * (1 << min(asked - 1, 6))


def undecided_at(state: RequestState, rules: Rules) -> AwareDatetime | None:
    """When a held request whose time is up fails for want of an operator's decision."""
    if state.status is not Status.HELD or not state.closing:
        return None
    return later(max(state.history[-1].at, state.request.deadline), rules.keep_held)


def next_due(state: RequestState, rules: Rules) -> AwareDatetime | None:
    """When the timer should look at this request again; None: only an event can move it."""
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
