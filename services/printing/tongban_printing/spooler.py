"""Print the orders of the spool, kiosk by kiosk and independently of Kafka.

A printer that is out of paper for hours blocks only its own orders: neither those of another kiosk
nor any record in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import structlog

from tongban_common.domain.status import PrintStatus
from tongban_common.observability import request_context
from tongban_common.store import StoreUnavailableError
from tongban_common.tracing import continuing, parse
from tongban_kafka import is_process_trouble
from tongban_printing import metrics
from tongban_printing.domain.orders import WORKED_ON
from tongban_printing.printer.client import Printer
from tongban_printing.printer.jobs import TROUBLE_CODES, code_of
from tongban_printing.printrun import KEY_MISSING, PrintDependencies, PrintRun
from tongban_printing.questions import Questions
from tongban_printing.spool.leases import KioskLeases
from tongban_printing.spool.store import Backlog, OrderOvertakenError, UnreadableOrderError

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
"""Seconds between scans of the spool, which find the orders that other replicas have spooled."""
_STUCK_SECONDS = 60.0
_FAULT_PAUSE = 2.0
_FAULTS_AT_MOST = 5
"""Faults of this program about one order before it is put aside and the orders behind it go on. The
count ends with the process, so a new version makes five attempts again."""


class Spooler:
    """Runs one task for each kiosk that has orders and whose lease is available."""

    def __init__(
        self,
        dependencies: PrintDependencies,
        leases: KioskLeases,
        questions: Questions,
        printer_of: Callable[[str], Printer],
    ) -> None:
        self._dependencies = dependencies
        self._leases = leases
        self._questions = questions
        self._printer_of = printer_of
        self._at_work: set[str] = set()
        self._called: set[str] = set()
        self._tidy: dict[str, int] = {}
        """The epoch under which a kiosk's last order ended normally, so that no job without an
        order can be left at its printer."""
        self._faults: Counter[str] = Counter()
        """Number of faults, by order."""
        self._skipped: set[str] = set()
        """Orders that could not even be put aside; they wait for another version."""
        self._wake = asyncio.Event()
        self._looked_at = time.monotonic()
        self._store_trouble: str | None = None

    def call(self, kiosk_id: str) -> None:
        """Work on a new order of this kiosk at once instead of after the next scan."""
        self._called.add(kiosk_id)
        self._wake.set()

    def stop(self) -> None:
        """Let `run` finish the present steps and return."""
        self._dependencies.stopping.set()
        self._wake.set()

    def liveness(self) -> str | None:
        """Return why the spooler is stuck; None if it is live (a check of HealthServer)."""
        age = time.monotonic() - self._looked_at
        return f"no look at the spool for {age:.0f} s" if age > _STUCK_SECONDS else None

    def readiness(self) -> str | None:
        """Return the store's last error; None if it answers (a check of HealthServer)."""
        return self._store_trouble

    async def run(self) -> None:
        """Print until `stop`, then release the leases."""
        async with asyncio.TaskGroup() as tasks:
            next_look = time.monotonic()
            while not self._dependencies.stopping.is_set:
                if time.monotonic() >= next_look:
                    self._called |= await self._look()
                    next_look = time.monotonic() + _LOOK_SECONDS
                starting = self._called - self._at_work
                self._called -= starting  # kiosks at work are started again when they end
                self._at_work |= starting
                for kiosk_id in starting:
                    tasks.create_task(self._serve(kiosk_id))
                await self._woken(next_look)
        try:
            await self._leases.release_all()
        except StoreUnavailableError:
            log.info("leases_run_out_by_themselves")

    async def _look(self) -> set[str]:
        self._looked_at = time.monotonic()
        try:
            backlog = await self._dependencies.spool.backlog()
            await self._give_up_questions()
        except StoreUnavailableError as error:
            self._store_trouble = str(error)
            return set()
        self._store_trouble = None
        for status in WORKED_ON:
            metrics.SPOOLED.labels(status).set(backlog.by_status[status])
        _show_waiting(backlog)
        return set(backlog.by_kiosk)

    async def _give_up_questions(self) -> None:
        try:
            await self._questions.give_up()
        except StoreUnavailableError:
            raise
        except Exception as error:
            # A fault about one order must not stop the printing of all others.
            metrics.FAULTS.inc()
            log.error("questions_failed", error=type(error).__name__, exc_info=True)

    async def _woken(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return
        if not self._dependencies.stopping.is_set:
            self._wake.clear()

    async def _serve(self, kiosk_id: str) -> None:
        try:
            await self._work_off(kiosk_id)
        except StoreUnavailableError as error:
            log.warning("kiosk_waits_for_store", kiosk_id=kiosk_id, error=str(error))
        except OrderOvertakenError:
            # Another replica has the kiosk, or a write of ours arrived after we had given up on it.
            self._leases.forget(kiosk_id)
        except Exception as error:
            # A fault at one kiosk must not stop the printing of all others.
            metrics.FAULTS.inc()
            report = log.critical if is_process_trouble(error) else log.error
            report("kiosk_failed", kiosk_id=kiosk_id, error=type(error).__name__, exc_info=True)
            await self._dependencies.stopping.sleep(_FAULT_PAUSE)
        finally:
            self._at_work.discard(kiosk_id)
            if kiosk_id in self._called:
                self._wake.set()

    async def _work_off(self, kiosk_id: str) -> None:
        epoch = await self._leases.hold(kiosk_id)
        if epoch is None:
            return
        printer = self._printer_of(kiosk_id)
        while not self._dependencies.stopping.is_set:
            try:
                order = await self._dependencies.spool.next_for(kiosk_id, skip=self._skipped)
            except UnreadableOrderError as error:
                self._skip(error.order_id)
                continue
            if order is None:
                return
            tidy = self._tidy.pop(kiosk_id, None) == epoch
            run = PrintRun(
                self._dependencies, printer, order, epoch=epoch, may_have_orphan=not tidy
            )
            with request_context(order.request_id), continuing(parse(order.traceparent)):
                while run.order.worked_on:
                    lost = await self._leases.hold(kiosk_id) != epoch
                    if lost or self._dependencies.stopping.is_set:
                        return
                    try:
                        await run.step()
                    except Exception as error:
                        if not _is_about_the_order(error):
                            raise
                        await self._failed(run, error)
                        break
                else:
                    self._faults.pop(order.order_id, None)
                    self._tidy[kiosk_id] = epoch

    async def _failed(self, run: PrintRun, error: Exception) -> None:
        """Count a fault of this program about an order, and put the order aside after the last.

        Raises:
            OrderOvertakenError, StoreUnavailableError: the order is not put aside yet; the
                caller reads it again.
        """
        order_id = run.order.order_id
        self._faults[order_id] += 1
        metrics.FAULTS.inc()
        log.error(
            "order_failed",
            order_id=order_id,
            kiosk_id=run.order.kiosk_id,
            tries=self._faults[order_id],
            error=type(error).__name__,
            exc_info=error,
        )
        if self._faults[order_id] < _FAULTS_AT_MOST:
            await self._dependencies.stopping.sleep(_FAULT_PAUSE)
            return
        try:
            await run.put_aside()
        except Exception as again:
            if not _is_about_the_order(again):
                raise
            self._skip(order_id)
        else:
            del self._faults[order_id]

    def _skip(self, order_id: str) -> None:
        metrics.FAULTS.inc()
        log.critical("order_skipped", order_id=order_id)
        self._skipped.add(order_id)


def _show_waiting(backlog: Backlog) -> None:
    """Set the gauge of waiting orders, also where nothing waits any more."""
    counts = Counter(
        {
            "queue": backlog.by_status[PrintStatus.QUEUED],
            "person": backlog.by_status[PrintStatus.NEEDS_CONFIRMATION],
            "key": 0,
        }
    )
    counts.update(dict.fromkeys(TROUBLE_CODES, 0))
    for reason, count in backlog.by_reason.items():
        counts["key" if reason == KEY_MISSING else code_of(reason)] += count
    for code, count in counts.items():
        metrics.WAITING.labels(code).set(count)


def _is_about_the_order(error: Exception) -> bool:
    """Return False for trouble of the process, and where another replica has written the order."""
    return not (isinstance(error, OrderOvertakenError) or is_process_trouble(error))
