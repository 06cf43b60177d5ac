"""A printer, a store and the wire to both, as a print run meets them; a test plays the world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.unit.wire_kit import Turn, Wire, advance
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef
from tongban_common.process import Stopping
from tongban_common.store import DocumentStore, StoredDocument, StoreUnavailableError
from tongban_printing.domain.orders import (
    OrderChange,
    PrinterJob,
    SpooledOrder,
    confirmed_not_printed,
    confirmed_printed,
    new_order,
)
from tongban_printing.printer.client import (
    OpenJob,
    Printer,
    PrinterRefusedError,
    PrinterTroubleError,
)
from tongban_printing.printer.jobs import (
    UNKNOWN_JOB,
    Finding,
    JobView,
    trouble_while_printing,
)
from tongban_printing.printrun import PrintDependencies, PrintRun
from tongban_printing.spool.outbox import Outbox
from tongban_printing.spool.store import OrderOvertakenError, Spool

REF = DocumentRef(document_id="d", title="证明", pages=3, sha256="0")
NOT_AUTHORIZED, NOT_POSSIBLE, NOT_FOUND = 0x0403, 0x0404, 0x0406
FORMAT_NOT_SUPPORTED = 0x040A


@dataclass
class Job:
    name: str
    state: Finding = Finding.WITHOUT_DOCUMENT


@dataclass
class World:
    """The printer, the store and the wire to both."""

    order: SpooledOrder
    jobs: dict[int, Job] = field(default_factory=dict)
    made: int = 0
    sheets: int = 0
    epoch: int = 0
    cancelled: int = 0
    slept: float = 0
    look_refused: bool = False
    stuck: str | None = None
    """printer-state-reasons of a printer that leaves its job under way."""
    asked_if_stuck: int = 0
    wire: Wire = field(default_factory=Wire)

    @property
    def trouble(self) -> str:
        """Why the printer has stopped."""
        return "卡纸"

    # --- what arrives

    def create(self, name: str) -> PrinterJob:
        self.made += 1
        self.jobs[self.made] = Job(name)
        return PrinterJob(printer="p", job_id=self.made)

    def take_document(self, job_id: int) -> None:
        job = self._job(job_id)
        if job.state is not Finding.WITHOUT_DOCUMENT:
            raise PrinterRefusedError(NOT_POSSIBLE)
        job.state = Finding.UNDER_WAY

    def cancel(self, job_id: int) -> None:
        job = self._job(job_id)
        if job.state not in (Finding.WITHOUT_DOCUMENT, Finding.UNDER_WAY):
            raise PrinterRefusedError(NOT_POSSIBLE)
        job.state = Finding.NOTHING_PRINTED

    def _job(self, job_id: int) -> Job:
        if job_id not in self.jobs:
            raise PrinterRefusedError(NOT_FOUND)
        return self.jobs[job_id]

    def print(self) -> None:
        for job in self.jobs.values():
            if job.state is Finding.UNDER_WAY:
                job.state = Finding.PRINTED
                self.sheets += 1

    def tear(self) -> None:
        """The paper tears in the first sheet that is under way: nothing whole of it comes out."""
        for job in self.jobs.values():
            if job.state is Finding.UNDER_WAY:
                job.state = Finding.PARTLY_PRINTED
                return

    def answer(self) -> None:
        """A person who has looked answers the open question, if there is one."""
        if self.order.status is PrintStatus.NEEDS_CONFIRMATION:
            make = confirmed_printed if self.sheets else confirmed_not_printed
            change = make(self.order, datetime.now(CHINA), "m-1")
            self._apply(change)

    def write(self, order: SpooledOrder, change: OrderChange, epoch: int) -> SpooledOrder:
        if order.rev != self.order.rev or epoch < self.epoch:
            raise OrderOvertakenError(order.order_id)
        self.epoch = epoch
        return self._apply(change)

    def _apply(self, change: OrderChange) -> SpooledOrder:
        fields = {**self.order.model_dump(), **change.fields, "rev": self.order.rev + 1}
        self.order = SpooledOrder.model_validate(fields)
        return self.order


class ModelPrinter:
    """Has the methods of Printer that a run uses."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _ask(self, effect: Callable[[], Any]) -> Awaitable[Any]:
        return self._world.wire.send(effect, PrinterTroubleError("打印机离线"))

    async def create_job(self, name: str) -> PrinterJob:
        return cast(PrinterJob, await self._ask(lambda: self._world.create(name)))

    async def send_document(self, job: PrinterJob, _: bytes) -> None:
        await self._ask(lambda: self._world.take_document(job.job_id))

    async def cancel(self, job: PrinterJob) -> None:
        await self._ask(lambda: self._world.cancel(job.job_id))

    async def look_at(self, job: PrinterJob, _: str) -> JobView:
        def look() -> JobView:
            if self._world.look_refused:
                raise PrinterRefusedError(NOT_AUTHORIZED)
            found = self._world.jobs.get(job.job_id)
            return UNKNOWN_JOB if found is None else JobView(found.state)

        return cast(JobView, await self._ask(look))

    async def why_stopped(self) -> str:
        return cast(str, await self._ask(lambda: self._world.trouble))

    async def trouble_while_printing(self, *, warnings: bool) -> str | None:
        def stuck() -> str | None:
            self._world.asked_if_stuck += 1
            return trouble_while_printing(self._world.stuck, warnings=warnings)

        return cast(str | None, await self._ask(stuck))

    async def open_jobs(self) -> list[OpenJob]:
        return cast(
            list[OpenJob],
            await self._ask(
                lambda: [
                    OpenJob(PrinterJob(printer="p", job_id=number), job.name, JobView(job.state))
                    for number, job in self._world.jobs.items()
                    if job.state in (Finding.WITHOUT_DOCUMENT, Finding.UNDER_WAY)
                ]
            ),
        )


