"""A print order (打印任务) and its changes. Pure: `spool` reads and writes orders.

    queued ──> (printer job) ──> printed
      │  ^          │
      │  └── waiting_for_printer: out of paper, jammed, offline; goes on by itself
      └─────────────┴──> needs_confirmation (a person has to look), expired, cancelled

A person's answer changes an order from needs_confirmation to printed, or back to queued; without an
answer it expires. Every change of status is reported: the report is part of the same write as the
change, and stays in the order until Kafka has acknowledged it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef, PrintReported, Sealed

WORKED_ON = frozenset({PrintStatus.QUEUED, PrintStatus.WAITING_FOR_PRINTER})
"""The statuses on which the spooler works. needs_confirmation waits for a person, the others are
final."""
_NO_PAPER = frozenset({PrintStatus.CANCELLED, PrintStatus.EXPIRED})
MAY_BE_PRINTED = "打印记录已从备份恢复，请核对该材料是否已经打出"
"""The reason of a question after the store was restored from a back-up."""
_CONFIRMED = "经人工核对，已出纸"
_DENIED = "经人工核对，未出纸，重新打印"
_UNANSWERED = "超过{days:g}天无人确认是否出纸，任务已结束"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class PrinterJob(_Stored):
    """A job at a printer (RFC 8011): the printer's address and the job's id."""

    printer: str
    job_id: int


class PrintQuestion(_Stored):
    """The question to a person about the order's job."""

    asked_at: datetime
    """Business time, from which the question's expiry is counted."""
    job_over: bool = False
    """True if the printer had ended the job before the question was asked, so that no sheet of it
    can have been printed after the person looked."""


class Unsent(_Stored):
    """A report that Kafka may not have acknowledged yet."""

    report: PrintReported
    since: datetime
    """Wall clock."""

    @property
    def event_id(self) -> str:
        """Return the event id, which is the same for every sending."""
        return derived_id("print-reported", self.report.order_id, self.report.seq)


class SpooledOrder(_Stored):
    """An order to print one document at one kiosk: a record of the collection `print_orders`."""

    order_id: str = Field(alias="_id")
    request_id: str
    document: DocumentRef
    kiosk_id: str
    branch_id: str
    copy_number: int
    ordered_at: datetime
    """Business time, from which the order's age is counted."""
    spooled_at: datetime
    """Wall clock, from which the metrics count the waiting time."""
    status: PrintStatus
    reason: str | None = None
    seq: int
    """The number of the last report."""
    job: PrinterJob | None = None
    """The only job whose document may be on paper. Set before a document is sent to it; removed
    only when the printer reports that nothing of it was or will be printed."""
    question: PrintQuestion | None = None
    """The last question. It is kept after its answer, whose weight depends on `job_over`."""
    confirmed_not: int | None = None
    """Id of the job of which a person answered that nothing is on paper. Removed with the job."""
    answered_by: str | None = None
    """The person who answered the last question."""
    waits_since: datetime | None = None
    """Business time of an answer "not printed", from which the age is counted anew."""
    submitted_at: datetime | None = None
    """Business time at which the request was submitted; for a first copy only."""
    waited_for: str | None = None
    """Return what the request waited for that no published time limit covers."""
    item_name: str | None = None
    sealed: Sealed | None = None
    """The applicant's sealed part, for a first copy only. A report that no paper will come carries
    it, so that notify can inform the applicant."""
    traceparent: str | None = None
    """The span that spooled the order: what is printed and reported hours later is of its trace."""
    rev: int = 0
    """Number of writes, for optimistic locking: a write names the `rev` that it has read."""
    outbox: list[Unsent] = []

    @property
    def worked_on(self) -> bool:
        """Return True if the spooler works on the order."""
        return self.status in WORKED_ON

    @property
    def job_name(self) -> str:
        """Return the job's name at the printer, by which a person and a recovery find its order."""
        parts = (self.order_id, self.request_id, self.document.document_id, str(self.copy_number))
        return "/".join(parts)

    def is_too_old(self, now: datetime, limit: timedelta) -> bool:
        """Return True if the applicant no longer waits for the sheet; `now` is business time."""
        return now - (self.waits_since or self.ordered_at) > limit

    @property
    def denied(self) -> bool:
        """Return True if a person answered that nothing of the present job is on paper."""
        return self.job is not None and self.confirmed_not == self.job.job_id


