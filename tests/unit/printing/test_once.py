"""One order, any number of processes, any order of events: never two sheet sets."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.printing.kit import FORMAT_NOT_SUPPORTED, World, fresh_world, process, work_off
from tests.unit.wire_kit import advance, search
from tongban_common.domain.status import PrintStatus
from tongban_printing import printrun
from tongban_printing.domain.orders import PrinterJob
from tongban_printing.printer.client import PrinterRefusedError
from tongban_printing.printer.jobs import Finding

ACTIONS = ["arrive"] * 6 + ["advance"] * 8 + ["print"]
FAULTS = ["answer lost", "lost", "give up", "kill", "start", "start"]


def play(data: st.DataObject, *, may_forget: bool, answered: bool = False) -> World:
    """Up to eighty things happen, in an order that is drawn; then all is well and comes to rest."""
    world = fresh_world()
    living = [process(world, 1)]
    try:
        faults = FAULTS + ["forget"] * 3 * may_forget + ["tear", "answer", "answer"] * answered
        started = disturb(data, world, living, faults)
    finally:
        for each in living:
            each.close()
    for epoch in range(started + 1, started + 10):
        last = process(world, epoch)
        try:
            come_to_rest(data, world, last)
        finally:
            last.close()
        if not answered or world.order.status.final:
            break
        world.answer()
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
            case "print" | "forget" | "tear" | "answer":
                happen(world, kind)
        assert world.sheets <= 1
    return started


def happen(world: World, what: str) -> None:
    """At the printer or in front of it."""
    acts = {
        "print": world.print,
        "forget": world.jobs.clear,
        "tear": world.tear,
        "answer": world.answer,
    }
    acts[what]()


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


def one_sheet_set_by_a_person_s_word(data: st.DataObject) -> None:
    world = play(data, may_forget=True, answered=True)
    assert world.sheets == 1
    assert world.order.status is PrintStatus.PRINTED


@search(400)
@given(st.data())
def test_truthful_answers_lead_to_exactly_one_sheet_set(data: st.DataObject) -> None:
    one_sheet_set_by_a_person_s_word(data)


@search(400)
@given(st.data())
def test_any_faults_lead_to_exactly_one_sheet_set(data: st.DataObject) -> None:
    one_sheet_set(data)


@search(400)
@given(st.data())
def test_printer_that_forgets_jobs_prints_one_sheet_set_or_leaves_a_question(
    data: st.DataObject,
) -> None:
    one_or_a_question(data)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "holds", [one_sheet_set, one_or_a_question, one_sheet_set_by_a_person_s_word]
)
def test_long_search_finds_no_second_sheet_set(holds: Callable[[st.DataObject], None]) -> None:
    search(400)(given(st.data())(holds))()


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


def test_abandoned_job_is_cancelled_and_its_order_expires() -> None:
    world = fresh_world(age=timedelta(days=8))
    job = world.create("j")
    world.jobs[job.job_id].state = Finding.UNDER_WAY
    world.order = world.order.model_copy(update={"job": job})
    work_off(world)
    assert world.order.status is PrintStatus.EXPIRED
    assert world.jobs[job.job_id].state is Finding.NOTHING_PRINTED


@pytest.mark.parametrize("trouble", ["refuses the document", "aborts the job", "forgets the job"])
def test_unprintable_document_does_not_occupy_the_printer_for_ever(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printrun, "_JOBS_AT_MOST", 12)

    class Unable(World):
        def take_document(self, job_id: int) -> None:
            if trouble == "refuses the document":
                raise PrinterRefusedError(FORMAT_NOT_SUPPORTED)
            if trouble == "forgets the job":
                del self.jobs[job_id]
            super().take_document(job_id)
            self.jobs[job_id].state = Finding.NOTHING_PRINTED

    world = Unable(fresh_world().order)
    work_off(world)
    assert world.order.status is PrintStatus.CANCELLED
    assert (world.sheets, world.made) == (0, 12)
    assert world.slept > 5
