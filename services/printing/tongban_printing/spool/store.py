"""Read and write the collections `print_orders` and `printables`.

`print_orders` is the spool, and the guard that keeps printing from printing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef
from tongban_common.store import NOW, STAMP, DuplicateKey, Store, expire, store_errors
from tongban_common.store.bulk_writer import BulkWriter
from tongban_common.topics import GUARDS_KEPT
from tongban_printing.domain.orders import WORKED_ON, OrderChange, SpooledOrder, Unsent
from tongban_printing.errors import PrintingError

log = structlog.get_logger()

_OPEN = "worked_on"


_TO_DO = {_OPEN: True, "kiosk_id": {"$gte": ""}}
"""Matches every order to work on. MongoDB uses the index `to_do` only if its first field occurs."""
_ASKED = {"status": PrintStatus.NEEDS_CONFIRMATION.value}


@dataclass(slots=True)
class Backlog:
    """Counts the orders that are not over."""

    by_kiosk: dict[str, int] = field(default_factory=dict)
    """Orders to work on."""
    by_status: Counter[PrintStatus] = field(default_factory=Counter)
    """All orders, those that wait for a person's answer among them."""
    by_reason: Counter[str] = field(default_factory=Counter)
    """Orders that wait for their printer, by the reason that the person at the kiosk reads."""

    def add(self, group: Mapping[str, Any], count: int) -> None:
        """Count orders of one kiosk, status and reason."""
        status = PrintStatus(group["status"])
        self.by_status[status] += count
        if status in WORKED_ON:
            kiosk_id = group["kiosk_id"]
            self.by_kiosk[kiosk_id] = self.by_kiosk.get(kiosk_id, 0) + count
        if status is PrintStatus.WAITING_FOR_PRINTER:
            self.by_reason[str(group.get("reason"))] += count


class OrderOvertakenError(PrintingError):
    """Raised when another process has written the order since it was read: do not act on it."""


class UnreadableOrderError(PrintingError):
    """Raised when this version cannot read a record of the spool."""

    def __init__(self, order_id: str) -> None:
        super().__init__(order_id)
        self.order_id = order_id


class Spool:
    """Reads and writes orders. Every method may raise StoreUnavailableError."""

    def __init__(self, store: Store) -> None:
        self._orders = store.collection("print_orders")
        self._writer = BulkWriter(self._orders)

    async def prepare(self) -> None:
        """Make the indexes; idempotent."""
        with store_errors():
            await self._orders.create_index(
                [("kiosk_id", 1), ("ordered_at", 1)],
                name="to_do",
                partialFilterExpression={_OPEN: True},
            )
            await self._orders.create_index("outbox.since", name="unsent", sparse=True)
            await self._orders.create_index(
                [("status", 1), ("question.asked_at", 1)],
                name="questions",
                partialFilterExpression={"status": PrintStatus.NEEDS_CONFIRMATION.value},
            )
        await expire(self._orders, "over_at", name="over", after=GUARDS_KEPT, sparse=True)

    async def insert(self, order: SpooledOrder) -> bool:
        """Insert an order; return False if an order with its id exists."""
        try:
            await self._writer.insert(_record(order))
        except DuplicateKey:
            return False
        return True

    async def find(self, order_id: str) -> SpooledOrder | None:
        """Return an order; None if there is none with this id."""
        with store_errors():
            record = await self._orders.find_one({"_id": order_id})
        return None if record is None else SpooledOrder.model_validate(record)

    async def next_for(self, kiosk_id: str, *, skip: Collection[str] = ()) -> SpooledOrder | None:
        """Return the oldest order of a kiosk on which the spooler works and that is not in `skip`.

        Raises:
            UnreadableOrderError: this version cannot read that order.
        """
        wanted: dict[str, Any] = {"kiosk_id": kiosk_id, _OPEN: True}
        if skip:
            wanted["_id"] = {"$nin": list(skip)}
        with store_errors():
            record = await self._orders.find_one(wanted, sort=[("ordered_at", 1), ("_id", 1)])
        if record is None:
            return None
        try:
            return SpooledOrder.model_validate(record)
        except ValidationError:
            raise UnreadableOrderError(str(record["_id"])) from None

    async def backlog(self) -> Backlog:
        """Return what is to be printed and what waits, in one query."""
        stages: list[dict[str, Any]] = [
            {"$match": {"$or": [_TO_DO, _ASKED]}},
            {
                "$group": {
                    "_id": {"kiosk_id": "$kiosk_id", "status": "$status", "reason": "$reason"},
                    "count": {"$sum": 1},
                }
            },
        ]
        found = Backlog()
        with store_errors():
            async for group in self._orders.aggregate(stages):
                found.add(group["_id"], int(group["count"]))
        return found

    async def save(self, order: SpooledOrder, change: OrderChange, *, epoch: int) -> SpooledOrder:
        """Write a change of the order as it was read, under a kiosk's lease.

        Raises:
            OrderOvertakenError: the order was written meanwhile, or under a later lease.
        """
        update = _update(change)
        update["$set"]["epoch"] = epoch
        with store_errors():
            result = await self._orders.update_one(
                {"_id": order.order_id, "rev": order.rev, "epoch": {"$lte": epoch}}, update
            )
            record = None
            if result.matched_count:
                record = await self._orders.find_one({"_id": order.order_id})
        if record is None or record["rev"] != order.rev + 1:
            raise OrderOvertakenError(order.order_id)
        return SpooledOrder.model_validate(record)

    async def answer(self, question: SpooledOrder, change: OrderChange) -> SpooledOrder | None:
        """Write a change of an order that waits for a person, and return it.

        Return None and change nothing if the order no longer waits, or has a newer question. No
        lease is needed: the spooler does not touch an order that waits for a person, and of several
        answers to a question only the first matches.
        """
        asked = {
            "_id": question.order_id,
            "seq": question.seq,
            "status": PrintStatus.NEEDS_CONFIRMATION.value,
        }
        with store_errors():
            record = await self._orders.find_one_and_update(
                asked, _update(change), return_document=True
            )
        return None if record is None else SpooledOrder.model_validate(record)

    async def ask(self, order: SpooledOrder, change: OrderChange) -> bool:
        """Make a question of an order as it was read, while no spooler runs (`restorer`).

        Return False if the order was written meanwhile.
        """
        with store_errors():
            result = await self._orders.update_one(
                {"_id": order.order_id, "rev": order.rev}, _update(change)
            )
        return bool(result.matched_count)

    async def unanswered(
        self, now: datetime, patience: timedelta, *, limit: int
    ) -> list[SpooledOrder]:
        """Return orders that have waited for a person for longer than `patience` of business
        time."""
        waiting = {"status": PrintStatus.NEEDS_CONFIRMATION.value}
        # An older version recorded no questions: such an order has only its age, and its question
        # was asked within `patience` of its creation.
        too_old = [
            {"question.asked_at": {"$lt": now - patience}},
            {"question": None, "ordered_at": {"$lt": now - 2 * patience}},
        ]
        with store_errors():
            records = await self._orders.find({**waiting, "$or": too_old}, limit=limit).to_list(
                limit
            )
        return _readable(records)

    async def questions(self, *, kiosk_id: str | None = None, limit: int) -> list[SpooledOrder]:
        """Return orders that wait for a person, the oldest question first."""
        wanted: dict[str, Any] = {"status": PrintStatus.NEEDS_CONFIRMATION.value}
        if kiosk_id is not None:
            wanted["kiosk_id"] = kiosk_id
        with store_errors():
            records = await self._orders.find(
                wanted, sort=[("question.asked_at", 1)], limit=limit
            ).to_list(limit)
        return _readable(records)

    async def unsent(
        self, *, older_than: timedelta, limit: int, skip: Collection[str] = ()
    ) -> list[SpooledOrder]:
        """Return orders with overdue reports that are not in `skip`."""
        wanted: dict[str, Any] = {"outbox.since": {"$lt": datetime.now(UTC) - older_than}}
        if skip:
            wanted["_id"] = {"$nin": list(skip)}
        with store_errors():
            records = await self._orders.find(wanted, limit=limit).to_list(limit)
        return _readable(records)

    async def sent(self, order_id: str, seq: int) -> None:
        """Remove the order's reports up to `seq`, which Kafka has acknowledged."""
        with store_errors():
            await self._orders.update_one(
                {"_id": order_id}, {"$pull": {"outbox": {"report.seq": {"$lte": seq}}}}
            )


