"""The router passes on reasons and receipts in others' words sealed, and opens none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.router.domain.test_lifecycle import START, after, begun, must, outcome
from tongban_common.domain.status import CallKind, OutcomeKind, Status
from tongban_common.events import decode
from tongban_common.events.models import (
    OperatorDecision,
    ProvinceCall,
    RequestCompleted,
    RequestStatus,
    Sealed,
    WithdrawalAsked,
)
from tongban_router.domain import texts
from tongban_router.domain.emission import outgoing
from tongban_router.domain.state import RequestState
from tongban_router.domain.transition import Decision


def sealed(**parts: str) -> Sealed:
    return Sealed(kid="k", key="x", parts=parts)


def bodies(decision: Decision, kind: type) -> list[Any]:
    """Return the sent events of one type, from a state that was stored in the table."""
    kept = RequestState.model_validate_json(must(decision).model_dump_json(exclude_defaults=True))
    decision.state = kept
    found = [decode(value, headers).body for _, _, value, headers in outgoing(decision)]
    return [body for body in found if isinstance(body, kind)]


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (OutcomeKind.ACCEPTED, None),
        (OutcomeKind.NEEDS_SUPPLEMENT, texts.NEEDS_SUPPLEMENT),
        (OutcomeKind.COMPLETED, None),
        (OutcomeKind.REJECTED, texts.REJECTED),
    ],
)
def test_words_of_a_province_are_a_part_of_their_status_alone(
    kind: OutcomeKind, own: str | None
) -> None:
    state, call_id = begun()
    said = outcome(kind, call_id, sealed=sealed(reason="w", receipt="n"))
    decision = after(state, "o-1", said)
    (status,) = bodies(decision, RequestStatus)
    assert status.sealed.parts == {"applicant": "a", "form": "f", "reason": "w"}
    assert (status.reason, status.cause) == (own, "province")
    assert set(must(decision).request.sealed.parts) == {"applicant", "form"}


def test_completion_carries_the_result_and_no_words() -> None:
    state, call_id = begun()
    said = sealed(result="r", reason="w", receipt="n")
    decision = after(state, "o-1", outcome(OutcomeKind.COMPLETED, call_id, sealed=said))
    (completed,) = bodies(decision, RequestCompleted)
    assert completed.sealed.parts == {"applicant": "a", "form": "f", "result": "r"}


def test_receipt_goes_back_to_the_connector_sealed() -> None:
    state, call_id = begun()
    said = outcome(OutcomeKind.ACCEPTED, call_id, sealed=sealed(receipt="n"))
    state = must(after(state, "o-1", said))
    asked = WithdrawalAsked(request_id="r-1", command_id="w", by="k", at=START)
    (call,) = bodies(after(state, "w-1", asked), ProvinceCall)
    assert call.sealed.parts == {"applicant": "a", "form": "f", "receipt": "n"}
    assert call.receipt is None


def test_clear_receipt_of_an_older_outcome_is_not_kept() -> None:
    state, call_id = begun()
    said = outcome(OutcomeKind.ACCEPTED, call_id, receipt="110101199003078690")
    assert "110101199003078690" not in must(after(state, "o-1", said)).model_dump_json()


def test_clear_reason_of_an_older_outcome_is_still_read() -> None:
    state, call_id = begun()
    decision = after(state, "o-1", outcome(OutcomeKind.REJECTED, call_id, reason="不符合条件"))
    (status,) = bodies(decision, RequestStatus)
    assert (status.reason, status.cause) == ("不符合条件", None)


def test_waiting_is_told_again_once_there_are_words() -> None:
    state, call_id = begun()

    def waits(event_id: str, **more: Any) -> list[RequestStatus]:
        nonlocal state
        told = outcome(OutcomeKind.WAITING, call_id, cause="paused", reason="暂停", **more)
        decision = after(state, event_id, told)
        state = must(decision)
        return bodies(decision, RequestStatus)

    assert [status.cause for status in waits("w-1")] == ["paused"]
    (status,) = waits("w-2", sealed=sealed(reason="w"))
    assert (status.reason, status.sealed.parts["reason"]) == ("暂停", "w")
    assert waits("w-3", sealed=sealed(reason="the same, sealed again")) == []


def test_cause_that_is_no_code_of_ours_stays_off_the_status() -> None:
    state, call_id = begun()
    said = outcome(OutcomeKind.WAITING, call_id, cause="张三", reason="暂停")
    (status,) = bodies(after(state, "w-1", said), RequestStatus)
    assert status.cause is None


@pytest.mark.parametrize("decision", ["resume", "fail"])
def test_words_of_an_operator_reach_the_status_sealed(decision: Any) -> None:
    state, call_id = begun()
    state = must(after(state, "h-1", outcome(OutcomeKind.HELD, call_id)))
    decided = OperatorDecision(
        request_id="r-1", command_id="d", at=START, by="li", decision=decision,
        reason="ours", sealed=sealed(reason="w"),
    )  # fmt: skip
    done = after(state, "d-1", decided)
    told = [one for one in bodies(done, RequestStatus) if one.by == "operator"]
    if decision == "fail" and told[-1].status is not Status.FAILED:
        # Its province is asked to let go first; the words wait for its answer.
        state = must(done)
        call = state.calls[-1]
        assert call.kind is CallKind.WITHDRAW
        said = outcome(OutcomeKind.WITHDRAWN, call.call_id, CallKind.WITHDRAW)
        told = bodies(after(state, "o-2", said), RequestStatus)
    assert (told[-1].reason, told[-1].cause) == ("ours", "operator")
    assert told[-1].sealed.parts["reason"] == "w"
