"""A print order (打印任务) and how it changes. Pure: what is written where is `spool`'s.

    queued ──> (printer job) ──> printed
      │  ^          │
      │  └── waiting_for_printer: out of paper, jammed, offline; goes on by itself
      └─────────────┴──> needs_confirmation (a person has to look), expired, cancelled

Every change of status is reported; the report is part of the same write as the change, and stays
in the order until Kafka has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef, PrintReported

WORKED_ON = frozenset({PrintStatus.QUEUED, PrintStatus.WAITING_FOR_PRINTER})
"""What the spooler works off. needs_confirmation waits for a person, the others are final."""


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class PrinterJob(_Stored):
    """A job at a printer (RFC 8011): where to ask, and for what."""

    printer: str
    job_id: int


class Unsent(_Stored):
    """A report that Kafka may not have yet."""

    report: PrintReported
    since: datetime
    """Wall clock."""

    @property
    def event_id(self) -> str:
        """The same whenever it is sent."""
        return derived_id("print-reported", self.report.order_id, self.report.seq)


class Order(_Stored):
    """One sheet set for one kiosk, as the collection `print_orders` has it."""

    order_id: str = Field(alias="_id")
    request_id: str
    document: DocumentRef
    kiosk_id: str
    branch_id: str
    copy_number: int
    ordered_at: datetime
    """Business time; the order's age is counted from here."""
    spooled_at: datetime
    """Wall clock; what people have waited is counted from here."""
    status: PrintStatus
    reason: str | None = None
    seq: int
    """Of the last report."""
    job: PrinterJob | None = None
    """The only job whose document may be on paper. Set before a document is sent to it; taken away
    only when the printer has said that nothing of it was printed or ever will be."""
    rev: int = 0
    """Counts the writes: whoever has not seen the last one cannot make the next."""
    outbox: list[Unsent] = []

    @property
    def worked_on(self) -> bool:
        """Whether the spooler has anything to do."""
        return self.status in WORKED_ON

    @property
    def job_name(self) -> str:
        """What the job is called at the printer: whose it is, for a person and for a recovery."""
        parts = (self.order_id, self.request_id, self.document.document_id, str(self.copy_number))
        return "/".join(parts)

    def is_too_old(self, now: datetime, limit: timedelta) -> bool:
        """Whether nobody waits for this sheet any more; `now` is business time."""
        return now - self.ordered_at > limit


def order_id(request_id: str, document_id: str, copy_number: int) -> str:
    """The id of the order that follows from a request itself (not of a reprint's)."""
    return derived_id("order", request_id, document_id, copy_number)


def new_order(
    *,
    order_id: str,
    request_id: str,
    document: DocumentRef,
    kiosk_id: str,
    branch_id: str,
    copy_number: int,
    ordered_at: datetime,
    spooled_at: datetime,
) -> Order:
    """A queued order with its first report."""
    bare = Order(
        order_id=order_id,
        request_id=request_id,
        document=document,
        kiosk_id=kiosk_id,
        branch_id=branch_id,
        copy_number=copy_number,
        ordered_at=ordered_at,
        spooled_at=spooled_at,
        status=PrintStatus.QUEUED,
        seq=1,
    )
    report = _report(bare, PrintStatus.QUEUED, 1, ordered_at, None)
    return bare.model_copy(update={"outbox": [Unsent(report=report, since=spooled_at)]})


@dataclass(frozen=True, slots=True)
class Change:
    """One write to an order: fields to set, and the report that goes with them."""

    fields: dict[str, Any] = field(default_factory=dict)
    report: PrintReported | None = None


def sent_to(job: PrinterJob) -> Change:
    """The order has a job now, and its document may go there."""
    return Change({"job": job.model_dump()})


def taken_from_printer() -> Change:
    """The printer said that nothing of the job was or will be printed: another may be made."""
    return Change({"job": None})


def reported(order: Order, status: PrintStatus, at: datetime, reason: str | None = None) -> Change:
    """The order has another status (or reason); `at` is business time."""
    fields = {"status": status.value, "reason": reason, "seq": order.seq + 1}
    return Change(fields, _report(order, status, order.seq + 1, at, reason))


def _report(
    order: Order, status: PrintStatus, seq: int, at: datetime, reason: str | None
) -> PrintReported:
    return PrintReported(
        request_id=order.request_id,
        order_id=order.order_id,
        document=order.document,
        kiosk_id=order.kiosk_id,
        branch_id=order.branch_id,
        copy_number=order.copy_number,
        status=status,
        seq=seq,
        at=at,
        reason=reason,
    )
