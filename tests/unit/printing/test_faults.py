"""A fault of the program about one order: bounded tries, then the order is put aside."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tests.unit.printing.kit import REF
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.publisher import EventPublisher
from tongban_common.process import Stopping
from tongban_common.store import StoredDocument
from tongban_kafka import KafkaUnavailableError
from tongban_printing import spooler as spooling
from tongban_printing.domain.orders import OrderChange, PrinterJob, SpooledOrder, asked, new_order
from tongban_printing.printer.client import OpenJob, Printer
from tongban_printing.printer.jobs import Finding, JobView
from tongban_printing.printrun import PrintDependencies
from tongban_printing.questions import Questions
from tongban_printing.spool import outbox as sending
from tongban_printing.spool.leases import KioskLeases
from tongban_printing.spool.outbox import Outbox
from tongban_printing.spool.store import Backlog, OrderOvertakenError, Spool, UnreadableOrderError
from tongban_printing.spooler import Spooler

NOW = datetime.now(CHINA)


def order(name: str, *, minutes: int, job: bool = False) -> SpooledOrder:
    made = new_order(
        order_id=name, request_id=f"r-{name}", document=REF, kiosk_id="k", branch_id="b",
        copy_number=1, ordered_at=NOW + timedelta(minutes=minutes), spooled_at=datetime.now(UTC),
    )  # fmt: skip
    job_at_printer = PrinterJob(printer="p", job_id=1) if job else None
    return made.model_copy(update={"job": job_at_printer})


@dataclass
class Kiosk:
    """Spool, documents, leases, questions, outbox and printer of one kiosk, in memory."""

    orders: dict[str, SpooledOrder]
    fault: Exception
    poisoned: str = "bad"
    unreadable: str | None = None
    unwritable: bool = False
    tries: int = 0
    mended_after: int | None = None
    stopping: Stopping = field(default_factory=Stopping)

    def spooler(self) -> Spooler:
        me = cast(Any, self)
        means = PrintDependencies(
            spool=cast(Spool, self), documents=me, outbox=cast(Outbox, self),
            clock=BusinessClock.real(), limit=timedelta(days=7), stopping=self.stopping,
        )  # fmt: skip
        leases, questions = cast(KioskLeases, self), cast(Questions, self)
        return Spooler(means, leases, questions, lambda _: cast(Printer, self))

    async def works_until(self, *done: str) -> None:
        """Run a spooler until these orders are not worked on any more."""
        spooler = self.spooler()
        running = asyncio.create_task(spooler.run())
        async with asyncio.timeout(20):
            while any(self.orders[name].worked_on for name in done):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        spooler.stop()
        await running

    def _try(self, name: str) -> None:
        if name == self.poisoned:
            self.tries += 1
            if self.mended_after is None or self.tries <= self.mended_after:
                raise self.fault

    # --- the spool

    async def backlog(self) -> Backlog:
        to_do = sum(each.worked_on for each in self.orders.values())
        return Backlog(by_kiosk={"k": to_do} if to_do else {})

    async def next_for(self, _: str, *, skip: Collection[str] = ()) -> SpooledOrder | None:
        for each in sorted(self.orders.values(), key=lambda one: one.ordered_at):
            if each.worked_on and each.order_id not in skip:
                if each.order_id == self.unreadable:
                    raise UnreadableOrderError(each.order_id)
                return each
        return None

    async def save(self, one: SpooledOrder, change: OrderChange, *, epoch: int) -> SpooledOrder:
        current = self.orders[one.order_id]
        if current.rev != one.rev:
            raise OrderOvertakenError(one.order_id)
        if self.unwritable and one.order_id == self.poisoned:
            raise ValueError("the store cannot keep this")
        fields = {**current.model_dump(), **change.fields, "rev": one.rev + epoch}
        self.orders[one.order_id] = SpooledOrder.model_validate(fields)
        return self.orders[one.order_id]

    # --- leases, questions, outbox, documents

    async def hold(self, _: str) -> int:
        return 1

    async def release_all(self) -> None: ...

    async def give_up(self) -> None: ...

    def offer(self, _: SpooledOrder) -> None: ...

    async def get(self, request_id: str, _: str) -> StoredDocument:
        self._try(request_id.removeprefix("r-"))
        return StoredDocument(REF, b"%PDF")

    # --- the printer

    async def open_jobs(self) -> list[OpenJob]:
        return []

    async def create_job(self, _: str) -> PrinterJob:
        return PrinterJob(printer="p", job_id=7)

    async def send_document(self, *_: Any) -> None: ...

    async def look_at(self, _: PrinterJob, name: str) -> JobView:
        self._try(name.split("/", maxsplit=1)[0])
        return JobView(Finding.PRINTED)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No waiting after a fault, and no seconds spent on rendering its traceback."""
    monkeypatch.setattr(spooling, "_FAULT_PAUSE", 0.0)
    with capture_logs():
        yield


