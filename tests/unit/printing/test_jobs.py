"""What printers' answers are taken for."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tongban_printing.printer.jobs import Finding, JobState, trouble, view_of

WHOLE = {"job-state-reasons": "none", "number-of-documents": 1, "job-impressions-completed": 0}


@pytest.mark.parametrize(
    ("attributes", "finding"),
    [
        ({"job-state": 3, "job-state-reasons": "job-incoming"}, Finding.WITHOUT_DOCUMENT),
        ({"job-state": 4, "job-state-reasons": "job-data-insufficient"}, Finding.WITHOUT_DOCUMENT),
        ({"job-state": 4, "number-of-documents": 0}, Finding.WITHOUT_DOCUMENT),
        (
            {
                "job-state": 3,
                "job-state-reasons": ["job-incoming", "none"],
                **{"number-of-documents": 1},
            },
            Finding.WITHOUT_DOCUMENT,
        ),
        ({**WHOLE, "job-state": 3}, Finding.UNDER_WAY),
        ({**WHOLE, "job-state": 5}, Finding.UNDER_WAY),
        ({**WHOLE, "job-state": 6}, Finding.STOPPED),
        ({**WHOLE, "job-state": 3, "job-state-reasons": "printer-stopped"}, Finding.STOPPED),
        ({**WHOLE, "job-state": 9}, Finding.PRINTED),
        ({"job-state": 9}, Finding.ENDED),
        ({"job-state": 9, "job-impressions-completed": 0}, Finding.ENDED),
        ({"job-state": 9, "job-impressions-completed": 2}, Finding.PRINTED),
        ({**WHOLE, "job-state": 8, "time-at-processing": 17}, Finding.PARTLY_PRINTED),
        ({**WHOLE, "job-state": 8, "time-at-processing": ""}, Finding.NOTHING_PRINTED),
        (
            {
                **WHOLE,
                "job-state": 8,
                "time-at-processing": 17,
                "job-state-reasons": ["aborted-by-system", "document-format-error"],
            },
            Finding.NOTHING_PRINTED,
        ),
        ({"job-state": 9, "number-of-documents": 0}, Finding.NOTHING_PRINTED),
        ({**WHOLE, "job-state": 7}, Finding.NOTHING_PRINTED),
        ({**WHOLE, "job-state": 8}, Finding.NOTHING_PRINTED),
        ({**WHOLE, "job-state": 7, "job-impressions-completed": 2}, Finding.PARTLY_PRINTED),
        ({"job-state": 7, "number-of-documents": 0}, Finding.NOTHING_PRINTED),
    ],
)
def test_job_attributes_are_read_by_rfc_8011(attributes: dict[str, Any], finding: Finding) -> None:
    assert view_of(attributes).finding is finding


@pytest.mark.parametrize("state", [7, 8])
def test_a_printer_that_does_not_count_leaves_the_decision_to_a_person(state: int) -> None:
    for uncounted in ({}, {"job-impressions-completed": ""}):
        view = view_of({"job-state": state, "number-of-documents": 1, **uncounted})
        assert view.finding is Finding.PARTLY_PRINTED


@pytest.mark.parametrize("state", [None, "", 0, 2, 10])
def test_a_state_that_there_is_not_is_no_answer(state: Any) -> None:
    with pytest.raises(ValueError, match="JobState"):
        view_of({"job-state": state})


def test_a_job_with_sheets_out_is_never_taken_for_an_untouched_one() -> None:
    reasons = ("none", "job-incoming", "job-data-insufficient", "printer-stopped", "job-printing")
    untouched: list[tuple[int | None, int | None]] = []
    for state, documents, impressions, reason in itertools.product(
        JobState, (None, 0, 1), (None, 0, 3), reasons
    ):
        attributes: dict[str, Any] = {"job-state": int(state), "job-state-reasons": reason}
        if documents is not None:
            attributes["number-of-documents"] = documents
        if impressions is not None:
            attributes["job-impressions-completed"] = impressions
        if view_of(attributes).finding is Finding.NOTHING_PRINTED:
            untouched.append((documents, impressions))
    assert untouched
    assert [pair for pair in untouched if 0 not in pair] == []


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ("media-empty", "纸张用尽"),
        ("media-empty-error", "纸张用尽"),
        (["toner-low-warning", "media-jam-error"], "卡纸"),
        ("shutdown", "打印机离线"),
        (["none", "cover-open-report"], "打印机盖板未关"),
        ("none", "打印机需要处理"),
        (None, "打印机需要处理"),
    ],
)
def test_printer_troubles_are_named_in_words(reasons: Any, said: str) -> None:
    assert trouble(reasons) == said
