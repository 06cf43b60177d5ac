"""The account of the demo's day: what is clean, and that whatever goes wrong is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tongban_common.catalogue.provinces import find_directory
from tongban_devstack.demo.day_runner import Day
from tongban_devstack.demo.plan import PlannedVisit, visits
from tongban_devstack.demo.report import Account, compare
from tongban_ops.catalogue.loader import Sources

AT = "2026-03-02T09:00:00+08:00"
LATER = "2026-03-02T09:10:00+08:00"


def visit(number: int, *, prints: bool, case: str | None = None) -> PlannedVisit:
    return PlannedVisit(f"k-{number}", "b-1", f"key-{number}", {}, prints, case)


def answer(status: str, *before: str) -> dict[str, Any]:
    timeline = [{"status": each, "at": LATER} for each in (*before, status)]
    return {"status": status, "submitted_at": AT, "timeline": timeline, "print_orders": []}


class World:
    """A day of three requests that went well, to be spoilt."""

    def __init__(self) -> None:
        self.day = Day([visit(n, prints=n == 0) for n in range(3)])
        self.day.accepted = {
            "r-0": visit(0, prints=True, case="安徽省社会保险缴费证明打印"),
            "r-1": visit(1, prints=False),
            "r-2": visit(2, prints=False),
        }
        self.day.seen = {
            "r-0": answer("completed"),
            "r-1": answer("completed", "needs_supplement"),
            "r-2": answer("rejected"),
        }
        self.ledger = [
            {"request_id": f"r-{n}", "effect": "submit", "count": 1, "province": "340000"}
            for n in range(3)
        ]
        self.printed = [{"request_id": "r-0", "document_id": "d", "copy": 1, "count": 1}]
        self.messages = [
            {"request_id": request_id, "template": template, "to": "1", "count": 1}
            for request_id, template in (
                ("r-0", "completed"),
                ("r-1", "needs_supplement"),
                ("r-1", "completed"),
                ("r-2", "rejected"),
            )
        ]

    def account(self) -> Account:
        return compare(
            self.day,
            self.ledger,
            self.printed,
            self.messages,
            dead_lettered=0,
            seconds=60,
            speed=60,
        )


def test_a_day_that_went_well_is_clean() -> None:
    account = World().account()
    assert account.clean
    report = account.report
    assert (report["accepted"], report["final"], report["lost"]) == (3, 3, 0)
    assert report["by_status"] == {"completed": 2, "rejected": 1}
    assert (report["prints_expected"], report["prints_done"]) == (1, 1)
    assert (report["messages_expected"], report["messages_done"]) == (4, 4)
    assert report["latency_ms"]["p50"] == 10_000  # ten business minutes at speed 60
    assert account.cases == {"安徽省社会保险缴费证明打印": ("completed", "k-0")}


SPOILT: dict[str, tuple[Callable[[World], Any], str]] = {
    "never final": (lambda w: w.day.seen.update({"r-1": answer("held")}), "lost: not final"),
    "never read": (lambda w: w.day.seen.pop("r-1"), "lost: not final"),
    "unknown to its province": (
        lambda w: w.ledger.pop(1),
        "lost: completed, unknown to its province",
    ),
    "acted twice": (lambda w: w.ledger[1].update(count=2), "province acted twice"),
    "printed twice": (lambda w: w.printed[0].update(count=2), "printed twice"),
    "told twice": (lambda w: w.messages[2].update(count=2), "told twice"),
    "no sheet": (lambda w: w.printed.clear(), "sheet missing"),
    "no message": (lambda w: w.messages.pop(1), "message missing"),
    "refused": (lambda w: w.day.refused.append((422, "no")), "refused at the door"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_report_names_each_failure(fault: str) -> None:
    spoil, name = SPOILT[fault]
    world = copy.deepcopy(World())
    spoil(world)
    account = world.account()
    assert not account.clean
    assert [what for what, requests in account.wrong.items() if requests] == [name]


def test_the_plan_holds_the_published_cases_and_is_the_same_each_time() -> None:
    sources = Sources(find_directory())
    items, cases = sources.items(), sources.published_cases()
    assert len(cases) == 10
    plan = visits(items, cases, count=620, kiosk_count=20, day="2026-03-02")
    assert plan == visits(items, cases, count=620, kiosk_count=20, day="2026-03-02")
    assert {each.case for each in plan if each.case} == {case.title for case in cases}
    assert len({each.kiosk_id for each in plan}) == 20
    transfer = next(each for each in plan if each.case and "转移" in each.case)
    assert transfer.body["channel"] == "assisted"
    kinds = {each.body["applicant"]["type"] for each in plan}
    assert kinds == {"person", "company"}
    assert {each.body["channel"] for each in plan} == {"assisted", "self_service"}
