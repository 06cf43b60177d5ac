"""Print orders after the store was restored from a back-up, which lacks the last writes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from tests.unit.printing.kit import Job, World, fresh_world, work_off
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintConfirmed
from tongban_common.process import Stopping
from tongban_printing.domain.orders import (
    MAY_BE_PRINTED,
    OrderChange,
    SpooledOrder,
    asked,
    confirmed_not_printed,
)
from tongban_printing.printer.jobs import Finding
from tongban_printing.printrun import PrintDependencies
from tongban_printing.questions import Questions

NOW = datetime.now(CHINA)


def changed(order: SpooledOrder, change: OrderChange) -> SpooledOrder:
    return SpooledOrder.model_validate({**order.model_dump(), **change.fields})


def restored(state: Finding, *, old_job: bool) -> World:
    """The printer, which is out of paper, has a job with the document that the restored order does
    not name; a person has seen no sheet and said so."""
    world = fresh_world()
    if old_job:
        job = world.create(world.order.job_name)
        world.jobs[job.job_id].state = Finding.NOTHING_PRINTED
        world.order = world.order.model_copy(update={"job": job})
    world.made += 1
    world.jobs[world.made] = Job(world.order.job_name, state)
    question = changed(world.order, asked(world.order, NOW, MAY_BE_PRINTED, job_over=False))
    world.order = changed(question, confirmed_not_printed(question, NOW, "m-1"))
    return world


@pytest.mark.parametrize("old_job", [False, True])
def test_open_job_that_the_restored_order_does_not_name_is_followed_and_not_doubled(
    old_job: bool,
) -> None:
    world = restored(Finding.UNDER_WAY, old_job=old_job)
    made = world.made
    work_off(world, printing=True)
    assert (world.order.status, world.sheets, world.made) == (PrintStatus.PRINTED, 1, made)


class Asked:
    """A spool with one question, and its outbox."""

    def __init__(self) -> None:
        order = fresh_world().order
        self.order = changed(order, asked(order, NOW, "?", job_over=True))

    async def find(self, _: str) -> SpooledOrder:
        return self.order

    async def answer(self, _: SpooledOrder, change: OrderChange) -> SpooledOrder:
        self.order = changed(self.order, change)
        return self.order

    def offer(self, _: SpooledOrder) -> None: ...


@pytest.mark.parametrize(
    ("printed", "status", "reports"),
    [(True, PrintStatus.PRINTED, 1), (False, PrintStatus.NEEDS_CONFIRMATION, 1)],
)
async def test_answer_of_before_a_restoration_prints_nothing(
    printed: bool, status: PrintStatus, reports: int
) -> None:
    """It may have been applied, and the sheet printed, after the back-up was made."""
    spool = Asked()
    me, before = cast(Any, spool), spool.order.seq
    questions = Questions(
        PrintDependencies(me, me, me, BusinessClock.real(), timedelta(days=7), Stopping())
    )
    answer = PrintConfirmed(
        request_id="r", order_id="o", seq=before, printed=printed, by="m-1", at=NOW
    )
    for _ in range(2):
        assert await questions.answer(answer, doubtful=True) is None
    assert (spool.order.status, spool.order.seq) == (status, before + reports)
