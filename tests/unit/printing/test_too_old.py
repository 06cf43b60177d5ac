"""A completion that is older than guards live prints nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from tests.unit.notify.kit import NOW, Topic, completed, record
from tests.unit.restored_kit import NEVER_RESTORED
from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef, PrintReported
from tongban_common.events.publisher import EventPublisher
from tongban_printing.domain.orders import SpooledOrder
from tongban_printing.handler import PrintingHandler

REF = DocumentRef(document_id="d", title="证明", pages=1, sha256="0")


class Means:
    """Maker, printables, spool, spooler and outbox in one."""

    def __init__(self) -> None:
        self.orders: dict[str, SpooledOrder] = {}

    async def documents_of(self, _: Any, **__: Any) -> list[DocumentRef]:
        return [REF]

    async def remember(self, _: Any) -> None: ...

    async def find(self, order: str) -> SpooledOrder | None:
        return self.orders.get(order)

    async def insert(self, order: SpooledOrder) -> bool:
        fresh = order.order_id not in self.orders
        self.orders[order.order_id] = order
        return fresh

    def offer(self, _: SpooledOrder) -> None: ...

    def call(self, _: str) -> None: ...


@pytest.mark.parametrize(("days", "printed"), [(-1, True), (1, False)])
async def test_completion_older_than_guards_live_is_cancelled(days: int, printed: bool) -> None:
    means, topic = cast(Any, Means()), Topic()
    handler = PrintingHandler(
        maker=means, printables=means, documents=means, spool=means, spooler=means, outbox=means,
        publisher=EventPublisher(topic, "printing"), clock=BusinessClock.real(), questions=means,
        restored=NEVER_RESTORED,
    )  # fmt: skip
    at = NOW - topics.GUARDS_KEPT - timedelta(days=days)
    body = completed(at=at).model_copy(update={"documents": [REF]})
    await handler.handle(record(body, repeat=True))
    assert bool(means.orders) is printed
    reports = [event.body for event in topic.events if isinstance(event.body, PrintReported)]
    assert [report.status for report in reports] == ([] if printed else [PrintStatus.CANCELLED])
