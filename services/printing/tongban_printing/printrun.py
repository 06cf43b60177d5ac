"""Print one order once, through the death of any process at any moment.

Three rules ensure it:
 1. The process sends a document only to the job that the order names, so it writes the job's id to
    the order first. A death before that leaves a job without a document, which prints nothing.
 2. A job gets its document at most once, from the process that created it. After an unclear answer,
    or a death, the spooler queries the job. A job that still waits for its document is cancelled,
    because the document may be under way, and queried again.
 3. The order's job is replaced only if the printer reports that no sheet of it is or will be
    printed. The lobby manager is asked about a job that the printer does not know, and about one
    that the printer does not end, or no longer reports on, after the order's limit.
    The answer "not printed" holds for a job that the printer does not know, and for one that had
    ended before the question was asked. A job that is still open is cancelled first; sheets that it
    printed meanwhile lead to a new question. An open job that has its document and that the order
    does not name (the store was restored from a back-up) becomes the order's job.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.envelope import KeyDestroyedError, KeyMissingError, UnreadableEnvelopeError
from tongban_common.process import Stopping
from tongban_common.store import DocumentStore
from tongban_common.tracing import attributes as names
from tongban_common.tracing import exemplar, span
from tongban_kafka import Backoff
from tongban_printing import metrics
from tongban_printing.domain.orders import (
    OrderChange,
    PrinterJob,
    SpooledOrder,
    asked,
    reported,
    sent_to,
    taken_from_printer,
)
from tongban_printing.printer.client import Printer, PrinterRefusedError, PrinterTroubleError
from tongban_printing.printer.jobs import OFFLINE, REFUSES, Finding
from tongban_printing.spool.outbox import Outbox
from tongban_printing.spool.store import Spool

log = structlog.get_logger()

_REPORTED_AT_MOST = 40
"""Reports of an order after which troubles of its printer are reported no more. A printer that
alternates between two troubles would cause one every two seconds, and the read model keeps each."""
_FIRST_LOOK, _NEXT_LOOK, _SLOWEST_LOOK = 0.05, 1.5, 0.5
"""Seconds between queries of a printing job: the first, the growth factor, and the longest."""
_WAIT = Backoff(first=0.4, longest=2.0)
"""Seconds between attempts while the printer is in trouble, so that it resumes soon afterwards."""
_STALLED_S, _STUCK_S = 5.0, 20.0
"""Seconds without another sheet before the printer is asked whether something is wrong, and before
its warnings count."""
_REPORTED_FROM = 2
"""Consecutive troubles before one is reported; a single lost connection is not."""
_ASKED_AT = 5
"""Consecutive failed operations on a job whose order is too old, before a person is asked about
it."""
_CANCELLED_AT_MOST = 20
"""Attempts, over some nine seconds, to cancel such a job before a person is asked."""
_JOBS_AT_MOST = 300
"""Consecutive jobs without a printed sheet, over some ten minutes, before the order is cancelled:
what a printer cannot print must not block the orders behind it."""

_UNCLEAR = "打印机未说明是否收到文件，请大堂经理核对是否出纸后确认"
_LOST = "打印机已无此打印任务，无法确认是否出纸，请大堂经理核对后确认"
_SILENT = "打印机无法连接，无法确认是否出纸，请大堂经理核对后确认"
_ENDLESS = "打印机未能结束此打印任务，无法确认是否出纸，请大堂经理核对后确认"
_UNPRINTABLE = "打印机多次未能打印此文件，任务已取消，可在其他一体机补打"
_INTERRUPTED = "打印中断，已出纸约{sheets}页，请大堂经理核对后确认"
_UNREADABLE = "文件已无法读取，不能打印"
_DESTROYED = "个人信息已按期销毁，不能打印"
_FLAPPING = "打印机反复出现故障，恢复后自动打印"
KEY_MISSING = "文件暂时无法读取，恢复后自动打印"
_FAULTY = "程序处理此任务时反复出错，任务已取消，可在其他一体机补打或到窗口领取"
_FAULTY_JOB = "程序处理此任务时反复出错，无法确认是否出纸，请大堂经理核对后确认"
_TOO_OLD = "超过{days:g}天未能打印，任务已取消"


@dataclass(frozen=True, slots=True)
class PrintDependencies:
    """The dependencies of every run."""

    spool: Spool
    documents: DocumentStore
    outbox: Outbox
    clock: BusinessClock
    limit: timedelta
    """Business time after which the applicant no longer waits for a sheet."""
    stopping: Stopping


class PrintRun:
    """Brings one order from its present state to its end, under one lease.

    Args:
        epoch: the lease's; see `Spool.save`.
        may_have_orphan: an earlier process may have left a job that the order does not name.
    """

    def __init__(
        self,
        dependencies: PrintDependencies,
        printer: Printer,
        order: SpooledOrder,
        *,
        epoch: int,
        may_have_orphan: bool,
    ) -> None:
        self.order = order
        self._dependencies = dependencies
        self._printer = printer
        self._epoch = epoch
        self._may_have_orphan = may_have_orphan
        self._pause = _FIRST_LOOK
        self._troubles = 0
        self._unanswered = 0
        self._cancelled = 0
        self._fruitless = 0
        self._sheets, self._stalled, self._query_at = 0, 0.0, _STALLED_S
        """Sheets that are out, seconds since the last one, and after how many the printer is asked
        what is wrong."""
        self._delivered: int | None = None
        """Id of the job whose printer has acknowledged the document to this run."""

    async def step(self) -> None:
        """Take one step, and pause as long as the step requires.

        Raises:
            OrderOvertakenError: another process has written the order.
            StoreUnavailableError: the caller reads the order again later.
        """
        try:
            if self.order.job is None:
                await self._begin()
            else:
                await self._follow(self.order.job)
        except PrinterTroubleError as trouble:
            metrics.TROUBLES.inc()
            await self._no_word(trouble.reason, _SILENT)
        except PrinterRefusedError as refused:
            self._log.warning("printer_refuses", status=refused.status)
            await self._no_word(REFUSES, _ENDLESS)
        else:
            self._unanswered = 0

    async def _no_word(self, trouble: str, question: str) -> None:
        """Wait for the printer to work again; ask a person if the order is too old."""
        self._unanswered += 1
        if self.order.job and self._is_too_old and self._unanswered >= _ASKED_AT:
            # It cannot expire, since it may be on paper, and must not block the orders behind it.
            await self._ask(question)
        else:
            await self._wait(trouble)

    async def put_aside(self) -> None:
        """End the run after repeated faults of this program, so that the kiosk's other orders go
        on.

        The order is cancelled, or becomes a question if its job may be on paper.

        Raises:
            OrderOvertakenError: the order was written since it was read.
            StoreUnavailableError: the caller reads the order again later.
        """
        if self.order.job is None:
            await self._report(PrintStatus.CANCELLED, _FAULTY)
        else:
            await self._ask(_FAULTY_JOB)

    # --- an order without a job

    async def _begin(self) -> None:
        if self._is_too_old:
            days = self._dependencies.limit / timedelta(days=1)
            await self._report(PrintStatus.EXPIRED, _TOO_OLD.format(days=days))
            return
        try:
            document = await self._dependencies.documents.get(
                self.order.request_id, self.order.document.document_id
            )
        except KeyMissingError:
            await self._wait(KEY_MISSING)
            return
        except UnreadableEnvelopeError as error:
            why = _DESTROYED if isinstance(error, KeyDestroyedError) else _UNREADABLE
            await self._report(PrintStatus.CANCELLED, why)
            return
        if document is None:
            await self._report(PrintStatus.CANCELLED, _UNREADABLE)
            return
        if self._may_have_orphan or self.order.question is not None:
            # A question without a job: the restored store may lack the order's last job.
            found = await self._settle_orphans()
            if found is not None:
                await self._save(sent_to(found))
                return
        self._may_have_orphan = True
        faultpoints.reached("printing.before_create_job")
        job = await self._printer.create_job(self.order.job_name)
        faultpoints.reached("printing.after_create_job")
        await self._save(sent_to(job))
        self._may_have_orphan = False
        self._pause = _FIRST_LOOK
        await self._send(job, document.pdf)

    async def _settle_orphans(self) -> PrinterJob | None:
        """Cancel the order's open jobs that it does not name, and return the one that has its
        document.

        That one will be printed, so it becomes the order's job, and no other is created.
        """
        kept = None
        for found in await self._printer.open_jobs():
            if found.name != self.order.job_name:
                continue
            if found.view.finding is Finding.WITHOUT_DOCUMENT:
                await self._cancel(found.job)
            elif found.view.finding in (Finding.UNDER_WAY, Finding.STOPPED):
                kept = found.job
        self._may_have_orphan = False
        return kept

    async def _send(self, job: PrinterJob, pdf: bytes) -> None:
        faultpoints.reached("printing.before_send_document")
        try:
            await self._printer.send_document(job, pdf)
            self._delivered = job.job_id
        except PrinterRefusedError as refused:
            self._log.warning("document_refused", status=refused.status)
            if refused.unknown_job:
                # The printer forgot the job before its only document arrived.
                await self._begin_anew()
        faultpoints.reached("printing.after_send_document")

    # --- an order with a job

    async def _follow(self, job: PrinterJob) -> None:
        view = await self._printer.look_at(job, self.order.job_name)
        faultpoints.reached("printing.after_look")
        match view.finding:
            case Finding.UNDER_WAY | Finding.STOPPED | Finding.WITHOUT_DOCUMENT if self._is_to_end:
                await self._give_up(job)
            case Finding.UNDER_WAY:
                await self._while_printing(view.sheets)
            case Finding.STOPPED:
                await self._wait(await self._printer.why_stopped())
            case Finding.WITHOUT_DOCUMENT:
                await self._cancel(job)
                await self._until_next_look()
            case Finding.NOTHING_PRINTED:
                await self._begin_anew()
            case Finding.ENDED if self._delivered != job.job_id:
                await self._ask(_UNCLEAR)
            case Finding.PRINTED | Finding.ENDED:
                await self._printed()
            case Finding.PARTLY_PRINTED if self._was_over:
                await self._begin_anew()
            case Finding.PARTLY_PRINTED:
                await self._ask(_INTERRUPTED.format(sheets=view.sheets), job_over=True)
            case Finding.UNKNOWN if self.order.denied:
                await self._begin_anew()
            case Finding.UNKNOWN:
                await self._ask(_LOST)

    async def _while_printing(self, sheets: int) -> None:
        """Wait for a job that is being printed, or report what keeps its printer from going on: a
        printer may report such a job as being printed all the same."""
        if sheets != self._sheets:
            self._sheets, self._stalled, self._query_at = sheets, 0.0, _STALLED_S
        if self._stalled >= self._query_at:
            stuck = self._stalled >= _STUCK_S
            trouble = await self._printer.trouble_while_printing(warnings=stuck)
            if trouble is not None:
                await self._wait(trouble)
                return
            self._query_at = self._stalled + _STALLED_S
        self._stalled += self._pause
        self._troubles = self._fruitless
        await self._until_next_look()

    async def _printed(self) -> None:
        await self._report(PrintStatus.PRINTED)
        metrics.SHEETS.inc(self.order.document.pages)
        waited = datetime.now(UTC) - self.order.spooled_at
        metrics.PRINT_SECONDS.observe(max(0.0, waited.total_seconds()), exemplar())
        if self.order.submitted_at is not None and self.order.question is None:
            # A sheet that a person was asked about came out at a moment that nothing recorded.
            took = (self._dependencies.clock.now() - self.order.submitted_at).total_seconds()
            metrics.PAPER_SECONDS.labels(self.order.waited_for or "no").observe(
                max(0.0, took), exemplar()
            )

    async def _begin_anew(self) -> None:
        """Let the order have another job, since no sheet of this one is or will be printed.

        The next one is created at once, unless several in a row printed nothing.
        """
        self._fruitless += 1
        if self._fruitless >= _JOBS_AT_MOST:
            await self._report(PrintStatus.CANCELLED, _UNPRINTABLE)
            return
        await self._save(taken_from_printer())
        if self._fruitless > 1:
            await self._wait(REFUSES)

    async def _give_up(self, job: PrinterJob) -> None:
        """Cancel a job whose order is too old, or of which a person says that nothing was printed.

        If nothing was printed, `_begin` expires the order or creates another job.
        """
        if self._cancelled >= _CANCELLED_AT_MOST:
            await self._ask(_ENDLESS)
            return
        self._cancelled += 1
        await self._cancel(job)
        await self._until_next_look()

    async def _until_next_look(self) -> None:
        await self._dependencies.stopping.sleep(self._pause)
        self._pause = min(self._pause * _NEXT_LOOK, _SLOWEST_LOOK)

    async def _cancel(self, job: PrinterJob) -> None:
        faultpoints.reached("printing.before_cancel_job")
        try:
            await self._printer.cancel(job)
        except PrinterRefusedError as refused:
            # The job has just ended or begun to print: the next query decides.
            self._log.info("cancel_refused", job_id=job.job_id, status=refused.status)
        faultpoints.reached("printing.after_cancel_job")

    # --- writing and waiting

    async def _wait(self, reason: str) -> None:
        """Report once why the order waits, and pause."""
        self._troubles += 1
        order = self.order
        reported_already = (
            order.status is PrintStatus.WAITING_FOR_PRINTER and order.reason == reason
        )
        if not reported_already and (self._troubles >= _REPORTED_FROM or reason != OFFLINE):
            await self._report_trouble(reason)
        await self._dependencies.stopping.sleep(_WAIT.delay(self._troubles))

    async def _report_trouble(self, reason: str) -> None:
        if self.order.seq < _REPORTED_AT_MOST:
            await self._report(PrintStatus.WAITING_FOR_PRINTER, reason)
        elif self.order.seq == _REPORTED_AT_MOST:
            await self._report(PrintStatus.WAITING_FOR_PRINTER, _FLAPPING)

    async def _report(self, status: PrintStatus, reason: str | None = None) -> None:
        await self._save_and_offer(
            status, reported(self.order, status, self._dependencies.clock.now(), reason)
        )

    async def _ask(self, question: str, *, job_over: bool = False) -> None:
        """Make the order a question to a person; `job_over`: the printer has ended the job."""
        change = asked(self.order, self._dependencies.clock.now(), question, job_over=job_over)
        await self._save_and_offer(PrintStatus.NEEDS_CONFIRMATION, change)

    async def _save_and_offer(self, status: PrintStatus, change: OrderChange) -> None:
        attributes = {
            names.REQUEST_ID: self.order.request_id,
            names.ORDER: self.order.order_id,
            names.KIOSK: self.order.kiosk_id,
            names.STATUS: status.value,
        }
        with span("print status", attributes=attributes):
            await self._save(change)
        self._dependencies.outbox.offer(self.order)
        metrics.REPORTED.labels(status).inc()
        self._log.info("order_reported", status=status)

    async def _save(self, change: OrderChange) -> None:
        faultpoints.reached("printing.before_save")
        self.order = await self._dependencies.spool.save(self.order, change, epoch=self._epoch)
        faultpoints.reached("printing.after_save")

    @property
    def _is_too_old(self) -> bool:
        return self.order.is_too_old(self._dependencies.clock.now(), self._dependencies.limit)

    @property
    def _is_to_end(self) -> bool:
        """Return True if the present job must not go on."""
        return self._is_too_old or self.order.denied

    @property
    def _was_over(self) -> bool:
        """Return True if the job had ended before the question that was answered "not printed"."""
        question = self.order.question
        return self.order.denied and question is not None and question.job_over

    @property
    def _log(self) -> Any:
        return log.bind(order_id=self.order.order_id, kiosk_id=self.order.kiosk_id)
