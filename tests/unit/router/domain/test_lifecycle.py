"""The life of a request holds under reordered, repeated and missing events."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tongban_common.clock import CHINA
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import FINAL, CallKind, OutcomeKind, Status
from tongban_common.events.models import (
    ApplicantFacts,
    ItemSnapshot,
    OperatorDecision,
    Origin,
    ProvinceNotice,
    ProvinceOutcome,
    RepublishRequested,
    RequestSubmitted,
    Sealed,
    SupplementHanded,
    TimerDue,
    WithdrawalAsked,
)
from tongban_router.domain.emission import outgoing
from tongban_router.domain.lifecycle import Lifecycle
from tongban_router.domain.state import FaultNoted, RequestState, Rules, next_due
from tongban_router.domain.transition import Decision

START = datetime(2026, 3, 2, 9, tzinfo=CHINA)
RULES = Rules()
LIFE = Lifecycle(RULES)
SEALED = Sealed(kid="k", key="x", parts={"applicant": "a", "form": "f"})


def submitted(digest: str = "d") -> RequestSubmitted:
    return RequestSubmitted(
        request_id="r-1",
        item=ItemSnapshot(
            code="1", version=1, name="n", category="c", province="340000", kind="query",
            promised_days=5,
        ),
        origin=Origin(kiosk_id="k", branch_id="b", channel="self_service"),
        applicant=ApplicantFacts(type="person", pseudonym="p"),
        print=False,
        submitted_at=START,
        deadline=START + timedelta(days=7),
        body_digest=digest,
        sealed=SEALED,
    )  # fmt: skip


def outcome(
    kind: OutcomeKind, call_id: str, call: CallKind = CallKind.SUBMIT, **more: Any
) -> ProvinceOutcome:
    return ProvinceOutcome(
        request_id="r-1", province="340000", call=call, call_id=call_id, outcome=kind, at=START,
        **more,
    )  # fmt: skip


def begun() -> tuple[RequestState, str]:
    """Return a routed request and the id of its submit call."""
    decision = LIFE.apply(None, "e-1", submitted(), now=START)
    assert decision.state is not None
    return decision.state, decision.calls[0].call_id


def after(state: RequestState, event_id: str, body: Any, now: datetime = START) -> Decision:
    return LIFE.apply(state, event_id, body, now=now)


def says(state: RequestState, kind: OutcomeKind) -> Decision:
    """Answer the newest call, under the id that connectors derive from the call's."""
    call = state.calls[-1]
    event_id = derived_id(call.call_id, "answer")
    return after(state, event_id, outcome(kind, call.call_id, call.kind))


def must(decision: Decision) -> RequestState:
    assert decision.state is not None
    return decision.state


def test_a_submission_is_routed_and_handed_to_its_province() -> None:
    decision = LIFE.apply(None, "e-1", submitted(), now=START)
    assert [entry.status for entry in decision.entries] == [Status.SUBMITTED, Status.ROUTED]
    assert [call.kind for call in decision.calls] == [CallKind.SUBMIT]
    assert not decision.repeat
    assert [record[0] for record in outgoing(decision)] == [
        "requests.status", "requests.status", "province.340000.requests",
    ]  # fmt: skip


def test_a_repeated_submission_changes_nothing_and_sends_everything_again() -> None:
    first = LIFE.apply(None, "e-1", submitted(), now=START)
    again = LIFE.apply(first.state, "e-1", submitted(), now=START + timedelta(minutes=1))
    assert first.state is not None
    assert again.state == first.state.sent_as_repeats(again.calls), "it went out twice"
    assert again.repeat
    sent = [(topic, key, value) for topic, key, value, _ in outgoing(first)]
    assert [(topic, key, value) for topic, key, value, _ in outgoing(again)] == sent
    assert all(("ce_repeat", b"true") in headers for *_, headers in outgoing(again))


