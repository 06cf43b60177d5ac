"""Rebuild print orders and documents after the store was restored from a back-up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tongban_common import topics
from tongban_common.domain.ids import derived_id
from tongban_common.events.cloudevents import REPEAT, REPLAY_OF
from tongban_common.events.models import PrintOrdered, PrintReported, RequestCompleted
from tongban_common.restoring import Restoration, bodies_of
from tongban_common.store import store_errors
from tongban_common.store.recovery import RESTORED
from tongban_common.store.updates import update_unordered
from tongban_kafka import Record
from tongban_printing.domain.orders import MAY_BE_PRINTED, WORKED_ON, SpooledOrder, asked, order_id
from tongban_printing.spool.store import Spool

ORDERS, DOCUMENTS = "print_orders", "documents"


class PrintingRestorer:
    """Brings orders to the state that was last reported, and asks about those that may be on paper.

    What the back-up lacks and no report tells of is handled again: completions whose document or
    order is missing, and print orders. The handler then asks a person instead of printing. A file
    that came from a province cannot be made again: it is counted.
    """

    group = topics.PRINTING_GROUP

    async def restore(self, restoration: Restoration) -> dict[str, int]:
        """Rebuild orders and documents, and return counts by kind; idempotent.

        Raises:
            StoreUnavailableError, KafkaUnavailableError: the caller starts again.
        """
        applied = await self._orders(restoration)
        questions = await self._questions(restoration)
        made_again, lost = await self._documents(restoration)
        ordered_again = await self._unreported(restoration)
        return {
            "reports applied": applied,
            "questions": questions,
            "orders handled again": ordered_again,
            "documents made again": made_again,
            "files of provinces lost": lost,
        }

    async def _orders(self, restoration: Restoration) -> int:
        """Apply every report that is newer than its order. Reports of one order are in one
        partition, in order."""
        applied = 0
        collection = restoration.store.collection(ORDERS)
        with restoration.progress("print orders") as report:
            async for reported in bodies_of(
                restoration, topics.DOCUMENTS_PRINTED, PrintReported, on_progress=report
            ):
                reports = [order_of(body) for _, body in reported if body.document is not None]
                if reports:
                    applied += (await update_unordered(collection, reports)).written
        return applied

    async def _questions(self, restoration: Restoration) -> int:
        """Make a question of every order without an end: its sheet may have been printed since."""
        spool = Spool(restoration.store)
        count = 0
        with store_errors():
            async for found in restoration.store.collection(ORDERS).find({"worked_on": True}):
                order = SpooledOrder.model_validate(found)
                question = asked(order, restoration.now, MAY_BE_PRINTED, job_over=False)
                count += await spool.ask(order, question)
        return count

    async def _documents(self, restoration: Restoration) -> tuple[int, int]:
        """Publish completions again whose documents are missing.

        Return the number of these, and of documents that cannot be made again.
        """
        again = lost = 0
        with restoration.progress("documents") as report:
            async for completions in bodies_of(
                restoration, topics.REQUESTS_COMPLETED, RequestCompleted, on_progress=report
            ):
                counts = await self._make_again(restoration, completions)
                again, lost = again + counts[0], lost + counts[1]
        return again, lost

    async def _make_again(
        self, restoration: Restoration, completions: list[tuple[Record, RequestCompleted]]
    ) -> tuple[int, int]:
        documents = await self._kept(
            restoration, DOCUMENTS, [name for _, body in completions for name in document_ids(body)]
        )
        orders = await self._kept(
            restoration, ORDERS, [name for _, body in completions for name in order_ids(body)]
        )
        again = lost = 0
        for record, body in completions:
            missing = [name for name in document_ids(body) if name not in documents]
            if body.documents:
                lost += len(missing)
                missing = []
            if missing or any(name not in orders for name in order_ids(body)):
                await self._send_again(restoration, record)
            again += len(missing)
        return again, lost

    async def _unreported(self, restoration: Restoration) -> int:
        """Have printing handle again each print order that neither the back-up nor a report has:
        it was taken in after the back-up, and the store was lost before its first report."""
        again = 0
        with restoration.progress("orders") as report:
            async for ordered in bodies_of(
                restoration, topics.PRINT_ORDERS, PrintOrdered, on_progress=report
            ):
                kept = await self._kept(restoration, ORDERS, [body.order_id for _, body in ordered])
                for record, body in ordered:
                    if body.order_id not in kept:
                        await self._send_again(restoration, record)
                        again += 1
        return again

    async def _kept(self, restoration: Restoration, name: str, ids: list[str]) -> set[str]:
        collection = restoration.store.collection(name)
        with store_errors():
            return {
                str(found["_id"])
                async for found in collection.find({"_id": {"$in": ids}}, {"_id": 1})
            }

    async def _send_again(self, restoration: Restoration, record: Record) -> None:
        headers = [header for header in record.headers if header[0] != REPEAT]
        headers += [(REPEAT, b"true"), (REPLAY_OF, RESTORED)]
        await restoration.send(topics.replay(self.group), record.key, record.value, headers)


def document_ids(body: RequestCompleted) -> list[str]:
    """Return the ids of a request's documents in the store."""
    if body.documents:
        return [document.document_id for document in body.documents]
    return [derived_id("document", body.request_id, 0)] if body.item.template else []


def order_ids(body: RequestCompleted) -> list[str]:
    """Return the ids of the print orders that follow from a request itself."""
    if not body.print:
        return []
    return [order_id(body.request_id, document, 1) for document in document_ids(body)]


def order_of(report: PrintReported) -> dict[str, Any]:
    """Make the upsert that brings an order to this report, unless it has a newer one."""
    document = report.document
    assert document is not None  # noqa: S101 - reports without one are about no order
    update: dict[str, Any] = {
        "$set": {
            "status": report.status.value,
            "reason": report.reason,
            "seq": report.seq,
            "worked_on": report.status in WORKED_ON,
            "document": document.model_dump(),
        },
        "$setOnInsert": {
            "request_id": report.request_id,
            "kiosk_id": report.kiosk_id,
            "branch_id": report.branch_id,
            "copy_number": report.copy_number,
            "ordered_at": report.at,
            "spooled_at": datetime.now(UTC),
            "epoch": 0,
            "outbox": [],
        },
        "$inc": {"rev": 1},
    }
    if report.status.final:
        update["$currentDate"] = {"over_at": True}
    return {
        "q": {"_id": report.order_id, "seq": {"$lt": report.seq}},
        "u": update,
        "upsert": True,
    }
