"""Works off the spool, kiosk by kiosk and independent of Kafka: a printer that is out of paper for
hours holds its own orders, and neither those of another kiosk nor a place among records in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import structlog

from tongban_common.observability import request_context
from tongban_common.store import StoreUnavailable
from tongban_common.trouble import is_process_trouble
from tongban_printing import metrics
from tongban_printing.leases import KioskLeases
from tongban_printing.printer import Printer
from tongban_printing.printrun import Means, PrintRun
from tongban_printing.questions import Questions
from tongban_printing.spool import Overtaken, UnreadableOrderError

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
"""Between looks at the whole spool: for orders of a replica that died, and from other replicas."""
_STUCK_SECONDS = 60.0
_FAULT_PAUSE = 2.0
_FAULTS_AT_MOST = 5
"""Faults of this program about one order in one life of the process, before the order is put aside
and those behind it go on. A new life, and so a new version, tries five times again."""


class Spooler:
    """One task for each kiosk that has orders and whose lease is to be had."""

    def __init__(
        self,
        means: Means,
        leases: KioskLeases,
        questions: Questions,
        printer_of: Callable[[str], Printer],
    ) -> None:
        self._means = means
        self._leases = leases
        self._questions = questions
        self._printer_of = printer_of
        self._at_work: set[str] = set()
        self._called: set[str] = set()
        self._tidy: dict[str, int] = {}
        """The epoch under which a kiosk's last order ended as it should, so that no job without an
        order can have been left at its printer."""
        self._faults: Counter[str] = Counter()
        """Faults so far, by order."""
        self._skipped: set[str] = set()
        """Orders that cannot even be put aside; they wait for another version."""
        self._wake = asyncio.Event()
        self._looked_at = time.monotonic()
        self._store_trouble: str | None = None

    def call(self, kiosk_id: str) -> None:
        """There is a new order for this kiosk: look now and not at the next look."""
        self._called.add(kiosk_id)
        self._wake.set()

    def stop(self) -> None:
        """Ask `run` to finish the steps at hand and return."""
        self._means.stopping.set()
        self._wake.set()

    def liveness(self) -> str | None:
        """The shape of a HealthServer check."""
        age = time.monotonic() - self._looked_at
        return f"no look at the spool for {age:.0f} s" if age > _STUCK_SECONDS else None

    def readiness(self) -> str | None:
        """The shape of a HealthServer check."""
        return self._store_trouble

    async def run(self) -> None:
        """Work until `stop`; gives the leases back."""
        async with asyncio.TaskGroup() as tasks:
            next_look = time.monotonic()
            while not self._means.stopping.is_set:
                if time.monotonic() >= next_look:
                    self._called |= await self._look()
                    next_look = time.monotonic() + _LOOK_SECONDS
                starting = self._called - self._at_work
                self._called -= starting  # those at work are looked at again when they end
                self._at_work |= starting
                for kiosk_id in starting:
                    tasks.create_task(self._serve(kiosk_id))
                await self._woken(next_look)
        try:
            await self._leases.release_all()
        except StoreUnavailable:
            log.info("leases_run_out_by_themselves")

    async def _look(self) -> set[str]:
        self._looked_at = time.monotonic()
        try:
            backlog = await self._means.spool.backlog()
            await self._give_up_questions()
        except StoreUnavailable as error:
            self._store_trouble = str(error)
            return set()
        self._store_trouble = None
        metrics.show_backlog(backlog)
        return set(backlog)

    async def _give_up_questions(self) -> None:
        try:
            await self._questions.give_up()
        except StoreUnavailable:
            raise
        except Exception as error:
            # What is wrong with one order must not end the printing of all others.
            metrics.FAULTS.inc()
            log.error("questions_failed", error=type(error).__name__, exc_info=True)

    async def _woken(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return
        if not self._means.stopping.is_set:
            self._wake.clear()

    async def _serve(self, kiosk_id: str) -> None:
        try:
            await self._work_off(kiosk_id)
        except StoreUnavailable as error:
            log.warning("kiosk_waits_for_store", kiosk_id=kiosk_id, error=str(error))
        except Overtaken:
            # Another replica has the kiosk, or a write of ours arrived after we gave it up.
            self._leases.forget(kiosk_id)
        except Exception as error:
            # One kiosk must not take the printing of all others down with it.
            metrics.FAULTS.inc()
            report = log.critical if is_process_trouble(error) else log.error
            report("kiosk_failed", kiosk_id=kiosk_id, error=type(error).__name__, exc_info=True)
            await self._means.stopping.sleep(_FAULT_PAUSE)
        finally:
            self._at_work.discard(kiosk_id)
            if kiosk_id in self._called:
                self._wake.set()

    async def _work_off(self, kiosk_id: str) -> None:
        epoch = await self._leases.hold(kiosk_id)
        if epoch is None:
            return
        printer = self._printer_of(kiosk_id)
        while not self._means.stopping.is_set:
            try:
                order = await self._means.spool.next_for(kiosk_id, skip=self._skipped)
            except UnreadableOrderError as error:
                self._skip(error.order_id)
                continue
            if order is None:
                return
            tidy = self._tidy.pop(kiosk_id, None) == epoch
            run = PrintRun(self._means, printer, order, epoch=epoch, may_have_orphan=not tidy)
            with request_context(order.request_id):
                while run.order.worked_on:
                    lost = await self._leases.hold(kiosk_id) != epoch
                    if lost or self._means.stopping.is_set:
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
            Overtaken, StoreUnavailable: it is read again, and not put aside yet.
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
            await self._means.stopping.sleep(_FAULT_PAUSE)
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


def _is_about_the_order(error: Exception) -> bool:
    """Return False for trouble of the process, and where another replica has written the order."""
    return not (isinstance(error, Overtaken) or is_process_trouble(error))
