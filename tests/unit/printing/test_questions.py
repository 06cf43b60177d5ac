"""What a lobby manager's "not printed" makes of the printer's job."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.unit.printing.kit import World, fresh_world, work_off
from tongban_common.clock import CHINA
from tongban_common.domain.status import PrintStatus
from tongban_printing.domain.orders import (
    PrinterJob,
    SpooledOrder,
    asked,
    confirmed_not_printed,
    confirmed_printed,
    unanswered,
)
from tongban_printing.printer.jobs import Finding


def denied(state: Finding | None, *, job_over: bool = False, age: timedelta = timedelta()) -> World:
    """A person has said that nothing of job 1 is on paper; the printer has it in that state, or
    does not know it (None)."""
    world = fresh_world(age=age)
    job = world.create(world.order.job_name)
    if state is None:
        world.jobs.clear()
    else:
        world.jobs[job.job_id].state = state
    order = world.order.model_copy(update={"job": job})
    now = datetime.now(CHINA)
    order = _changed(order, asked(order, now, "?", job_over=job_over).fields)
    world.order = _changed(order, confirmed_not_printed(order, now, "m-1").fields)
    return world


def _changed(order: SpooledOrder, fields: dict[str, object]) -> SpooledOrder:
    return SpooledOrder.model_validate({**order.model_dump(), **fields})


def test_job_the_printer_does_not_know_is_replaced_after_a_person_s_word() -> None:
    world = denied(None)
    work_off_and_print(world)
    assert (world.order.status, world.sheets, world.made) == (PrintStatus.PRINTED, 1, 2)


@pytest.mark.parametrize("state", [Finding.WITHOUT_DOCUMENT, Finding.UNDER_WAY])
def test_job_that_is_still_open_is_cancelled_before_another_is_made(state: Finding) -> None:
    world = denied(state)
    work_off_and_print(world)
    assert world.jobs[1].state is Finding.NOTHING_PRINTED
    assert (world.order.status, world.sheets, world.made) == (PrintStatus.PRINTED, 1, 2)


def test_job_that_the_printer_has_printed_meanwhile_is_not_printed_again() -> None:
    world = denied(Finding.PRINTED)
    work_off_and_print(world)
    assert (world.order.status, world.made) == (PrintStatus.PRINTED, 1)


def test_job_that_had_ended_before_the_question_is_replaced() -> None:
    world = denied(Finding.PARTLY_PRINTED, job_over=True)
    work_off_and_print(world)
    assert (world.order.status, world.sheets, world.made) == (PrintStatus.PRINTED, 1, 2)


def test_job_that_ended_halfway_after_the_person_looked_is_a_new_question() -> None:
    world = denied(Finding.PARTLY_PRINTED)
    before = world.order.seq
    work_off_and_print(world)
    assert (world.order.status, world.made) == (PrintStatus.NEEDS_CONFIRMATION, 1)
    assert world.order.seq > before
    assert not world.order.denied


def test_job_that_cannot_be_cancelled_is_a_new_question() -> None:
    class Endless(World):
        def cancel(self, _: int) -> None:
            self.cancelled += 1

    denied_world = denied(Finding.STOPPED)
    world = Endless(denied_world.order, jobs=denied_world.jobs, made=1)
    work_off(world)
    assert (world.order.status, world.made) == (PrintStatus.NEEDS_CONFIRMATION, 1)
    assert world.cancelled == 20


def test_order_that_is_asked_for_again_is_not_too_old_to_be_printed() -> None:
    world = denied(None, age=timedelta(days=9))
    work_off_and_print(world)
    assert (world.order.status, world.sheets) == (PrintStatus.PRINTED, 1)


def test_denial_goes_with_its_job() -> None:
    """A printer that counts from 1 again gives the next job the number of the one that was lost."""
    world = denied(None)
    world.made = 0
    work_off_and_print(world)
    assert (world.order.status, world.sheets, world.made) == (PrintStatus.PRINTED, 1, 1)


def test_every_answer_is_the_next_report_of_its_order() -> None:
    now = datetime.now(CHINA)
    order = fresh_world().order
    question = asked(order, now, "?", job_over=False)
    assert question.report is not None
    order = _changed(order, {**question.fields, "job": PrinterJob(printer="p", job_id=1)})
    for change, status in (
        (confirmed_printed(order, now, "m-1"), PrintStatus.PRINTED),
        (confirmed_not_printed(order, now, "m-1"), PrintStatus.QUEUED),
        (unanswered(order, now, timedelta(days=7)), PrintStatus.EXPIRED),
    ):
        assert change.report is not None
        assert (change.report.status, change.report.seq) == (status, question.report.seq + 1)
        assert change.report.reason


def work_off_and_print(world: World) -> None:
    work_off(world, printing=True)


def test_completed_job_whose_document_is_doubtful_is_a_question() -> None:
    """A run that did not send the document cannot know that a bare "completed" means paper."""
    world = fresh_world()
    job = world.create(world.order.job_name)
    world.order = world.order.model_copy(update={"job": job})
    world.jobs[job.job_id].state = Finding.ENDED
    work_off(world)
    assert (world.order.status, world.made) == (PrintStatus.NEEDS_CONFIRMATION, 1)


def test_completed_job_whose_document_this_run_has_sent_is_printed() -> None:
    class Curt(World):
        def take_document(self, job_id: int) -> None:
            super().take_document(job_id)
            self.jobs[job_id].state = Finding.ENDED

    world = Curt(fresh_world().order)
    work_off(world)
    assert world.order.status is PrintStatus.PRINTED


def test_flapping_printer_makes_a_bounded_number_of_reports() -> None:
    class Flapping(World):
        looks = 0

        @property
        def trouble(self) -> str:
            self.looks += 1
            if self.looks > 500:
                for each in self.jobs.values():
                    each.state = Finding.PRINTED
            return ("卡纸", "纸张用尽")[self.looks % 2]

    world = Flapping(fresh_world().order)
    job = world.create(world.order.job_name)
    world.order = world.order.model_copy(update={"job": job})
    world.jobs[job.job_id].state = Finding.STOPPED
    work_off(world)
    assert world.order.status is PrintStatus.PRINTED
    assert world.order.seq <= 45
