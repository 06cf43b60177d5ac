"""Follow which kiosks' printers are in trouble, by what printing reports about their orders."""

from __future__ import annotations

from tongban_common.domain.status import PrintStatus
from tongban_common.events import MalformedEventError, decode
from tongban_common.events.models import PrintReported
from tongban_common.topics import DOCUMENTS_PRINTED
from tongban_intake.text import Text
from tongban_kafka import Record

_UNNAMED = Text("打印机需要处理", "the printer needs attention")
_TROUBLES = {
    each.zh: each
    for each in (
        Text("纸张用尽", "out of paper"),
        Text("纸盒未装好", "the paper tray is missing"),
        Text("卡纸", "paper jam"),
        Text("打印机盖板未关", "the printer's cover is open"),
        Text("墨粉用尽", "out of toner"),
        Text("出纸口已满", "the output tray is full"),
        Text("打印机离线", "the printer is offline"),
        Text("打印机已暂停", "the printer is paused"),
    )
}
"""Reasons of printing's reports that a person at the kiosk understands."""


def trouble_text(reason: str | None) -> Text:
    """Return the text for a reason of printing's reports."""
    return _TROUBLES.get(reason or "", _UNNAMED)


class PrinterStates:
    """Keeps the trouble of each kiosk's printer.

    A printer is in trouble while an order waits for it. A sheet that was printed shows that it
    works again. A replica that has just started knows no troubles: it learns them with the next
    report.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, tuple[int, Text]]] = {}
        """By kiosk and order: number of the report, and the trouble."""

    def on_record(self, record: Record) -> None:
        """Handle a record of the topic documents.printed; records of other topics are ignored."""
        if record.topic != DOCUMENTS_PRINTED or record.value is None:
            return
        try:
            body = decode(record.value, record.headers).body
        except MalformedEventError:  # the read model reports it, as a dead letter
            return
        if isinstance(body, PrintReported):
            self.report(body)

    def report(self, report: PrintReported) -> None:
        """Take a report of a print order into account. Idempotent; an older report than the known
        one of the order changes nothing."""
        orders = self._waiting.setdefault(report.kiosk_id, {})
        known = orders.get(report.order_id)
        if known is None or known[0] < report.seq:
            if report.status is PrintStatus.WAITING_FOR_PRINTER:
                orders[report.order_id] = report.seq, trouble_text(report.reason)
            elif report.status is PrintStatus.PRINTED:
                orders.clear()
            else:
                orders.pop(report.order_id, None)
        if not orders:
            del self._waiting[report.kiosk_id]

    def trouble(self, kiosk_id: str) -> Text | None:
        """Return why the kiosk cannot print now, as the newest of its reports says; None if no
        trouble is known."""
        orders = self._waiting.get(kiosk_id)
        return next(reversed(orders.values()))[1] if orders else None
