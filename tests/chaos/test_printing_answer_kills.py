"""A person's answer under SIGKILL: the sheet is reprinted once, or never, wherever printing died."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.outside_kit import CLOCK, Outside, completed, fresh_id, outside, until
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintConfirmed, PrintReported

POINTS = [
    "printing.before_answer",
    "printing.after_answer",
    "worker.after_handle",
    "worker.before_commit",
    "printing.before_report",
    "printing.after_report",
    "printing.after_report_removed",
    "printing.after_look",
    "printing.before_save",
    "printing.after_save",
    "printing.before_create_job",
    "printing.after_create_job",
    "printing.before_send_document",
    "printing.after_send_document",
]
"""On the way from the answer to the report that the sheet is out. Printing may also pass most of
them without the answer, so each is armed once the question is open."""


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    async with outside(tmp_path_factory.mktemp("answer-kills"), store) as place:
        yield place


def newest(place: Outside, request_id: str) -> PrintReported | None:
    told = place.said(PrintReported, request_id)
    return max(told, key=lambda report: report.seq) if told else None


async def stands_at(place: Outside, request_id: str, status: PrintStatus) -> PrintReported:
    def reached() -> bool:
        report = newest(place, request_id)
        return report is not None and report.status is status

    await until(reached, f"a report of {status}", 60)
    report = newest(place, request_id)
    assert report is not None
    return report


async def open_question(place: Outside, kiosk_id: str) -> PrintReported:
    """A request whose sheet the printer has forgotten; its paper is back."""
    request_id = fresh_id()
    await place.fault(f"printers/{kiosk_id}", state="paper_out")
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id, kiosk_id=kiosk_id))
    await stands_at(place, request_id, PrintStatus.WAITING_FOR_PRINTER)
    await place.fault(f"printers/{kiosk_id}", state="paper_out", forget_jobs=True)
    asking = await stands_at(place, request_id, PrintStatus.NEEDS_CONFIRMATION)
    await place.fault(f"printers/{kiosk_id}")
    return asking


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("printed", [False, True])
async def test_dying_anywhere_after_an_answer_prints_what_was_answered(
    place: Outside, printed: bool
) -> None:
    child = place.start("printing")
    await place.ready(child)
    points = POINTS[:7] if printed else POINTS
    asking = [await open_question(place, f"k-{n}") for n in range(len(points))]
    assert await place.end(child) == 0
    for report in asking:
        body = PrintConfirmed(
            request_id=report.request_id, order_id=report.order_id, seq=report.seq,
            printed=printed, by="m-1", at=CLOCK.now(),
        )  # fmt: skip
        await place.say(topics.PRINT_ORDERS, body)
    async for _ in place.dying_at("printing", points):
        pass
    for report in asking:
        done = await stands_at(place, report.request_id, PrintStatus.PRINTED)
        seqs = {each.seq for each in place.said(PrintReported, report.request_id)}
        assert seqs == set(range(1, done.seq + 1))
    rows = await place.printed()
    for report in asking:
        counts = [row["count"] for row in rows if row["request_id"] == report.request_id]
        assert counts == ([] if printed else [1])
    assert await place.end(place.running[-1]) == 0
