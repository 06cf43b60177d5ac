"""Handle the records of printing: store documents, and spool orders for the spooler to print."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

import structlog

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import PrintStatus
from tongban_common.envelope import KeyDestroyedError
from tongban_common.events import MalformedEventError, decode
from tongban_common.events.models import (
    DocumentRef,
    DocumentStored,
    PrintConfirmed,
    PrintOrdered,
    PrintReported,
    RequestCompleted,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.observability import request_context
from tongban_common.store import DocumentStore
from tongban_common.store.recovery import RestoredStore, guard_may_have_expired
from tongban_common.tracing import current_traceparent
from tongban_kafka import Poison, Record, Retry
from tongban_printing import metrics
from tongban_printing.domain.orders import (
    SpooledOrder,
    applicant_of,
    maybe_printed,
    new_order,
    order_id,
)
from tongban_printing.questions import Questions
from tongban_printing.spool.outbox import Outbox
from tongban_printing.spool.store import Printable, Printables, Spool
from tongban_printing.spooler import Spooler
from tongban_printing.typesetting.documents import DocumentMaker, UnmakeableDocumentError

_DESTROYED = "个人信息已按期销毁，不能打印"
_CANNOT_SET = "材料无法排版，不能打印，请到窗口领取"
_UNMAKEABLE = {
    "too_long": "材料篇幅过长，一体机不能打印，请到窗口领取",
    "too_much": "材料篇幅过长，一体机不能打印，请到窗口领取",
    "no_result": "办理结果不完整，无法生成材料，请到窗口领取",
}
"""Texts for the person at the kiosk, by `UnmakeableDocumentError.why`."""
log = structlog.get_logger()

_TOO_OLD = "事项已久，未再打印"
KIOSK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Kiosk ids that may go into a printer's address: an order may come from a foreign writer."""

_COMPLETION_PAUSE = 1.0
_COMPLETION_ATTEMPTS = 300
"""Attempts, over five minutes, at a reprint whose request's completion was not read yet. The
completion is on another topic, so a reprint may be read first."""