def test_republished_history_is_for_the_read_model_alone() -> None:
    state, _ = begun()
    accepted = must(says(state, OutcomeKind.ACCEPTED))
    asked = RepublishRequested(request_id="r-1", command_id="c", at=START, by="li")
    again = after(accepted, "c", asked)
    assert again.state == accepted
    records = list(outgoing(again))
    assert [topic for topic, *_ in records] == ["requests.status"] * len(accepted.history)
    bodies = [json.loads(value) for _, _, value, _ in records]
    assert [body["seq"] for body in bodies] == list(range(1, len(bodies) + 1))
    assert all(body["republished"] for body in bodies)
    assert after(accepted, "c", asked) == again, "a repeat publishes the same again"


def test_republishing_an_unknown_request_leaves_nothing_behind() -> None:
    asked = RepublishRequested(request_id="r-1", command_id="c", at=START, by="li")
    decision = LIFE.apply(None, "c", asked, now=START)
    assert decision.state is None
    assert list(outgoing(decision)) == []


def test_repeat_after_completion_sends_the_same_records() -> None:
    first = LIFE.apply(None, "e-1", submitted(), now=START)
    state, call_id = must(first), first.calls[0].call_id
    result = Sealed(kid="k", key="x", parts={"result": "r"})
    ending = after(state, "o-1", outcome(OutcomeKind.COMPLETED, call_id, sealed=result))
    kept = RequestState.model_validate_json(must(ending).model_dump_json(exclude_defaults=True))
    sent = [[*outgoing(first)][:2], [*outgoing(ending)]]
    again = outgoing(after(kept, "e-1", submitted()))
    assert [record[:3] for record in again] == [record[:3] for part in sent for record in part]


def test_the_history_never_goes_back_in_time() -> None:
    state, call_id = begun()
    asked = WithdrawalAsked(request_id="r-1", command_id="w", by="k", at=START)
    later = must(after(state, "w-1", asked, START + timedelta(milliseconds=6)))
    ended = must(after(later, "o-1", outcome(OutcomeKind.COMPLETED, call_id)))
    assert [entry.at for entry in ended.history] == sorted(entry.at for entry in ended.history)
    assert ended.finished_at == ended.history[-1].at


def test_another_body_under_the_same_id_is_noted_and_ignored() -> None:
    state, _ = begun()
    decision = after(state, "e-2", submitted("other"))
    assert [(entry.status, entry.note) for entry in decision.entries] == [(Status.ROUTED, True)]
    assert not decision.calls
    assert must(decision).request.body_digest == "d"


def test_completion_carries_the_result_and_ends_all_calls() -> None:
    state, call_id = begun()
    result = Sealed(kid="k", key="x", parts={"result": "r"})
    decision = after(state, "o-1", outcome(OutcomeKind.COMPLETED, call_id, sealed=result))
    ended = must(decision)
    assert ended.status is Status.COMPLETED
    assert decision.completed
    assert set(ended.request.sealed.parts) == {"applicant", "form", "result"}
    assert not ended.calls


def test_an_accepted_request_is_polled_with_growing_pauses() -> None:
    state, call_id = begun()
    receipt = Sealed(kid="k", key="x", parts={"receipt": "R-7"})
    state = must(after(state, "o-1", outcome(OutcomeKind.ACCEPTED, call_id, sealed=receipt)))
    pauses = []
    now = START
    for number in range(4):
        due = next_due(state, RULES)
        assert due is not None
        pauses.append(due - now)
        now = due
        asked = after(state, f"t-{number}", TimerDue(request_id="r-1", due=due), now)
        assert [call.kind for call in asked.calls] == [CallKind.POLL]
        poll = asked.calls[0].call_id
        answer = outcome(OutcomeKind.ACCEPTED, poll, CallKind.POLL)
        state = must(after(must(asked), f"p-{number}", answer, now))
    assert pauses == sorted(pauses)
    assert pauses[0] == RULES.first_poll
    assert state.sealed_receipt == "R-7"


