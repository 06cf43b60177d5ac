"""Define `tongban demo`: run a day at the branch, show it live and report on it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tongban_common.catalogue.provinces import find_directory, load_provinces
from tongban_common.clock import BusinessClock
from tongban_common.observability import configure_logging
from tongban_common.process import Stopping, on_stop
from tongban_devstack.demo.charts import write_charts
from tongban_devstack.demo.day_runner import Day, DayRunner
from tongban_devstack.demo.facts import FactCounts, differences, export_facts
from tongban_devstack.demo.plan import FaultSchedule, PlannedVisit, visits
from tongban_devstack.demo.report import Account, account, keep
from tongban_devstack.demo.view import View
from tongban_devstack.kiosks import Place
from tongban_devstack.quantiles import in_words
from tongban_devstack.stack import Stack, StackOptions
from tongban_devstack.start_failures import exit_on_start_failure
from tongban_ops.catalogue.loader import Sources

console = Console()
SPEED = 120.0
"""Business seconds per real second: what takes a province 40 minutes takes 20 s here."""
LINE_SECONDS = 10.0
"""Real seconds between two lines of counts where the output is no terminal."""


def demo(
    once: Annotated[bool, typer.Option("--once", help="end after the report")] = False,
    requests: Annotated[int, typer.Option(min=10)] = 620,
    seconds: Annotated[float, typer.Option(min=1, help="duration of the submissions")] = 40.0,
    out: Annotated[Path, typer.Option()] = Path("out/demo"),
) -> None:
    """Run a day at the branch, with kills; exit code 0 only if nothing was lost or done twice."""
    configure_logging("demo", instance="demo", level="ERROR")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # kills are part of the day
    with exit_on_start_failure():
        raise typer.Exit(asyncio.run(_demo(once, requests, seconds, out)))


async def _demo(once: bool, requests: int, seconds: float, out: Path) -> int:
    data = out / "data"
    shutil.rmtree(out, ignore_errors=True)  # start anew
    console.print("Starting Kafka, the store, the simulated outside and the services ...")
    started = time.monotonic()
    clock = BusinessClock.parse(f"2026-03-02T09:00:00+08:00@{SPEED}")
    options = StackOptions(data=data.absolute(), profile="demo", clock=clock)
    async with Stack(options) as stack:
        console.print(f"All is up after {time.monotonic() - started:.0f} s.")
        day = Day(_plan(requests))
        await stack.enrol({Place(visit.kiosk_id, visit.branch_id) for visit in day.visits})
        began = time.monotonic()
        runner = DayRunner(stack, day, seconds=seconds, schedule=FaultSchedule())
        view = View(stack, day, clock, load_provinces())
        await _watch(asyncio.create_task(runner.run()), view)
        result = await account(
            stack,
            day,
            seconds=time.monotonic() - began,
            speed=SPEED,
            memory_mb=view.memory.peak_mb,
        )
        await keep(stack, result, out)
        _print_result(result, out)
        facts = await export_facts(stack.cluster, clock, out / "facts")
        wrong_facts = differences(facts, result.report)
        _print_facts(facts, wrong_facts, out / "facts")
        await write_charts(out / "facts", out / "report.html")
        console.print(f"Charts of the facts: {out / 'report.html'}")
        if not once:
            token = await stack.token("k-310115-001", "b-310115-01")
            console.print(f"Kiosk page: {stack.intake}/kiosk/login?token={token}")
            console.print("Ctrl-C ends it all.")
            await _interrupted()
        return 0 if result.clean and not wrong_facts else 1


async def _watch(playing: asyncio.Task[None], view: View) -> None:
    """Show the day until it is over: live on a terminal, else one line every ten seconds."""
    if not console.is_terminal:
        while not playing.done():
            await asyncio.wait({playing}, timeout=LINE_SECONDS)
            console.print(view.line(), soft_wrap=True)
        return await playing
    with Live(view.show(), console=console, refresh_per_second=4) as live:
        while not playing.done():
            await asyncio.wait({playing}, timeout=0.25)
            live.update(view.show())
    return await playing


def _plan(requests: int) -> list[PlannedVisit]:
    sources = Sources(find_directory())
    return visits(
        sources.items(),
        sources.published_cases(),
        count=requests,
        kiosk_count=20,
        day="2026-03-02",
    )


async def _interrupted() -> None:
    stopping = Stopping()
    on_stop(stopping.set)
    await stopping.wait()


def _print_facts(facts: FactCounts, wrong: list[str], where: Path) -> None:
    console.print(
        f"Facts for analysts: {facts.requests} requests, {facts.withheld} withheld: {where}"
    )
    for line in wrong:
        console.print(f"[red]{line}[/red]")


def _print_result(result: Account, out: Path) -> None:
    table = Table("counted at the outside", "")
    for name, value in result.report.items():
        table.add_row(name, in_words(value))
    console.print(table)
    cases = Table("reported by name", "ended", "kiosk")
    for title, (ended, kiosk_id) in result.cases.items():
        cases.add_row(title, ended, kiosk_id)
    console.print(cases)
    for what, requests in result.wrong.items():
        if requests:
            console.print(f"[red]{what}[/red]: {len(requests)}: {', '.join(requests[:10])}")
    verdict = "Nothing was lost, nothing was done twice." if result.clean else "NOT CLEAN."
    console.print(f"{verdict} {out / 'report.json'}")
