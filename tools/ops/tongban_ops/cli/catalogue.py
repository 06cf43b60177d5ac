"""Define `tongban catalogue check|publish`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from tongban_common.catalogue.models import Zone
from tongban_common.catalogue.provinces import find_directory
from tongban_common.catalogue.yamlfile import CatalogueError
from tongban_common.settings import CommonSettings, load
from tongban_ops.catalogue.checks import CatalogueReport, check
from tongban_ops.catalogue.loader import load_items
from tongban_ops.catalogue.publish import Changes, publish_changes
from tongban_ops.cli.console import Json, run, stop
from tongban_ops.cli.group import Commands

catalogue = typer.Typer(cls=Commands, no_args_is_help=True)
NOT_FOUND = 2


@catalogue.command("check")
def check_(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="default: TONGBAN_CATALOGUE, else ./catalogue"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check totals, references, codes, schemas and examples; problems are printed as FILE:LINE:
    MESSAGE.

    Exit codes: 1 there are problems, 2 there is no catalogue.
    """
    with _status("checking"):
        report = check(_directory(directory))
    _show(report, as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


@catalogue.command("publish")
def publish_(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE|DIR]",
            help="a catalogue, or one of its files under zones/ to publish only that file",
        ),
    ] = None,
    withdraw: Annotated[
        bool,
        typer.Option(
            "--withdraw", help="also withdraw offered items that DIR does not have; not with FILE"
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish the changed items on catalogue.items of the broker that TONGBAN_KAFKA names.

    The catalogue is checked first. Exit codes: 1 it has problems and nothing is published, 69 Kafka
    does not answer.
    """
    settings = load(CommonSettings)
    file = path if path is not None and path.is_file() else None
    directory = _directory(_catalogue_of(file) if file else path)
    if file and withdraw:
        raise typer.BadParameter("--withdraw needs the whole catalogue, not one file of it")
    with _status("checking"):
        report = check(directory)
    if not report.ok:
        _show(report, as_json=as_json)
        raise typer.Exit(1)
    try:
        items = load_items(directory, file)
        with _status(f"publishing at {settings.kafka}"):
            changes = run(publish_changes(settings.cluster, items, withdraw=withdraw))
    except CatalogueError as error:
        raise stop(str(error), 1) from error
    print(json.dumps(_as_json(changes)) if as_json else _sentence(changes))


def _status(doing: str) -> Status:
    """Show a spinner on a terminal; write nothing elsewhere."""
    return Console(stderr=True).status(f"{doing} ...")


def _directory(given: Path | None) -> Path:
    try:
        return find_directory(given)
    except FileNotFoundError as error:
        raise stop(str(error), NOT_FOUND) from error


def _catalogue_of(file: Path) -> Path:
    """Return the catalogue directory to which a file of categories belongs."""
    for directory in file.resolve().parents:
        if (directory / "provinces.yaml").is_file():
            return directory
    raise typer.BadParameter(f"{file} belongs to no catalogue: there is no provinces.yaml above it")


def _show(report: CatalogueReport, *, as_json: bool) -> None:
    if as_json:
        body = {
            "ok": report.ok,
            "problems": [asdict(problem) for problem in report.problems],
            "summary": report.summary,
        }
        print(json.dumps(body, ensure_ascii=False))
        return
    for problem in report.problems:
        print(problem)
    if report.summary is not None:
        table = Table("zone", "provinces", "categories", "items", "query", "handle", "print")
        for zone, held in report.summary.items():
            table.add_row(
                f"{Zone(zone).name_zh} {zone}",
                *(str(number) for key, number in held.items() if key != "domains"),
            )
        Console().print(table)
    count = len(report.problems)
    print(f"{count} problem{'' if count == 1 else 's'}" if count else "All of it holds.")


def _as_json(changes: Changes) -> dict[str, object]:
    return {
        "new": [item.code for item in changes.new],
        "changed": [item.code for item in changes.changed],
        "withdrawn": changes.withdrawn,
        "unchanged": changes.unchanged,
    }


def _sentence(changes: Changes) -> str:
    return (
        f"{len(changes.new)} new, {len(changes.changed)} changed, "
        f"{len(changes.withdrawn)} withdrawn, {changes.unchanged} as they were"
    )