def test_a_connector_that_said_until_when_it_waits_is_not_asked_again_before() -> None:
    state, call_id = begun()
    opens = START + timedelta(hours=60)
    closed = outcome(OutcomeKind.WAITING, call_id, cause="closed", until=opens)
    state = must(after(state, "e-2", closed))
    assert state.history[-1].expected_by == opens
    assert next_due(state, RULES) == opens + RULES.ask_again
    down = outcome(OutcomeKind.WAITING, call_id, cause="down")
    state = must(after(state, "e-3", down))
    assert next_due(state, RULES) == START + RULES.ask_again, "how long is not known any more"


def test_a_province_that_fails_now_so_and_now_so_does_not_fill_the_history() -> None:
    state, call_id = begun()
    for number in range(200):
        reason = ("忙", "断")[number % 2]
        waits = outcome(OutcomeKind.WAITING, call_id, cause="down", reason=reason)
        state = must(after(state, f"o-{number}", waits))
    assert state.status is Status.WAITING_FOR_PROVINCE
    assert len(state.history) < 20
    assert must(says(state, OutcomeKind.ACCEPTED)).status is Status.ACCEPTED


def test_deadline_ends_a_request_only_by_the_connectors_outcome() -> None:
    state, call_id = begun()
    state = must(after(state, "o-1", outcome(OutcomeKind.NEEDS_SUPPLEMENT, call_id)))
    late = START + timedelta(days=8)
    closing = after(state, "t-1", TimerDue(request_id="r-1", due=late), late)
    assert [(call.kind, call.closing) for call in closing.calls] == [(CallKind.WITHDRAW, True)]
    assert must(closing).status is Status.NEEDS_SUPPLEMENT
    word = outcome(OutcomeKind.WITHDRAWN, closing.calls[0].call_id, CallKind.WITHDRAW)
    assert must(after(must(closing), "o-2", word, late)).status is Status.EXPIRED


def test_a_withdrawal_waits_for_the_province_and_loses_to_completion() -> None:
    state, call_id = begun()
    asked = after(
        state, "c-1", WithdrawalAsked(request_id="r-1", command_id="c-1", at=START, by="k")
    )
    assert must(asked).status is Status.ROUTED
    assert [call.kind for call in asked.calls] == [CallKind.WITHDRAW]
    done = after(must(asked), "o-1", outcome(OutcomeKind.COMPLETED, call_id))
    assert must(done).status is Status.COMPLETED
    word = outcome(OutcomeKind.WITHDRAWN, asked.calls[0].call_id, CallKind.WITHDRAW)
    assert must(after(must(done), "o-2", word)).status is Status.COMPLETED


def test_held_request_continues_or_fails_by_an_operators_decision() -> None:
    state, call_id = begun()
    given_up = outcome(OutcomeKind.HELD, call_id, cause="poison", not_sent=True)
    held = must(after(state, "o-1", given_up))
    assert held.status is Status.HELD
    decided = {"request_id": "r-1", "command_id": "d", "at": START, "by": "op", "reason": "因为"}
    resumed = after(held, "d-1", OperatorDecision(**decided, decision="resume"))
    assert must(resumed).status is Status.ROUTED
    assert [(call.call_id, resumed.repeat) for call in resumed.calls] == [(call_id, True)]
    failed = after(held, "d-2", OperatorDecision(**decided, decision="fail"))
    assert must(failed).status is Status.FAILED


def operator(decision: Any, reason: str = "因为") -> OperatorDecision:
    return OperatorDecision(
        request_id="r-1", command_id="d", at=START, by="li", decision=decision, reason=reason
    )


def test_fault_holds_the_request_until_an_operator_resumes_it() -> None:
    state, call_id = begun()
    state = must(after(state, "o-1", outcome(OutcomeKind.NEEDS_SUPPLEMENT, call_id)))
    fault = after(state, "f-1", FaultNoted("r-1", midway=False))
    held = must(fault)
    assert [(entry.status, fault.repeat) for entry in fault.entries] == [(Status.HELD, False)]
    assert after(held, "f-2", FaultNoted("r-1", midway=False)).entries == []
    refused = after(state, "d-0", operator("fail"))
    assert (must(refused).status, refused.entries[0].note) == (Status.NEEDS_SUPPLEMENT, True)
    resumed = must(after(held, "d-1", operator("resume")))
    assert (resumed.status, resumed.history[-1].by) == (Status.NEEDS_SUPPLEMENT, "operator")
    assert resumed.history[-1].expected_by == resumed.request.deadline