def kiosk(fault: Exception, *, job: bool = False, **more: Any) -> Kiosk:
    orders = [order("bad", minutes=0, job=job), order("good", minutes=1)]
    return Kiosk({each.order_id: each for each in orders}, fault, **more)


@pytest.mark.parametrize(
    ("job", "status"), [(False, PrintStatus.CANCELLED), (True, PrintStatus.NEEDS_CONFIRMATION)]
)
async def test_order_that_brings_about_faults_is_put_aside_and_the_next_is_printed(
    job: bool, status: PrintStatus
) -> None:
    place = kiosk(ZeroDivisionError(), job=job)
    await place.works_until("good")
    assert place.orders["good"].status is PrintStatus.PRINTED
    assert (place.orders["bad"].status, place.tries) == (status, 5)
    assert place.orders["bad"].reason


async def test_order_whose_fault_passes_is_printed() -> None:
    place = kiosk(ZeroDivisionError(), mended_after=4)
    await place.works_until("good")
    assert {each.status for each in place.orders.values()} == {PrintStatus.PRINTED}


@pytest.mark.parametrize("trouble", [MemoryError(), OSError(errno.EMFILE, "descriptors")])
async def test_trouble_of_the_process_is_waited_out_and_never_counted(trouble: Exception) -> None:
    place = kiosk(trouble, mended_after=12)
    with capture_logs() as logs:
        await asyncio.wait_for(_kicked(place), 20)
    assert {each.status for each in place.orders.values()} == {PrintStatus.PRINTED}
    assert {line["log_level"] for line in logs if line["event"] == "kiosk_failed"} == {"critical"}


async def _kicked(place: Kiosk) -> None:
    """Do as `works_until` does, without the second between two looks at the spool."""
    spooler = place.spooler()
    running = asyncio.create_task(spooler.run())
    while any(each.worked_on for each in place.orders.values()):
        spooler.call("k")
        await asyncio.sleep(0)
    spooler.stop()
    await running


async def test_order_that_cannot_even_be_put_aside_is_skipped_in_this_life_of_the_process() -> None:
    place = kiosk(ZeroDivisionError(), unwritable=True)
    await place.works_until("good")
    assert place.orders["good"].status is PrintStatus.PRINTED
    assert place.orders["bad"].worked_on


async def test_order_that_cannot_be_read_leaves_the_next_to_be_printed() -> None:
    place = kiosk(ZeroDivisionError(), unreadable="bad")
    await place.works_until("good")
    assert place.orders["good"].status is PrintStatus.PRINTED


class Reports:
    """A spool with two orders' reports, and a producer that cannot encode one of them."""

    def __init__(self, error: Exception) -> None:
        self.orders = {
            each.order_id: each for each in (order("bad", minutes=0), order("good", minutes=1))
        }
        self.error = error
        self.sent_to_kafka: list[str] = []

    async def unsent(self, *, older_than: timedelta, limit: int, skip: Collection[str]) -> Any:
        assert older_than and limit
        return [each for name, each in self.orders.items() if name not in skip]

    async def sent(self, order_id: str, _: int) -> None:
        del self.orders[order_id]

    async def send(self, _: str, *, key: bytes, value: bytes, headers: Any) -> None:
        assert value and headers
        if key == b"r-bad":
            raise self.error
        self.sent_to_kafka.append(key.decode())


@pytest.mark.parametrize("error", [ValueError(), KafkaUnavailableError(), MemoryError()])
async def test_report_that_cannot_be_sent_keeps_back_no_other_and_ends_no_process(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_LOOK_SECONDS", 0.01)
    reports = Reports(error)
    outbox = Outbox(cast(Spool, reports), EventPublisher(reports, "printing"))
    running = asyncio.create_task(outbox.run())
    async with asyncio.timeout(10):
        while "good" in reports.orders:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)
    outbox.stop()
    await running
    assert reports.sent_to_kafka == ["r-good"]


async def test_question_that_brings_about_a_fault_keeps_none_behind_it_open() -> None:
    class Unanswered:
        def __init__(self) -> None:
            change = asked(order("x", minutes=0), NOW, "?", job_over=False)
            self.orders = [
                SpooledOrder.model_validate(
                    {**order(name, minutes=0).model_dump(), **change.fields}
                )
                for name in ("bad", "good")
            ]
            self.expired: list[str] = []

        async def unanswered(self, *_: Any, limit: int) -> list[SpooledOrder]:
            return self.orders[:limit]

        async def answer(self, one: SpooledOrder, _: OrderChange) -> SpooledOrder:
            if one.order_id == "bad":
                raise ValueError("the store cannot keep this")
            self.expired.append(one.order_id)
            return one

        def offer(self, _: SpooledOrder) -> None: ...

    spool = cast(Any, Unanswered())
    means = PrintDependencies(
        spool, spool, spool, BusinessClock.real(), timedelta(days=7), Stopping()
    )
    await Questions(means).give_up()
    assert spool.expired == ["good"]
