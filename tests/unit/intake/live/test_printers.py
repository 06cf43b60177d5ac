"""Tests what a replica knows of printers, by the reports of printing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintReported
from tongban_intake.live.printers import PrinterStates


def report(status: PrintStatus, *, order: str = "o-1", seq: int = 1, **more: Any) -> PrintReported:
    return PrintReported(
        request_id="r-1",
        order_id=order,
        kiosk_id=more.pop("kiosk", "kiosk-001"),
        branch_id="branch-01",
        copy_number=1,
        status=status,
        seq=seq,
        at=datetime(2026, 11, 29, tzinfo=UTC),
        **more,
    )


def waiting(reason: str, **more: Any) -> PrintReported:
    return report(PrintStatus.WAITING_FOR_PRINTER, reason=reason, **more)


def test_order_that_waits_for_the_printer_is_a_trouble_of_that_kiosk_alone() -> None:
    states = PrinterStates()
    states.report(waiting("纸张用尽"))
    trouble = states.trouble("kiosk-001")
    assert trouble is not None and (trouble.zh, trouble.en) == ("纸张用尽", "out of paper")
    assert states.trouble("kiosk-002") is None


def test_newest_reason_is_said_and_an_unknown_one_in_general_words() -> None:
    states = PrinterStates()
    states.report(waiting("纸张用尽"))
    states.report(waiting("一种新的故障", order="o-2"))
    trouble = states.trouble("kiosk-001")
    assert trouble is not None and trouble.zh == "打印机需要处理"


def test_printed_sheet_ends_the_trouble_of_all_orders() -> None:
    states = PrinterStates()
    states.report(waiting("卡纸"))
    states.report(waiting("卡纸", order="o-2"))
    states.report(report(PrintStatus.PRINTED, order="o-2", seq=2))
    assert states.trouble("kiosk-001") is None


def test_cancelled_order_ends_its_own_trouble_only() -> None:
    states = PrinterStates()
    states.report(waiting("卡纸"))
    states.report(waiting("墨粉用尽", order="o-2"))
    states.report(report(PrintStatus.CANCELLED, order="o-2", seq=2))
    trouble = states.trouble("kiosk-001")
    assert trouble is not None and trouble.zh == "卡纸"


def test_repeated_report_that_is_older_changes_nothing() -> None:
    states = PrinterStates()
    states.report(waiting("卡纸", seq=3))
    states.report(report(PrintStatus.QUEUED, seq=2))
    assert states.trouble("kiosk-001") is not None