def test_a_fault_midway_says_everything_again_and_asks_nothing() -> None:
    state, call_id = begun()
    fault = after(state, "f-1", FaultNoted("r-1"))
    assert [entry.status for entry in fault.entries] == ["submitted", "routed", "held"]
    assert (fault.calls, fault.repeat) == ([], True)
    done = must(after(state, "o-1", outcome(OutcomeKind.COMPLETED, call_id)))
    again = after(done, "f-1", FaultNoted("r-1"))
    assert (again.completed, again.repeat, again.state == done) == (True, True, True)


def test_an_operator_ends_what_may_yet_be_sent_by_the_connectors_word() -> None:
    state, call_id = begun()
    held = must(after(state, "f-1", FaultNoted("r-1", midway=False)))
    failing = after(held, "d-1", operator("fail", "请到窗口办理"))
    assert must(failing).status is Status.HELD
    assert [call.kind for call in failing.calls] == [CallKind.WITHDRAW]
    word = outcome(OutcomeKind.WITHDRAWN, failing.calls[0].call_id, CallKind.WITHDRAW)
    failed = must(after(must(failing), "o-1", word))
    assert (failed.status, failed.history[-1].reason) == (Status.FAILED, "请到窗口办理")
    # The province was faster: what it has done is what counts.
    done = must(after(must(failing), "o-1", outcome(OutcomeKind.COMPLETED, call_id)))
    assert done.status is Status.COMPLETED


def test_a_held_poll_is_asked_again_at_once() -> None:
    state, call_id = begun()
    state = must(after(state, "o-1", outcome(OutcomeKind.ACCEPTED, call_id, receipt="R")))
    held = must(after(state, "f-1", FaultNoted("r-1", midway=False)))
    assert held.next_poll is None
    resumed = must(after(held, "d-1", operator("resume")))
    assert resumed.status is Status.ACCEPTED
    assert next_due(resumed, RULES) == START


def test_a_submission_that_was_put_aside_is_routed_when_a_person_says_so() -> None:
    withdrawal = WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")
    early = must(LIFE.apply(None, "w-1", withdrawal, now=START))
    fault = LIFE.apply(early, "f-1", FaultNoted("r-1", submitted()), now=START)
    held = must(fault)
    assert [entry.status for entry in held.history] == [Status.SUBMITTED, Status.HELD]
    assert not held.calls
    resumed = after(held, "d-1", operator("resume"))
    assert must(resumed).status is Status.ROUTED
    # The submission first, marked as a repeat; then what the applicant wanted before.
    assert [call.kind for call in resumed.calls] == [CallKind.SUBMIT, CallKind.WITHDRAW]
    assert resumed.repeat
    assert LIFE.apply(None, "f-1", FaultNoted("r-1"), now=START).state is None


def test_event_that_a_predecessor_may_have_read_is_answered_with_repeats() -> None:
    decision = LIFE.apply(None, "e-1", submitted(), now=START, maybe_seen=True)
    assert decision.repeat
    assert len(decision.calls) == 1


def test_outcome_before_its_submission_waits_for_it() -> None:
    _, call_id = begun()
    early = LIFE.apply(None, "o-1", outcome(OutcomeKind.COMPLETED, call_id), now=START)
    assert not early.sends
    kept = RequestState.model_validate_json(must(early).model_dump_json(exclude_defaults=True))
    late = LIFE.apply(kept, "e-1", submitted(), now=START)
    assert must(late).status is Status.COMPLETED
    assert late.completed


