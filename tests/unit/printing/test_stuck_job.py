"""A printer that reports a job as being printed while it cannot go on with it."""

from __future__ import annotations

from typing import cast

import pytest

from tests.unit.printing.kit import ModelPrinter, World, fresh_world, means_of
from tests.unit.wire_kit import advance
from tongban_common.domain.status import PrintStatus
from tongban_printing.printer.client import Printer
from tongban_printing.printer.jobs import trouble_while_printing
from tongban_printing.printrun import PrintRun

OUT_OF_PAPER = "纸张用尽"


def follow(world: World, *, mended_after: float, printed_after: float) -> list[str | None]:
    """Work an order off, and return its reasons in the order in which they were reported. The
    seconds are those that the run waited."""
    _, means = means_of(world)
    printer = cast(Printer, ModelPrinter(world))
    run = PrintRun(means, printer, world.order, epoch=1, may_have_orphan=False)
    reasons: list[str | None] = []

    async def steps() -> None:
        while run.order.worked_on:
            await run.step()

    working = steps()
    while advance(working):
        for parcel in world.wire.pending:
            parcel.arrive(answered=True)
        if not reasons or reasons[-1] != world.order.reason:
            reasons.append(world.order.reason)
        if world.slept > mended_after:
            world.stuck = None
        if world.slept > printed_after:
            world.print()
        assert world.slept < 1000, "no end"
    return reasons


@pytest.mark.parametrize("stuck", ["media-empty", "media-empty-warning"])
def test_job_stuck_without_paper_waits_for_printer_and_is_printed_once(stuck: str) -> None:
    world = fresh_world()
    world.stuck = stuck
    assert follow(world, mended_after=40, printed_after=60) == [None, OUT_OF_PAPER, None]
    assert world.order.status is PrintStatus.PRINTED
    assert (world.made, world.sheets) == (1, 1)


def test_warning_of_printer_counts_only_after_long_standstill() -> None:
    world = fresh_world()
    world.stuck = "media-empty-warning"
    assert follow(world, mended_after=15, printed_after=60) == [None]


def test_printer_that_prints_slowly_is_asked_now_and_then() -> None:
    world = fresh_world()
    assert follow(world, mended_after=0, printed_after=60) == [None]
    assert world.order.status is PrintStatus.PRINTED
    assert 5 <= world.asked_if_stuck <= 15


@pytest.mark.parametrize(
    ("reasons", "trouble", "with_warnings"),
    [
        ("none", None, None),
        (None, None, None),
        ("media-low-warning", None, None),
        ("media-empty-report", None, None),
        ("media-empty-warning", None, OUT_OF_PAPER),
        ("media-empty", OUT_OF_PAPER, OUT_OF_PAPER),
        (["toner-low-report", "media-jam-error"], "卡纸", "卡纸"),
    ],
)
def test_reasons_of_printer_that_prints_are_trouble_by_severity(
    reasons: object, trouble: str | None, with_warnings: str | None
) -> None:
    assert trouble_while_printing(reasons, warnings=False) == trouble
    assert trouble_while_printing(reasons, warnings=True) == with_warnings
