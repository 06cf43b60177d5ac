"""Apply the lobby manager's answers to questions about orders, and expire unanswered questions."""

from __future__ import annotations

import structlog

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintConfirmed
from tongban_common.observability import request_context
from tongban_kafka import Poison, is_process_trouble
from tongban_printing import metrics
from tongban_printing.domain.orders import (
    MAY_BE_PRINTED,
    OrderChange,
    SpooledOrder,
    asked,
    confirmed_not_printed,
    confirmed_printed,
    unanswered,
)
from tongban_printing.printrun import PrintDependencies
from tongban_printing.spool.outbox import Outbox
from tongban_printing.spool.store import Spool

log = structlog.get_logger()

_AT_ONCE = 100


class Questions:
    """Ends questions by an answer or by expiry.

    Idempotent: the first write to a question ends it, and the report is part of that write.
    """

    def __init__(self, dependencies: PrintDependencies) -> None:
        self._spool: Spool = dependencies.spool
        self._outbox: Outbox = dependencies.outbox
        self._clock: BusinessClock = dependencies.clock
        self._patience = dependencies.limit

    async def answer(self, body: PrintConfirmed, *, doubtful: bool = False) -> SpooledOrder | None:
        """Apply a person's answer; return the order if the spooler has to work on it now.

        Args:
            doubtful: the answer is older than a restoration of the store, so it may have been
                applied and the sheet printed since. After "not printed" the question is asked
                again.

        An answer that is repeated, or whose question was answered, replaced or expired, changes
        nothing.

        Raises:
            Poison: no order of that request has this id.
            StoreUnavailableError: a later attempt may succeed.
        """
        order = await self._spool.find(body.order_id)
        if order is None or order.request_id != body.request_id:
            raise Poison("no print order of that request is known by that id")
        if order.status is not PrintStatus.NEEDS_CONFIRMATION or order.seq != body.seq:
            log.info("answer_came_late", order_id=order.order_id, status=order.status)
            return None
        # Not the answer's own time, which is another host's.
        now = self._clock.now()
        if doubtful and not body.printed:
            await self._write(order, asked(order, now, MAY_BE_PRINTED, job_over=False))
            return None
        make = confirmed_printed if body.printed else confirmed_not_printed
        changed = await self._write(order, make(order, now, body.by))
        return changed if changed is not None and changed.worked_on else None

    async def give_up(self) -> None:
        """Expire the questions that were not answered in time.

        Raises:
            StoreUnavailableError: the next call continues.
        """
        now = self._clock.now()
        for order in await self._spool.unanswered(now, self._patience, limit=_AT_ONCE):
            with request_context(order.request_id):
                try:
                    await self._write(order, unanswered(order, now, self._patience))
                except Exception as error:
                    if is_process_trouble(error):
                        raise
                    # A fault about one order must not keep other questions open.
                    metrics.FAULTS.inc()
                    log.error("question_failed", order_id=order.order_id, exc_info=True)

    async def _write(self, order: SpooledOrder, change: OrderChange) -> SpooledOrder | None:
        faultpoints.reached("printing.before_answer")
        changed = await self._spool.answer(order, change)
        faultpoints.reached("printing.after_answer")
        if changed is None:
            return None
        self._outbox.offer(changed)
        metrics.REPORTED.labels(changed.status).inc()
        log.info("question_ended", order_id=changed.order_id, status=changed.status)
        return changed
