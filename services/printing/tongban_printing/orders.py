"""A print order (打印任务) and how it changes. Pure: what is written where is `spool`'s.

    queued ──> (printer job) ──> printed
      │  ^          │
      │  └── waiting_for_printer: out of paper, jammed, offline; goes on by itself
      └─────────────┴──> needs_confirmation (a person has to look), expired, cancelled

A person's answer takes an order from needs_confirmation to printed, or back to queued; a question
that nobody answers ends as expired. Every change of status is reported; the report is part of the
same write as the change, and stays in the order until Kafka has it.
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
"""What the spooler works off. needs_confirmation waits for a person, the others are final."""
_NO_PAPER = frozenset({PrintStatus.CANCELLED, PrintStatus.EXPIRED})
MAY_BE_PRINTED = "打印记录已从备份恢复，请核对该材料是否已经打出"
"""Why a person is asked after the store was restored from a back-up."""
_CONFIRMED = "经人工核对，已出纸"
_DENIED = "经人工核对，未出纸，重新打印"
_UNANSWERED = "超过{days:g}天无人确认是否出纸，任务已结束"


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class PrinterJob(_Stored):
    """A job at a printer (RFC 8011): where to ask, and for what."""

    printer: str
    job_id: int


class PrintQuestion(_Stored):
    """Records the question about the order's job, while the order is needs_confirmation."""

    asked_at: datetime
    """Business time; a question that is not answered expires so long after it."""
    job_over: bool = False
    """The printer had ended the job before the question was asked, so that no sheet of it can have
    come out after the person looked."""


class Unsent(_Stored):
    """A report that Kafka may not have yet."""

    report: PrintReported
    since: datetime
    """Wall clock."""

    @property
    def event_id(self) -> str:
        """The same whenever it is sent."""
        return derived_id("print-reported", self.report.order_id, self.report.seq)


class SpooledOrder(_Stored):
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
    question: PrintQuestion | None = None
    """The last one; kept after its answer, which is only as good as what was known then."""
    confirmed_not: int | None = None
    """Id of the job of which a person said that nothing of it is on paper. Goes with the job."""
    answered_by: str | None = None
    """Who answered the last question."""
    waits_since: datetime | None = None
    """Business time at which a person asked for the sheet again; the age is counted from here."""
    item_name: str | None = None
    sealed: Sealed | None = None
    """The applicant's sealed part, of a first copy: a report that no paper will come carries it, so
    that notify can tell the person."""
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
        return now - (self.waits_since or self.ordered_at) > limit

    @property
    def denied(self) -> bool:
        """Return True if a person has said that nothing of the present job is on paper."""
        return self.job is not None and self.confirmed_not == self.job.job_id


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
    item_name: str | None = None,
    sealed: Sealed | None = None,
) -> SpooledOrder:
    """A queued order with its first report."""
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
        item_name=item_name,
        sealed=None if sealed is None else applicant_of(sealed),
    )
    report = _report(bare, PrintStatus.QUEUED, 1, ordered_at, None)
    return bare.model_copy(update={"outbox": [Unsent(report=report, since=spooled_at)]})


@dataclass(frozen=True, slots=True)
class OrderChange:
    """One write to an order: fields to set, and the report that goes with them."""

    fields: dict[str, Any] = field(default_factory=dict)
    report: PrintReported | None = None


def sent_to(job: PrinterJob) -> OrderChange:
    """The order has a job now, and its document may go there."""
    return OrderChange({"job": job.model_dump()})


def taken_from_printer() -> OrderChange:
    """The printer said that nothing of the job was or will be printed: another may be made."""
    return OrderChange({"job": None, "confirmed_not": None})


def reported(
    order: SpooledOrder, status: PrintStatus, at: datetime, reason: str | None = None
) -> OrderChange:
    """The order has another status (or reason); `at` is business time."""
    fields = {"status": status.value, "reason": reason, "seq": order.seq + 1}
    return OrderChange(fields, _report(order, status, order.seq + 1, at, reason))


def asked(order: SpooledOrder, at: datetime, reason: str, *, job_over: bool) -> OrderChange:
    """A person has to look whether the order's job is on paper; `at` is business time."""
    change = reported(order, PrintStatus.NEEDS_CONFIRMATION, at, reason)
    question = PrintQuestion(asked_at=at, job_over=job_over)
    return OrderChange(
        {**change.fields, "question": question.model_dump(), "confirmed_not": None}, change.report
    )


def maybe_printed(order: SpooledOrder, at: datetime) -> SpooledOrder:
    """Make a question of a new order of which a lost guard may have known that its sheet is on
    paper; `at` is business time."""
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
    """`by` has seen the sheet; `at` is business time."""
    change = reported(order, PrintStatus.PRINTED, at, _CONFIRMED)
    return OrderChange({**change.fields, "answered_by": by}, change.report)


def confirmed_not_printed(order: SpooledOrder, at: datetime, by: str) -> OrderChange:
    """`by` says that nothing of the order's job is on paper, so it is worked on again. The job
    stays with the order: what may still be open at the printer is ended before another is made."""
    change = reported(order, PrintStatus.QUEUED, at, _DENIED)
    fields = {
        **change.fields,
        "answered_by": by,
        "confirmed_not": None if order.job is None else order.job.job_id,
        "waits_since": at,
    }
    return OrderChange(fields, change.report)


def unanswered(order: SpooledOrder, at: datetime, limit: timedelta) -> OrderChange:
    """Nobody has answered within `limit`; the order ends, so that a copy can be ordered again."""
    days = limit / timedelta(days=1)
    # The sheet may well have come out: a message that none will come could be untrue.
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
