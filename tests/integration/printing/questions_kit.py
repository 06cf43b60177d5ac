"""Questions to the lobby manager that printing as a process asks, and their answers."""

from __future__ import annotations

from tests.integration.outside_kit import CLOCK, Outside, completed, fresh_id, until
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintConfirmed, PrintReported


def answer_to(report: PrintReported, *, printed: bool) -> PrintConfirmed:
    return PrintConfirmed(
        request_id=report.request_id,
        order_id=report.order_id,
        seq=report.seq,
        printed=printed,
        by="m-1",
        at=CLOCK.now(),
    )


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
