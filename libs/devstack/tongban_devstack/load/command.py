"""Define `tongban load`: measure how the system handles a rate of requests."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tongban_common.catalogue import CatalogueError
from tongban_common.catalogue.models import Item
from tongban_common.observability import configure_logging
from tongban_common.settings import CommonSettings
from tongban_common.settings import load as load_settings
from tongban_devstack.load.kiosks import Load, LoadResult, Target
from tongban_devstack.quantiles import in_words
from tongban_devstack.stack import Stack, StackOptions
from tongban_devstack.start_failures import exit_on_start_failure
from tongban_kafka import KafkaCluster
from tongban_ops.catalogue.loader import load as load_catalogue
from tongban_ops.cli.output import progress_bars

KIOSK_ID, BRANCH_ID = "k-310115-001", "b-310115-01"


def load(  # noqa: PLR0917 - typer makes options of them
    rate: Annotated[float, typer.Option(min=0.1, max=5000, help="submissions per second")],
    seconds: Annotated[float, typer.Option(min=1, max=3600)],
    intake: Annotated[
        str | None, typer.Option(envvar="TONGBAN_INTAKE", help="a running intake's URL")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="TONGBAN_TOKEN", help="bearer token for that intake")
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(envvar="TONGBAN_KAFKA", help="broker of that system")
    ] = None,
    province: Annotated[
        list[str] | None, typer.Option(help="province code; repeatable, default all")
    ] = None,
    prints: Annotated[
        bool, typer.Option("--prints", help="submit only items that print, and print them")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Submit the catalogue's examples at a steady rate and report the latencies.

    With --intake, --token and --kafka (see the ready line of `tongban up`) it runs against a
    running system; with none of them on a stack of its own, which is removed afterwards.

    Exit codes: 0 everything accepted was finished, 1 something was not, 2 wrong options.
    """
    given = [each for each in (intake, token, kafka) if each]
    if given and len(given) < 3:
        raise typer.BadParameter("--intake, --token and --kafka go together")
    try:
        catalogue = load_catalogue()
    except (FileNotFoundError, CatalogueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    items = [
        item
        for item in catalogue
        if (not province or item.province in province) and (not prints or item.printable)
    ]
    if not items:
        raise typer.BadParameter("no item is offered there", param_hint="--province")
    configure_logging("load", instance="load", level="ERROR")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a starting broker is no error
    target = None
    if intake and token and kafka:
        target = Target(
            intake, token, KafkaCluster(kafka, load_settings(CommonSettings).cluster.security)
        )
    with exit_on_start_failure():
        result = asyncio.run(_load(target, items, rate, seconds, prints))
    _print_result(result, as_json=as_json)
    if result.unfinished or result.answers.keys() - {"202"}:
        raise typer.Exit(1)


async def _load(
    target: Target | None, items: list[Item], rate: float, seconds: float, prints: bool
) -> LoadResult:
    async with _on(target) as there, Load(there, items, prints=prints) as kiosks:
        with _progress(round(rate * seconds)) as report:
            return await kiosks.run(rate=rate, seconds=seconds, report=report)


@asynccontextmanager
async def _on(target: Target | None) -> AsyncIterator[Target]:
    if target is not None:
        yield target
        return
    with tempfile.TemporaryDirectory(prefix="tongban-load-") as scratch:
        async with Stack(StackOptions(data=Path(scratch))) as stack:
            token = await stack.token(KIOSK_ID, BRANCH_ID)
            yield Target(stack.intake, token, stack.cluster)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    with progress_bars() as progress:
        asked = progress.add_task("submitted", total=total)
        over = progress.add_task("finished", total=total)

        def report(asked_for: int, finished: int) -> None:
            progress.update(asked, completed=asked_for)
            progress.update(over, completed=finished)

        yield report


_SHOWN_AS = {
    "asked": "submitted",
    "answers": "answers by status",
    "ended_as": "ended as",
    "unfinished": "not ended in time",
    "accepted_ms": "ms to the answer",
    "finished_ms": "ms to the end",
}


def _print_result(result: LoadResult, *, as_json: bool) -> None:
    report = result.report()
    if as_json:
        print(json.dumps(report))
        return
    table = Table(show_header=False)
    for name, value in report.items():
        table.add_row(_SHOWN_AS[name], in_words(value))
    Console().print(table)
