"""The demo's facts are compared with what its report counted at the outside."""

from __future__ import annotations

from typing import Any

from tongban_devstack.demo.facts import FactCounts, differences

REPORT: dict[str, Any] = {
    "accepted": 20,
    "by_status": {"completed": 19, "rejected": 1},
    "prints_done": 7,
}


def counts(**changed: Any) -> FactCounts:
    """Counts that agree with the report, but for some."""
    agreeing = {"requests": 20, "withheld": 0, "by_state": REPORT["by_status"], "printed": 7}
    return FactCounts(**{**agreeing, **changed})


def test_facts_that_agree_have_no_differences() -> None:
    assert differences(counts(), REPORT) == []


def test_lost_request_is_a_difference() -> None:
    assert differences(counts(requests=19), REPORT) == [
        "requests: 19 in the facts, 20 at the outside"
    ]


def test_other_state_and_missing_sheet_are_differences() -> None:
    found = differences(counts(by_state={"completed": 20}, printed=6), REPORT)
    assert [line.split(":")[0] for line in found] == ["states", "requests with a sheet"]


def test_withheld_requests_count_as_exported() -> None:
    assert differences(counts(requests=16, withheld=4, by_state={}, printed=0), REPORT) == []