class Printable(BaseModel):
    """The documents of a completed request, for reprints: a record of the collection
    `printables`."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    request_id: str = Field(alias="_id")
    branch_id: str
    documents: list[DocumentRef]


class Printables:
    """Reads and writes the collection `printables`. Every method may raise StoreUnavailableError.

    This is no guard: the spool recognises an order by its id. A reprint of a request whose entry
    has expired names its document, which is in the store as long as it may be read.
    """

    def __init__(self, store: Store) -> None:
        self._printables = store.collection("printables")

    async def prepare(self) -> None:
        """Make the index; idempotent."""
        await expire(self._printables, "kept_at", name="kept", after=GUARDS_KEPT)

    async def remember(self, printable: Printable) -> None:
        """Store an entry; idempotent. It expires by the store's clock."""
        fields = printable.model_dump(exclude={"request_id"})
        record = {"_id": "$_id", "kept_at": NOW, **{k: {"$literal": v} for k, v in fields.items()}}
        first = {"$eq": [{"$type": "$kept_at"}, "missing"]}
        with store_errors():
            await self._printables.update_one(
                {"_id": printable.request_id},
                [{"$replaceWith": {"$cond": [first, record, "$$ROOT"]}}],
                upsert=True,
            )

    async def find(self, request_id: str) -> Printable | None:
        """Return a request's entry; None if its completion was not read yet, or the entry
        expired."""
        with store_errors():
            record = await self._printables.find_one({"_id": request_id})
        return None if record is None else Printable.model_validate(record)


def _readable(records: Iterable[dict[str, Any]]) -> list[SpooledOrder]:
    """Return the orders that this version can read, and log the others."""
    orders = []
    for record in records:
        try:
            orders.append(SpooledOrder.model_validate(record))
        except ValidationError:
            log.error("order_unreadable", order_id=str(record["_id"]))
    return orders


def _update(change: OrderChange) -> dict[str, Any]:
    """Return a change as an update of MongoDB."""
    fields = dict(change.fields)
    update: dict[str, Any] = {"$set": fields, "$inc": {"rev": 1}}
    if "status" in fields:
        status = PrintStatus(fields["status"])
        fields[_OPEN] = status in WORKED_ON
        if status.final:
            update[STAMP] = {"over_at": True}
    if change.report is not None:
        unsent = Unsent(report=change.report, since=datetime.now(UTC))
        update["$push"] = {"outbox": _unsent(unsent)}
    return update


def _unsent(unsent: Unsent) -> dict[str, Any]:
    # Store the report in its JSON form, so that every sending has the same bytes.
    return {"report": unsent.report.model_dump(mode="json"), "since": unsent.since}


def _record(order: SpooledOrder) -> dict[str, Any]:
    return {
        **order.model_dump(by_alias=True, exclude={"outbox"}),
        "status": order.status.value,
        "outbox": [_unsent(unsent) for unsent in order.outbox],
        _OPEN: order.worked_on,
        "epoch": 0,
    }
