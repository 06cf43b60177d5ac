"""A province's notices: repeated, late and out of order they have it asked, and move nothing."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.router.domain.test_lifecycle import (
    LIFE,
    RULES,
    START,
    after,
    begun,
    must,
    outcome,
    says,
    submitted,
)
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, OutcomeKind, Status
from tongban_common.events.models import (
    OperatorDecision,
    ProvinceNotice,
    Sealed,
    SupplementHanded,
    TimerDue,
    WithdrawalAsked,
)
from tongban_router.domain.state import FaultNoted, RequestState, next_due
from tongban_router.domain.transition import Decision

GO_ON = OperatorDecision(
    request_id="r-1", command_id="d", at=START, by="op", decision="resume", reason="因为"
)


def notice(number: int = 1, province: str = "340000") -> ProvinceNotice:
    return ProvinceNotice(request_id="r-1", province=province, notice_id=f"n-{number}", at=START)


def supplement() -> SupplementHanded:
    sealed = Sealed(kid="k", key="x", parts={"supplement": "s"})
    return SupplementHanded(request_id="r-1", command_id="s", at=START, by="k", sealed=sealed)


def accepted() -> RequestState:
    """A request whose receipt has come."""
    state, call_id = begun()
    return must(after(state, "o-1", outcome(OutcomeKind.ACCEPTED, call_id, receipt="R-7")))


def kinds(decision: Decision) -> list[CallKind]:
    return [call.kind for call in decision.calls]


def test_a_notice_has_the_province_asked_at_once() -> None:
    decision = after(accepted(), "n-1", notice())
    assert kinds(decision) == [CallKind.POLL]
    assert decision.entries == []
    assert must(decision).next_poll is None, "its answer says when to ask next"


def test_a_repeated_notice_sends_the_same_question_as_a_repeat() -> None:
    first = after(accepted(), "n-1", notice())
    again = after(must(first), "n-1", notice())
    assert again.repeat
    assert again.calls == first.calls
    assert again.state == first.state


def test_notices_while_a_call_is_unanswered_are_one_question_afterwards() -> None:
    """The answer under way may be older than the news."""
    state = must(after(accepted(), "n-1", notice()))
    poll = state.calls[0].call_id
    for number in (2, 3):
        decision = after(state, f"n-{number}", notice(number))
        assert kinds(decision) == []
        state = must(decision)
    answered = after(state, "p-1", outcome(OutcomeKind.ACCEPTED, poll, CallKind.POLL))
    assert kinds(answered) == [CallKind.POLL]
    assert answered.calls[0].call_id != poll
    last = outcome(OutcomeKind.ACCEPTED, answered.calls[0].call_id, CallKind.POLL)
    quiet = after(must(answered), "p-2", last)
    assert kinds(quiet) == []
    assert must(quiet).next_poll is not None


def test_callback_that_overtakes_the_receipt_waits_for_it() -> None:
    state, call_id = begun()
    early = after(state, "n-1", notice())
    assert kinds(early) == []
    receipt = after(must(early), "o-1", outcome(OutcomeKind.ACCEPTED, call_id, receipt="R-7"))
    assert kinds(receipt) == [CallKind.POLL]


def test_notices_do_not_slow_polling_down() -> None:
    state = accepted()
    for number in range(20):
        asked = after(state, f"n-{number}", notice(number))
        poll = outcome(OutcomeKind.ACCEPTED, asked.calls[0].call_id, CallKind.POLL)
        state = must(after(must(asked), f"p-{number}", poll))
    assert state.next_poll == START + RULES.first_poll
    assert len(state.notices) == 8, "and what is kept of them is bounded"


def test_a_notice_that_was_forgotten_and_comes_again_is_a_new_question() -> None:
    """Its answer would otherwise bear the id of the one that was given before, and be no news."""
    state = accepted()
    for number in range(9):
        state = must(says(must(after(state, f"n-{number}", notice(number))), OutcomeKind.ACCEPTED))
    assert "n-0" not in state.notices
    asked = must(after(state, "n-0", notice(0)))
    assert must(says(asked, OutcomeKind.COMPLETED)).status is Status.COMPLETED


def test_a_notice_from_another_province_or_of_an_unknown_request_is_nothing() -> None:
    assert kinds(after(accepted(), "n-1", notice(province="110000"))) == []
    assert LIFE.apply(None, "n-1", notice(), now=START) == Decision(None)


def test_a_notice_moves_nothing_that_has_ended_or_is_held() -> None:
    state, call_id = begun()
    ended = must(after(state, "o-1", outcome(OutcomeKind.COMPLETED, call_id)))
    assert not after(ended, "n-1", notice()).sends
    held = must(after(state, "o-1", outcome(OutcomeKind.HELD, call_id, cause="poison")))
    told = after(held, "n-1", notice())
    assert not told.sends
    resumed = must(after(must(told), "d-1", GO_ON))
    answered = after(resumed, "o-2", outcome(OutcomeKind.ACCEPTED, call_id))
    assert kinds(answered) == [CallKind.POLL], "the news is not forgotten"


def test_news_of_a_request_that_waits_for_its_applicant_is_followed_up_after_a_fault() -> None:
    """Nothing else would move it: no call is open, and no poll is due."""
    state, call_id = begun()
    state = must(after(state, "o-1", outcome(OutcomeKind.NEEDS_SUPPLEMENT, call_id)))
    held = must(after(state, "f-1", FaultNoted(request_id="r-1", midway=False)))
    assert held.status is Status.HELD
    told = must(after(held, "n-1", notice()))
    resumed = after(told, "d-1", GO_ON)
    assert must(resumed).status is Status.NEEDS_SUPPLEMENT
    assert kinds(resumed) == [CallKind.POLL]


def test_outcome_older_than_the_supplement_does_not_request_it_again() -> None:
    state, call_id = begun()
    state = must(after(state, "o-1", outcome(OutcomeKind.NEEDS_SUPPLEMENT, call_id)))
    asked = after(state, "n-1", notice())
    handed = after(must(asked), "s-1", supplement())
    old = outcome(OutcomeKind.NEEDS_SUPPLEMENT, asked.calls[0].call_id, CallKind.POLL)
    assert must(after(must(handed), "p-1", old)).status is Status.ROUTED


def test_outcome_of_a_forgotten_poll_is_applied_when_it_is_polled_again() -> None:
    """The router died after asking and before its table was written; the answer was quicker."""
    state = accepted()
    due = next_due(state, RULES)
    assert due is not None
    asked = after(state, "t-1", TimerDue(request_id="r-1", due=due), due)
    poll = outcome(OutcomeKind.ACCEPTED, asked.calls[0].call_id, CallKind.POLL)
    forgotten = must(after(state, "p-1", poll, due))
    again = after(forgotten, "t-1", TimerDue(request_id="r-1", due=due), due)
    assert [call.call_id for call in again.calls] == [call.call_id for call in asked.calls]
    heard = must(after(must(again), "p-1", poll, due))
    assert heard.calls == []
    assert heard.next_poll is not None


class World:
    """A province that goes its way, its connector, and the router; the test says who moves next."""

    TRUTH = (
        OutcomeKind.ACCEPTED,
        OutcomeKind.NEEDS_SUPPLEMENT,
        OutcomeKind.ACCEPTED,
        OutcomeKind.COMPLETED,
    )

    def __init__(self) -> None:
        self.stage = 0
        self.has_it = False
        self.supplemented = False
        self.state: RequestState | None = None
        self.calls: deque[Any] = deque()
        self.inputs: deque[tuple[str, Any]] = deque([("e-1", submitted())])
        self.handled: list[tuple[str, Any]] = []
        self.tables: list[RequestState | None] = []
        self.notices: list[ProvinceNotice] = []
        self.said: list[Status] = []
        self.asked_for_more = 0

    def province_moves(self) -> None:
        blocked = self.TRUTH[self.stage] is OutcomeKind.NEEDS_SUPPLEMENT and not self.supplemented
        if self.has_it and not blocked and self.stage < 3:
            self.stage += 1
            self.notices.append(notice(self.stage))

    def connector_moves(self) -> None:
        """In order within a request, so one at a time."""
        if not self.calls:
            return
        call = self.calls.popleft()
        if call.kind is CallKind.SUBMIT and not self.has_it:
            self.has_it, answer = True, OutcomeKind.ACCEPTED
        elif call.kind is CallKind.SUPPLEMENT and not self.supplemented:
            self.supplemented, self.stage = True, max(self.stage, 2)
            self.notices.append(notice(2))
            answer = OutcomeKind.ACCEPTED
        else:
            answer = self.TRUTH[self.stage]
        said = outcome(answer, call.call_id, call.kind)
        self.inputs.append((derived_id(call.call_id, "answer"), said))

    def notice_arrives(self, which: int) -> None:
        """Any of those that were ever sent: late, again, out of order."""
        if self.notices:
            said = self.notices[which % len(self.notices)]
            self.inputs.append((derived_id("notice", said.notice_id), said))

    def router_moves(self) -> None:
        if self.inputs:
            self.tables.append(self.state)
            self.handled.append(self.inputs.popleft())
            self.apply(*self.handled[-1])

    def router_dies(self, lost: int, forgets: bool) -> None:
        """It reads its last records again, in the order they had; its table may not know them."""
        if forgets and self.tables:
            self.state = self.tables[-lost:][0]
        for event_id, body in self.handled[-lost:]:
            self.apply(event_id, body, maybe_seen=True)

    def apply(self, event_id: str, body: Any, *, maybe_seen: bool = False) -> None:
        decision = LIFE.apply(self.state, event_id, body, now=START, maybe_seen=maybe_seen)
        self.state = must(decision)
        self.calls.extend(decision.calls)
        if isinstance(body, ProvinceNotice) and not decision.repeat:
            assert decision.entries == [], "a notice moves nothing by itself"
        self.said = [entry.status for entry in self.state.history if not entry.note]
        wanted = self.said.count(Status.NEEDS_SUPPLEMENT)
        if wanted > self.asked_for_more:
            self.asked_for_more = wanted
            self.inputs.append(("s-1", supplement()))

    def settle(self) -> None:
        """Everybody goes on until nothing is under way; every notice arrives at least once."""
        for _ in range(12):
            self.province_moves()
            for which in range(len(self.notices)):
                self.notice_arrives(which)
            while self.inputs or self.calls:
                self.router_moves()
                self.connector_moves()


MOVES = st.one_of(
    st.tuples(st.just("province")),
    st.tuples(st.just("connector")),
    st.tuples(st.just("router")),
    st.tuples(st.just("notice"), st.integers(0, 5)),
    st.tuples(st.just("dies"), st.integers(1, 4), st.booleans()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, max_size=40))
def test_callbacks_alone_complete_every_request_without_repeated_supplement_requests(
    moves: list[Any],
) -> None:
    """No poll is ever due here: START stands still."""
    world = World()
    for move, *more in moves:
        match move:
            case "province":
                world.province_moves()
            case "connector":
                world.connector_moves()
            case "router":
                world.router_moves()
            case "notice":
                world.notice_arrives(*more)
            case "dies":
                world.router_dies(*more)
    world.settle()
    assert world.said[-1] is Status.COMPLETED
    assert world.asked_for_more <= 1
    late = list(world.notices)
    assert late
    for each in late:
        assert not after(must(Decision(world.state)), "late-" + each.notice_id, each).sends


@given(st.lists(st.integers(0, 3), max_size=10), st.booleans())
def test_notices_and_a_withdrawal(numbers: list[int], withdrawn_first: bool) -> None:
    """A withdrawal is not held up by notices, and ends the request by the province's word."""
    state = accepted()
    command = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    steps: list[tuple[str, Any]] = [(f"n-{number}", notice(number)) for number in numbers]
    steps.insert(0 if withdrawn_first else len(steps), ("w", command))
    calls = []
    for event_id, body in steps:
        decision = after(state, event_id, body, START + timedelta(minutes=1))
        state = must(decision)
        calls += [call for call in decision.calls if not decision.repeat]
    (asked,) = [call for call in calls if call.kind is CallKind.WITHDRAW]
    word = outcome(OutcomeKind.WITHDRAWN, asked.call_id, CallKind.WITHDRAW)
    assert must(after(state, "o-w", word)).status is Status.WITHDRAWN
