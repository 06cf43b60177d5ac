"""Publish the reports that are stored in orders: at least once, always with the same id."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog

from tongban_common import faultpoints, topics
from tongban_common.events.publisher import EventPublisher
from tongban_common.observability import request_context
from tongban_common.tracing import continuing, parse
from tongban_kafka import KafkaUnavailableError, is_process_trouble
from tongban_printing import metrics
from tongban_printing.domain.orders import SpooledOrder
from tongban_printing.spool.store import Spool

log = structlog.get_logger()

_LOOK_SECONDS = 2.0
_OVERDUE = timedelta(seconds=2)
"""Wall clock; the process that wrote a younger report is about to publish it."""
_BATCH = 200
_FAULT_PAUSE = 60.0
"""Seconds until the next attempt at a report that raised a fault of this program."""


class Outbox:
    """Publishes the reports of this process, and overdue reports of processes that died."""

    def __init__(self, spool: Spool, publisher: EventPublisher) -> None:
        self._spool = spool
        self._publisher = publisher
        self._written: dict[str, SpooledOrder] = {}
        self._faulty: dict[str, float] = {}
        """`time.monotonic()` of the next attempt for each order whose report raised a fault."""
        self._wake = asyncio.Event()
        self._stopping = False

    def offer(self, order: SpooledOrder) -> None:
        """Queue an order with new reports. If the queue is full, the next scan publishes them."""
        if len(self._written) < _BATCH:
            self._written[order.order_id] = order
        self._wake.set()

    def stop(self) -> None:
        """Let `run` publish what was offered, and return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Publish reports until `stop`."""
        next_look = time.monotonic()
        while not self._stopping or self._written:
            try:
                if time.monotonic() >= next_look and not self._stopping:
                    await self._send_overdue()
                    next_look = time.monotonic() + _LOOK_SECONDS
                await self._woken(next_look)
                written, self._written = self._written, {}
                await self._send_all(list(written.values()), repeat=False)
            except Exception as error:
                if not _is_for_now(error):
                    raise
                log.warning("reports_wait", error=str(error))
                self._written.clear()  # the next scan finds them
                if not self._stopping:
                    await asyncio.sleep(_LOOK_SECONDS / 4)

    async def _woken(self, next_look: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, next_look - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return
        if not self._stopping:
            self._wake.clear()

    async def _send_overdue(self) -> None:
        now = time.monotonic()
        self._faulty = {name: until for name, until in self._faulty.items() if until > now}
        while overdue := await self._spool.unsent(
            older_than=_OVERDUE, limit=_BATCH, skip=self._faulty
        ):
            await self._send_all(overdue, repeat=True)

    async def _send_all(self, orders: list[SpooledOrder], *, repeat: bool) -> None:
        results = await asyncio.gather(
            *(self._send(order, repeat=repeat) for order in orders), return_exceptions=True
        )
        for order, error in zip(orders, results, strict=True):
            if isinstance(error, Exception) and not _is_for_now(error):
                # A fault about one report must not delay all others.
                self._faulty[order.order_id] = time.monotonic() + _FAULT_PAUSE
                metrics.FAULTS.inc()
                log.error("report_failed", order_id=order.order_id, exc_info=error)
        for error in results:
            if isinstance(error, BaseException) and (
                not isinstance(error, Exception) or _is_for_now(error)
            ):
                raise error

    async def _send(self, order: SpooledOrder, *, repeat: bool) -> None:
        for unsent in order.outbox:
            with request_context(order.request_id), continuing(parse(order.traceparent)):
                faultpoints.reached("printing.before_report")
                await self._publisher.publish(
                    topics.DOCUMENTS_PRINTED,
                    unsent.report,
                    event_id=unsent.event_id,
                    at=unsent.report.at,
                    repeat=repeat,
                )
                faultpoints.reached("printing.after_report")
        if order.outbox:
            await self._spool.sent(order.order_id, order.outbox[-1].report.seq)
            faultpoints.reached("printing.after_report_removed")


def _is_for_now(error: Exception) -> bool:
    """Return True if a later attempt may succeed: Kafka or the store is down, or the process itself
    is in trouble."""
    return isinstance(error, KafkaUnavailableError) or is_process_trouble(error)