class ModelStore:
    """Has the methods of Spool, DocumentStore, Outbox and Stopping that a run uses."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def read(self) -> SpooledOrder:
        order: SpooledOrder = await self._world.wire.send(
            lambda: self._world.order, StoreUnavailableError("down")
        )
        return order

    async def save(self, order: SpooledOrder, change: OrderChange, *, epoch: int) -> SpooledOrder:
        write = self._world.wire.send(
            lambda: self._world.write(order, change, epoch), StoreUnavailableError("down")
        )
        return cast(SpooledOrder, await write)

    async def get(self, *_: str) -> StoredDocument:
        return StoredDocument(REF, b"%PDF")

    def offer(self, _: SpooledOrder) -> None:
        pass

    async def sleep(self, seconds: float) -> None:
        self._world.slept += seconds
        await Turn()


def means_of(world: World) -> tuple[ModelStore, PrintDependencies]:
    model = ModelStore(world)
    means = PrintDependencies(
        spool=cast(Spool, model),
        documents=cast(DocumentStore, model),
        outbox=cast(Outbox, model),
        clock=BusinessClock.real(),
        limit=timedelta(days=7),
        stopping=cast(Stopping, model),
    )
    return model, means


async def process(world: World, epoch: int) -> None:
    """What a process does with one order, as `Spooler` does it."""
    model, means = means_of(world)
    printer = cast(Printer, ModelPrinter(world))
    while True:
        try:
            order = await model.read()
            run = PrintRun(means, printer, order, epoch=epoch, may_have_orphan=True)
            while run.order.worked_on:
                await run.step()
        except (StoreUnavailableError, OrderOvertakenError):
            continue
        return


def fresh_world(*, age: timedelta = timedelta()) -> World:
    now = datetime.now(CHINA) - age
    return World(
        new_order(
            order_id="o",
            request_id="r",
            document=REF,
            kiosk_id="k",
            branch_id="b",
            copy_number=1,
            ordered_at=now,
            spooled_at=datetime.now(UTC),
        )
    )


def work_off(world: World, *, printer_answers: bool = True, printing: bool = False) -> None:
    """One process, the order as it stands, and nothing lost but what a silent printer is asked."""
    _, means = means_of(world)
    run = PrintRun(
        means, cast(Printer, ModelPrinter(world)), world.order, epoch=1, may_have_orphan=False
    )

    async def steps() -> None:
        while run.order.worked_on:
            await run.step()

    working = steps()
    turns = 0
    try:
        while advance(working):
            turns += 1
            assert turns < 5000, f"no end: {world.order}"
            for parcel in world.wire.pending:
                if isinstance(parcel.trouble, PrinterTroubleError) and not printer_answers:
                    world.wire.lose(parcel)
                else:
                    parcel.arrive(answered=True)
            if printing and world.made and world.order.job == _newest(world):
                world.print()
    finally:
        working.close()


def _newest(world: World) -> PrinterJob | None:
    """The job that was made last, once the order's denied one is out of the way."""
    return None if world.order.denied else PrinterJob(printer="p", job_id=world.made)
