"""What may be asked of a request in each of its states, and that every refusal says why."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tongban_common.domain.status import PrintStatus, Status
from tongban_intake.commands import rules
from tongban_intake.commands.models import Print
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.readmodel.record import RequestRecord
from tongban_intake.submission.checks import Checker
from tongban_intake.text import STATUS

FINAL = {status for status in Status if status.final}
ALLOWED: dict[str, set[Status]] = {
    "supplement": {Status.NEEDS_SUPPLEMENT},
    "withdrawal": set(Status) - FINAL,
    "rating": FINAL,
    "print": set(),  # nothing is printed that is not there, whatever the status
}
RULES: dict[str, Callable[[RequestRecord], object]] = {
    "supplement": rules.may_supplement,
    "withdrawal": rules.may_withdraw,
    "rating": rules.may_rate,
    "print": lambda record: rules.document_to_print(record, Print(), kiosk_id="k-1"),
}


def record(status: Status, **more: Any) -> RequestRecord:
    line = {"seq": 1, "at": "2026-03-02T09:00:00+08:00", "status": status.value, "by": "test"}
    return RequestRecord({"_id": "r-1", "timeline": {"000001": line}, **more})


@pytest.mark.parametrize("command", RULES)
@pytest.mark.parametrize("status", Status)
def test_each_command_in_each_status(command: str, status: Status) -> None:
    if status in ALLOWED[command]:
        RULES[command](record(status))
        return
    with pytest.raises(ProblemError) as refused:
        RULES[command](record(status))
    assert refused.value.kind is Kind.CONFLICT
    detail = refused.value.detail
    assert detail is not None
    assert STATUS[status].zh in detail.zh
    assert STATUS[status].en in detail.en
    assert len(detail.zh) > len(STATUS[status].zh) + 5


def test_timeline_note_changes_no_command_rule() -> None:
    """A rule that forbids a command raises."""
    late = {"seq": 2, "at": "2026-03-02T09:00:01+08:00", "status": "completed", "by": "test"}
    noted = record(Status.NEEDS_SUPPLEMENT)
    noted.timeline.append({**late, "note": True})
    rules.may_supplement(noted)


def test_a_second_rating_is_refused() -> None:
    with pytest.raises(ProblemError) as refused:
        rules.may_rate(record(Status.COMPLETED, rating={"grade": 5, "event_id": "e", "at": "x"}))
    assert refused.value.kind is Kind.CONFLICT


@pytest.mark.parametrize("state", PrintStatus)
def test_one_set_at_a_time_at_one_kiosk(state: PrintStatus) -> None:
    order = {"document_id": "d-1", "copy": 1, "kiosk_id": "k-1", "status": state.value, "at": "x"}
    printing = record(
        Status.COMPLETED,
        documents={"d-1": {"title": "证明", "pages": 1, "sha256": "00"}},
        orders={"o-1": {"000001": order}},
    )
    assert rules.document_to_print(printing, Print(), kiosk_id="k-2") == "d-1"
    if state.final:
        assert rules.document_to_print(printing, Print(), kiosk_id="k-1") == "d-1"
    else:
        with pytest.raises(ProblemError) as refused:
            rules.document_to_print(printing, Print(), kiosk_id="k-1")
        assert refused.value.kind is Kind.CONFLICT


def test_of_several_documents_one_has_to_be_named() -> None:
    several = record(
        Status.COMPLETED,
        documents={name: {"title": "证明", "pages": 1, "sha256": "00"} for name in ("d-1", "d-2")},
    )
    for wanted in (Print(), Print(document_id="d-3")):
        with pytest.raises(ProblemError) as refused:
            rules.document_to_print(several, wanted, kiosk_id="k-1")
        assert refused.value.errors[0].pointer == "/document_id"
    assert rules.document_to_print(several, Print(document_id="d-2"), kiosk_id="k-1") == "d-2"


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({"月/份": "2026-03"}, []),
        ({"月/份": "March"}, ["/form/月~1份"]),
        ({"备注": "见附件"}, []),
        ({}, []),
    ],
)
def test_supplement_is_checked_field_by_field_without_the_forms_required_fields(
    form: dict[str, Any], wrong: list[str]
) -> None:
    """It is a part of a form: what is missing in it was handed in before."""
    schema = {
        "properties": {"月/份": {"type": "string", "pattern": "^2026-"}, "户号": {}},
        "required": ["户号"],
        "minProperties": 2,
    }
    item = SimpleNamespace(code="c", version=1, form=schema)
    index: Any = SimpleNamespace(get=lambda _: item)
    try:
        Checker(index).supplement(cast(Any, item), form)
    except ProblemError as problem:
        assert [error.pointer for error in problem.errors] == wrong
    else:
        assert wrong == []