def test_two_supplement_requests_are_distinguished_and_a_repeat_is_not_counted() -> None:
    def asks(decision: Decision) -> list[int | None]:
        return [e.supplements for e in decision.entries if e.status is Status.NEEDS_SUPPLEMENT]

    state, _ = begun()
    first = says(state, OutcomeKind.NEEDS_SUPPLEMENT)
    assert asks(first) == [None]
    handed = SupplementHanded(
        request_id="r-1", command_id="s-1", at=START, by="k",
        sealed=Sealed(kid="k", key="x", parts={"supplement": "s"}),
    )  # fmt: skip
    second = says(must(after(must(first), "c-1", handed)), OutcomeKind.NEEDS_SUPPLEMENT)
    assert asks(second) == [1]
    again = LIFE.apply(must(second), "e-1", submitted(), now=START)
    assert again.repeat
    assert asks(again) == [None, 1]


def test_a_finished_request_is_forgotten_when_its_key_cannot_come_again() -> None:
    state, call_id = begun()
    state = must(after(state, "o-1", outcome(OutcomeKind.REJECTED, call_id, reason="不符合条件")))
    due = next_due(state, RULES)
    assert due == START + RULES.keep_finished
    assert after(state, "t-1", TimerDue(request_id="r-1", due=due), due).state is None


_, SUBMIT_CALL = begun()
INPUTS = st.one_of(
    st.sampled_from(["d", "other"]).map(submitted),
    st.builds(
        outcome,
        st.sampled_from(OutcomeKind),
        st.sampled_from([SUBMIT_CALL, "unknown-call"]),
        st.sampled_from(CallKind),
    ),
    st.just(WithdrawalAsked(request_id="r-1", command_id="w", at=START, by="k")),
    st.just(
        SupplementHanded(
            request_id="r-1", command_id="s", at=START, by="k",
            sealed=Sealed(kid="k", key="x", parts={"supplement": "s"}),
        )
    ),
    st.sampled_from(["resume", "fail"]).map(
        lambda decision: OperatorDecision(
            request_id="r-1", command_id="o", at=START, by="op", decision=decision, reason="r"
        )
    ),
    st.just(TimerDue(request_id="r-1", due=START)),
    st.builds(
        ProvinceNotice,
        request_id=st.just("r-1"),
        province=st.sampled_from(["340000", "110000"]),
        notice_id=st.just("n-1"),
        at=st.just(START),
    ),
    st.builds(FaultNoted, st.just("r-1"), st.sampled_from([None, submitted()]), st.booleans()),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(inputs=st.lists(st.tuples(INPUTS, st.integers(0, 60 * 24 * 9), st.booleans()), max_size=14))
def test_any_sequence_of_events_keeps_the_invariants(
    inputs: list[tuple[Any, int, bool]],
) -> None:
    state: RequestState | None = None
    was: list[tuple[int, Status]] = []
    completed = 0
    now = START
    for number, (body, minutes, maybe_seen) in enumerate(inputs):
        now = max(now, START + timedelta(minutes=minutes))
        before = None if state is None else state.model_copy(deep=True)
        decision = LIFE.apply(state, f"e-{number}", body, now=now, maybe_seen=maybe_seen)
        assert state == before, "an input must not change the state it was given"
        if decision.state is None:
            state, was, completed = None, [], 0
            continue
        history = [(entry.seq, entry.status) for entry in decision.state.history]
        # History only grows, is numbered without gaps, and nothing leaves a final state.
        assert history[: len(was)] == was
        assert [seq for seq, _ in history] == list(range(1, len(history) + 1))
        finals = [status for _, status in history if status in FINAL]
        assert len(set(finals)) <= 1
        # None is silently stuck: an open request has a next moment, or waits for a person.
        if decision.state.submitted is not None and not decision.state.status.final:
            assert (
                next_due(decision.state, RULES) is not None or decision.state.status is Status.HELD
            )
        if decision.completed and not decision.repeat:
            completed += 1
        assert completed <= 1
        # What is kept survives the table.
        kept = decision.state.model_dump_json(exclude_defaults=True)
        assert RequestState.model_validate_json(kept) == decision.state
        # A repeat of the same input changes nothing any more.
        if not isinstance(body, TimerDue):
            again = LIFE.apply(decision.state, f"e-{number}", body, now=now)
            assert again.state == decision.state.sent_as_repeats(again.calls)
        list(outgoing(decision))
        state, was = decision.state, history