class PrintingHandler:
    """The handler of the worker group `printing`; a repeat of a record changes nothing.

    Args:
        clock: gives the age of a completion.
        restored: decides for which records the guard may have been lost with the store.
    """

    def __init__(
        self,
        *,
        maker: DocumentMaker,
        printables: Printables,
        documents: DocumentStore,
        spool: Spool,
        spooler: Spooler,
        questions: Questions,
        outbox: Outbox,
        publisher: EventPublisher,
        clock: BusinessClock,
        restored: RestoredStore,
    ) -> None:
        self._maker = maker
        self._printables = printables
        self._documents = documents
        self._spool = spool
        self._spooler = spooler
        self._questions = questions
        self._outbox = outbox
        self._publisher = publisher
        self._clock = clock
        self._restored = restored

    async def handle(self, record: Record) -> None:
        """Handle one record of requests.completed or print.orders.

        Raises:
            Poison: the record can never be printed.
            Retry, StoreUnavailableError, KafkaUnavailableError: a later attempt may succeed.
        """
        try:
            event = decode(record.value, record.headers)
        except MalformedEventError as error:
            raise Poison(str(error)) from error
        repeat = record.maybe_seen or record.attempt > 1 or event.repeat
        doubtful = await self._restored.may_lack_guard(record.timestamp_ms, record.headers)
        with request_context(event.body.request_id):
            match event.body:
                case RequestCompleted() as completed:
                    await self._completed(completed, repeat=repeat, doubtful=doubtful)
                case PrintOrdered() as ordered:
                    await self._ordered(ordered, attempt=record.attempt, doubtful=doubtful)
                case PrintConfirmed() as answer:
                    order = await self._questions.answer(answer, doubtful=doubtful)
                    if order is not None:
                        self._spooler.call(order.kiosk_id)
                case other:
                    raise Poison(f"{other.TYPE} does not belong on {record.topic}")

    async def _completed(self, body: RequestCompleted, *, repeat: bool, doubtful: bool) -> None:
        try:
            documents = await self._maker.documents_of(body, repeat=repeat)
        except KeyDestroyedError:
            await self._cannot_print(body, "destroyed", _DESTROYED, repeat=repeat)
            return
        except UnmakeableDocumentError as error:
            metrics.UNMAKEABLE.labels(error.why).inc()
            log.error("document_cannot_be_made", why=error.why, what=str(error))
            reason = _UNMAKEABLE.get(error.why, _CANNOT_SET)
            await self._cannot_print(body, "unmakeable", reason, repeat=repeat)
            return
        if not documents:
            return
        await self._printables.remember(
            Printable(
                request_id=body.request_id, branch_id=body.origin.branch_id, documents=documents
            )
        )
        faultpoints.reached("printing.before_announce_document")
        await asyncio.gather(*(self._announce(body, document, repeat) for document in documents))
        faultpoints.reached("printing.after_announce_document")
        if not body.print:
            return
        if guard_may_have_expired(self._clock, body.completed_at):
            await self._cannot_print(body, "too-old", _TOO_OLD, repeat=repeat)
            return
        for document in documents:
            order = new_order(
                order_id=order_id(body.request_id, document.document_id, 1),
                request_id=body.request_id,
                document=document,
                kiosk_id=body.origin.kiosk_id,
                branch_id=body.origin.branch_id,
                copy_number=1,
                ordered_at=body.completed_at,
                spooled_at=datetime.now(UTC),
                item_name=body.item.name,
                sealed=body.sealed,
                traceparent=current_traceparent(),
                submitted_at=body.submitted_at,
                waited_for=body.waited_for,
            )
            await self._spool_order(order, doubtful=doubtful)

    async def _cannot_print(
        self, body: RequestCompleted, what: str, reason: str, *, repeat: bool
    ) -> None:
        """Report that no paper will come, unless the order is spooled already.

        `what` makes the report's event id differ from those of other reports of the order.
        """
        if not body.print:
            return
        made = derived_id("document", body.request_id, 0)
        document_id = body.documents[0].document_id if body.documents else made
        order = order_id(body.request_id, document_id, 1)
        if await self._spool.find(order) is not None:
            return  # spooled while the key existed; the spooler reports what becomes of it
        await self._publisher.publish(
            topics.DOCUMENTS_PRINTED,
            PrintReported(
                request_id=body.request_id,
                order_id=order,
                document=None,
                kiosk_id=body.origin.kiosk_id,
                branch_id=body.origin.branch_id,
                copy_number=1,
                status=PrintStatus.CANCELLED,
                seq=1,
                at=body.completed_at,
                reason=reason,
                item_name=body.item.name,
                sealed=applicant_of(body.sealed),
            ),
            # Differs from the id of an order's first report, which says that the order is queued.
            event_id=derived_id("print-reported", order, what),
            at=body.completed_at,
            repeat=repeat,
        )

    async def _announce(self, body: RequestCompleted, document: DocumentRef, repeat: bool) -> None:
        await self._publisher.publish(
            topics.DOCUMENTS_PRINTED,
            DocumentStored(request_id=body.request_id, document=document, at=body.completed_at),
            event_id=derived_id("document-stored", document.document_id),
            at=body.completed_at,
            repeat=repeat,
        )

    async def _ordered(self, body: PrintOrdered, *, attempt: int, doubtful: bool) -> None:
        printable = await self._printables.find(body.request_id) or await self._expired_printable(
            body
        )
        if printable is None:
            if attempt >= _COMPLETION_ATTEMPTS:
                raise Poison("no completed request with documents is known by that id")
            raise Retry("its request's completion has not been read yet", after=_COMPLETION_PAUSE)
        await self._spool_order(
            new_order(
                order_id=body.order_id,
                request_id=body.request_id,
                document=_chosen(printable, body.document_id),
                kiosk_id=body.kiosk_id,
                branch_id=printable.branch_id,
                copy_number=body.copy_number,
                ordered_at=body.at,
                spooled_at=datetime.now(UTC),
                traceparent=current_traceparent(),
            ),
            doubtful=doubtful,
        )

    async def _expired_printable(self, body: PrintOrdered) -> Printable | None:
        """Return what to print of a request whose entry in `printables` has expired; None if
        unknown.

        Its branch is that of the ordering kiosk: intake shows its documents at no other branch.
        """
        if body.document_id is None or body.branch_id is None:
            return None
        ref = await self._documents.ref(body.request_id, body.document_id)
        if ref is None:
            return None
        return Printable(request_id=body.request_id, branch_id=body.branch_id, documents=[ref])

    async def _spool_order(self, order: SpooledOrder, *, doubtful: bool) -> None:
        """Spool an order.

        With `doubtful` the sheet may have been printed and the guard lost with the store: the order
        becomes a question to the lobby manager.
        """
        if not KIOSK_ID.fullmatch(order.kiosk_id):
            raise Poison("no kiosk can have that id")
        if doubtful:
            order = maybe_printed(order, self._clock.now())
        faultpoints.reached("printing.before_spool")
        fresh = await self._spool.insert(order)
        faultpoints.reached("printing.after_spool")
        if fresh:
            self._outbox.offer(order)
            self._spooler.call(order.kiosk_id)


def _chosen(printable: Printable, document_id: str | None) -> DocumentRef:
    candidates = [
        document for document in printable.documents if document_id in (None, document.document_id)
    ]
    if len(candidates) != 1:
        raise Poison(f"{len(candidates)} documents of the request are meant, not one")
    return candidates[0]