def order_id(request_id: str, document_id: str, copy_number: int) -> str:
    """Return the id of the order that a completed request causes (a reprint has its own)."""
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
    item_name: str | None = None,
    sealed: Sealed | None = None,
    traceparent: str | None = None,
    submitted_at: datetime | None = None,
    waited_for: str | None = None,
) -> SpooledOrder:
    """Return a queued order with its first report."""
    bare = SpooledOrder(
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
        submitted_at=submitted_at,
        waited_for=waited_for,
        item_name=item_name,
        sealed=None if sealed is None else applicant_of(sealed),
        traceparent=traceparent,
    )
    report = _report(bare, PrintStatus.QUEUED, 1, ordered_at, None)
    return bare.model_copy(update={"outbox": [Unsent(report=report, since=spooled_at)]})


@dataclass(frozen=True, slots=True)
class OrderChange:
    """One write to an order: the fields to set, and the report, if any."""

    fields: dict[str, Any] = field(default_factory=dict)
    report: PrintReported | None = None


def sent_to(job: PrinterJob) -> OrderChange:
    """Give the order a job, to which its document may be sent from now on."""
    return OrderChange({"job": job.model_dump()})


def taken_from_printer() -> OrderChange:
    """Remove the job, of which nothing was or will be printed, so that another may be created."""
    return OrderChange({"job": None, "confirmed_not": None})


def reported(
    order: SpooledOrder, status: PrintStatus, at: datetime, reason: str | None = None
) -> OrderChange:
    """Change the order's status or reason; `at` is business time."""
    fields = {"status": status.value, "reason": reason, "seq": order.seq + 1}
    return OrderChange(fields, _report(order, status, order.seq + 1, at, reason))


def asked(order: SpooledOrder, at: datetime, reason: str, *, job_over: bool) -> OrderChange:
    """Ask a person whether the order's job is on paper; `at` is business time."""
    change = reported(order, PrintStatus.NEEDS_CONFIRMATION, at, reason)
    question = PrintQuestion(asked_at=at, job_over=job_over)
    return OrderChange(
        {**change.fields, "question": question.model_dump(), "confirmed_not": None}, change.report
    )


def maybe_printed(order: SpooledOrder, at: datetime) -> SpooledOrder:
    """Return a new order as a question, since a lost guard may have recorded that it was printed.

    `at` is business time.
    """
    change = asked(order, at, MAY_BE_PRINTED, job_over=False)
    assert change.report is not None  # noqa: S101 - a question is reported
    report = Unsent(report=change.report, since=order.spooled_at)
    return order.model_copy(
        update={
            "status": PrintStatus.NEEDS_CONFIRMATION,
            "reason": MAY_BE_PRINTED,
            "seq": change.report.seq,
            "question": PrintQuestion(asked_at=at),
            "outbox": [*order.outbox, report],
        }
    )


def confirmed_printed(order: SpooledOrder, at: datetime, by: str) -> OrderChange:
    """Record that `by` has seen the sheet; `at` is business time."""
    change = reported(order, PrintStatus.PRINTED, at, _CONFIRMED)
    return OrderChange({**change.fields, "answered_by": by}, change.report)


def confirmed_not_printed(order: SpooledOrder, at: datetime, by: str) -> OrderChange:
    """Queue the order again, since `by` answered that nothing of its job is on paper.

    The job stays with the order: if it is still open, it is cancelled before another is created.
    """
    change = reported(order, PrintStatus.QUEUED, at, _DENIED)
    fields = {
        **change.fields,
        "answered_by": by,
        "confirmed_not": None if order.job is None else order.job.job_id,
        "waits_since": at,
    }
    return OrderChange(fields, change.report)


def unanswered(order: SpooledOrder, at: datetime, limit: timedelta) -> OrderChange:
    """Expire a question without an answer within `limit`, so that a copy can be ordered again."""
    days = limit / timedelta(days=1)
    # The sheet may have been printed, so notify must not write that none will come.
    silent = order.model_copy(update={"sealed": None})
    return reported(silent, PrintStatus.EXPIRED, at, _UNANSWERED.format(days=days))


def applicant_of(sealed: Sealed) -> Sealed:
    """Return the envelope with the applicant's part alone."""
    parts = {name: box for name, box in sealed.parts.items() if name == "applicant"}
    return sealed.model_copy(update={"parts": parts})


def _report(
    order: SpooledOrder, status: PrintStatus, seq: int, at: datetime, reason: str | None
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
        item_name=order.item_name if status in _NO_PAPER else None,
        sealed=order.sealed if status in _NO_PAPER else None,
    )
