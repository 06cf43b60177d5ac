"""One order, any number of processes, any order of events: never two sheet sets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.wire_kit import Turn, Wire, advance
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentRef
from tongban_common.store import DocumentStore, StoredDocument, StoreUnavailable
from tongban_printing import printrun
from tongban_printing.jobs import UNKNOWN_JOB, Finding, JobView
from tongban_printing.orders import Change, Order, PrinterJob, new_order
from tongban_printing.outbox import Outbox
from tongban_printing.printer import OpenJob, Printer, PrinterTrouble, Refused
from tongban_printing.printrun import Means, PrintRun
from tongban_printing.spool import Overtaken, Spool
from tongban_printing.stopping import Stopping

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

    order: Order
    jobs: dict[int, Job] = field(default_factory=dict)
    made: int = 0
    sheets: int = 0
    epoch: int = 0
    cancelled: int = 0
    slept: float = 0
    look_refused: bool = False
    wire: Wire = field(default_factory=Wire)

    # --- what arrives

    def create(self, name: str) -> PrinterJob:
        self.made += 1
        self.jobs[self.made] = Job(name)
        return PrinterJob(printer="p", job_id=self.made)

    def take_document(self, job_id: int) -> None:
        job = self._job(job_id)
        if job.state is not Finding.WITHOUT_DOCUMENT:
            raise Refused(NOT_POSSIBLE)
        job.state = Finding.UNDER_WAY

    def cancel(self, job_id: int) -> None:
        job = self._job(job_id)
        if job.state not in (Finding.WITHOUT_DOCUMENT, Finding.UNDER_WAY):
            raise Refused(NOT_POSSIBLE)
        job.state = Finding.NOTHING_PRINTED

    def _job(self, job_id: int) -> Job:
        if job_id not in self.jobs:
            raise Refused(NOT_FOUND)
        return self.jobs[job_id]

    def print(self) -> None:
        for job in self.jobs.values():
            if job.state is Finding.UNDER_WAY:
                job.state = Finding.PRINTED
                self.sheets += 1

    def write(self, order: Order, change: Change, epoch: int) -> Order:
        if order.rev != self.order.rev or epoch < self.epoch:
            raise Overtaken(order.order_id)
        self.epoch = epoch
        fields = {**self.order.model_dump(), **change.fields, "rev": order.rev + 1}
        self.order = Order.model_validate(fields)
        return self.order


class ModelPrinter:
    """Has the methods of Printer that a run uses."""

    def __init__(self, world: World) -> None:
        self._world = world

    def _ask(self, effect: Callable[[], Any]) -> Awaitable[Any]:
        return self._world.wire.send(effect, PrinterTrouble("打印机离线"))

    async def create_job(self, name: str) -> PrinterJob:
        return cast(PrinterJob, await self._ask(lambda: self._world.create(name)))

    async def send_document(self, job: PrinterJob, _: bytes) -> None:
        await self._ask(lambda: self._world.take_document(job.job_id))

    async def cancel(self, job: PrinterJob) -> None:
        await self._ask(lambda: self._world.cancel(job.job_id))

    async def look_at(self, job: PrinterJob, _: str) -> JobView:
        def look() -> JobView:
            if self._world.look_refused:
                raise Refused(NOT_AUTHORIZED)
            found = self._world.jobs.get(job.job_id)
            return UNKNOWN_JOB if found is None else JobView(found.state)

        return cast(JobView, await self._ask(look))

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

    async def read(self) -> Order:
        order: Order = await self._world.wire.send(
            lambda: self._world.order, StoreUnavailable("down")
        )
        return order

    async def save(self, order: Order, change: Change, *, epoch: int) -> Order:
        write = self._world.wire.send(
            lambda: self._world.write(order, change, epoch), StoreUnavailable("down")
        )
        return cast(Order, await write)

    async def get(self, *_: str) -> StoredDocument:
        return StoredDocument(REF, b"%PDF")

    def offer(self, _: Order) -> None:
        pass

    async def sleep(self, seconds: float) -> None:
        self._world.slept += seconds
        await Turn()


def means_of(world: World) -> tuple[ModelStore, Means]:
    model = ModelStore(world)
    means = Means(
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
        except (StoreUnavailable, Overtaken):
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


ACTIONS = ["arrive"] * 6 + ["advance"] * 8 + ["print"]
FAULTS = ["answer lost", "lost", "give up", "kill", "start", "start"]


def play(data: st.DataObject, *, may_forget: bool) -> World:
    """Up to eighty things happen, in an order that is drawn; then all is well and comes to rest."""
    world = fresh_world()
    living = [process(world, 1)]
    try:
        started = disturb(data, world, living, FAULTS + ["forget"] * 3 * may_forget)
    finally:
        for each in living:
            each.close()
    last = process(world, started + 1)
    try:
        come_to_rest(data, world, last)
    finally:
        last.close()
    return world


def disturb(
    data: st.DataObject, world: World, living: list[Coroutine[Any, Any, None]], faults: list[str]
) -> int:
    """Returns how many processes were started."""
    started = 1
    for kind in data.draw(st.lists(st.sampled_from(ACTIONS + faults), min_size=20, max_size=80)):
        pending = world.wire.pending
        parcel = data.draw(st.sampled_from(pending)) if pending else None
        match kind:
            case "arrive" | "answer lost" if parcel:
                parcel.arrive(answered=kind == "arrive")
            case "lost" if parcel:
                world.wire.lose(parcel)
            case "give up" if parcel and not parcel.settled:
                parcel.give_up()
            case "kill" if len(living) > 1:
                living.pop(0).close()
            case "start" if len(living) < 3:
                started += 1
                living.append(process(world, started))
            case "advance" if living:
                chosen = data.draw(st.sampled_from(range(len(living))))
                if not advance(living[chosen]):
                    del living[chosen]
            case "print":
                world.print()
            case "forget":
                world.jobs.clear()
        assert world.sheets <= 1
    return started


def come_to_rest(data: st.DataObject, world: World, last: Coroutine[Any, Any, None]) -> None:
    """All others are dead, what they sent may still arrive, and one process has all the time."""
    late = world.wire.pending
    turns = 0
    while advance(last):
        turns += 1
        assert turns < 2000, f"no end: {world.order}"
        if late and data.draw(st.booleans(), label="late"):
            late.pop().arrive(answered=False)
        for parcel in world.wire.pending:
            if parcel not in late:
                parcel.arrive(answered=True)
        world.print()
        assert world.sheets <= 1
    for parcel in late:
        parcel.arrive(answered=False)
    world.print()
    assert world.sheets <= 1


def search(examples: int) -> Callable[[Any], Any]:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


def one_sheet_set(data: st.DataObject) -> None:
    world = play(data, may_forget=False)
    assert world.sheets == 1
    assert world.order.status is PrintStatus.PRINTED


def one_or_a_question(data: st.DataObject) -> None:
    world = play(data, may_forget=True)
    if world.order.status is PrintStatus.PRINTED:
        assert world.sheets == 1
    else:
        assert world.order.status is PrintStatus.NEEDS_CONFIRMATION


@search(400)
@given(st.data())
def test_exactly_one_sheet_set_comes_out(data: st.DataObject) -> None:
    one_sheet_set(data)


@search(400)
@given(st.data())
def test_with_a_printer_that_forgets_it_is_one_or_a_question(data: st.DataObject) -> None:
    one_or_a_question(data)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("holds", [one_sheet_set, one_or_a_question])
def test_a_long_search_finds_nothing_either(holds: Callable[[st.DataObject], None]) -> None:
    search(10_000)(given(st.data())(holds))()


def test_nothing_gets_in_the_way_most_days() -> None:
    world = fresh_world()
    only = process(world, 1)
    while advance(only):
        for parcel in world.wire.pending:
            parcel.arrive(answered=True)
        world.print()
    assert (world.sheets, world.made) == (1, 1)
    assert world.order.status is PrintStatus.PRINTED


def test_a_printer_that_never_comes_back_is_a_question_in_the_end() -> None:
    """Its job may be on paper, so it cannot expire; and the orders behind it must get on."""
    world = fresh_world(age=timedelta(days=8))
    job = PrinterJob(printer="p", job_id=1)
    world.order = world.order.model_copy(update={"job": job})
    work_off(world, printer_answers=False)
    assert world.order.status is PrintStatus.NEEDS_CONFIRMATION
    assert world.order.job == job


@pytest.mark.parametrize(
    "state", [Finding.WITHOUT_DOCUMENT, Finding.UNDER_WAY, Finding.STOPPED, None]
)
def test_a_job_that_never_ends_is_a_question_in_the_end(state: Finding | None) -> None:
    """Held at the printer, or still stopped after its cancelling; None: nothing is said of it."""

    class Endless(World):
        def cancel(self, job_id: int) -> None:
            assert job_id in self.jobs
            self.cancelled += 1

    world = Endless(fresh_world(age=timedelta(days=8)).order)
    job = world.create("j")
    world.order = world.order.model_copy(update={"job": job})
    if state is not None:
        world.jobs[job.job_id].state = state
    else:
        world.look_refused = True
    work_off(world)
    assert world.order.status is PrintStatus.NEEDS_CONFIRMATION
    assert (world.order.job, world.made) == (job, 1)
    assert world.cancelled <= 20


def test_a_job_nobody_waits_for_is_ended_and_its_order_expires() -> None:
    world = fresh_world(age=timedelta(days=8))
    job = world.create("j")
    world.jobs[job.job_id].state = Finding.UNDER_WAY
    world.order = world.order.model_copy(update={"job": job})
    work_off(world)
    assert world.order.status is PrintStatus.EXPIRED
    assert world.jobs[job.job_id].state is Finding.NOTHING_PRINTED


@pytest.mark.parametrize("trouble", ["refuses the document", "aborts the job", "forgets the job"])
def test_what_a_printer_cannot_print_does_not_keep_it_busy_for_ever(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printrun, "_JOBS_AT_MOST", 12)

    class Unable(World):
        def take_document(self, job_id: int) -> None:
            if trouble == "refuses the document":
                raise Refused(FORMAT_NOT_SUPPORTED)
            if trouble == "forgets the job":
                del self.jobs[job_id]
            super().take_document(job_id)
            self.jobs[job_id].state = Finding.NOTHING_PRINTED

    world = Unable(fresh_world().order)
    work_off(world)
    assert world.order.status is PrintStatus.CANCELLED
    assert (world.sheets, world.made) == (0, 12)
    assert world.slept > 5


def work_off(world: World, *, printer_answers: bool = True) -> None:
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
            assert turns < 1000, f"no end: {world.order}"
            for parcel in world.wire.pending:
                if isinstance(parcel.trouble, PrinterTrouble) and not printer_answers:
                    world.wire.lose(parcel)
                else:
                    parcel.arrive(answered=True)
    finally:
        working.close()
