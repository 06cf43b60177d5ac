"""Define `tongban export`: write the fact tables for analysts."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tongban_common.exit_codes import EX_CONFIG, EX_TEMPFAIL, EX_UNAVAILABLE
from tongban_common.settings import load
from tongban_ops.cli.console import Json, progress, span, stop

if TYPE_CHECKING:
    from tongban_facts.export import ExportOptions, ExportResult

MISSING = (
    "tongban export needs the distribution tongban-facts, which brings Polars, pyarrow and "
    "librdkafka: pip install 'tongban-ops[facts]'"
)


def export(  # noqa: PLR0917 - typer makes options of them
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="directory of the fact tables")],
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="first day of submission; default: all there are"),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="last day of submission, inclusive; default: today"),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", min=2, max=1000, help="requests that must share all they show")
    ] = 5,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="private directory of the export; default: DIR.state"),
    ] = None,
    grace: Annotated[
        str, typer.Option(help="time after a month's end in which late events still count")
    ] = "35d",
    follow: Annotated[bool, typer.Option("--follow", help="export again and again")] = False,
    every: Annotated[str, typer.Option(help="with --follow: time between two exports")] = "60m",
    as_json: Json = False,
) -> None:
    """Write Parquet tables of what happened to requests, which name no person.

    Reads the event topics under an account of its own (`facts` in the registry of topics). The same
    command again adds what is new and changes nothing else. docs/facts/README.md describes tables,
    pseudonyms and k-anonymity.

    Exit codes: 2 wrong options or tongban-facts is not installed, 69 Kafka does not answer, 75
    another export works in the state directory, 78 the state or the key file cannot be used.
    """
    try:
        # Import late: only this command needs these libraries, and not every image has them.
        from tongban_facts.export import ExportOptions, default_state  # noqa: PLC0415
        from tongban_facts.settings import FactsSettings  # noqa: PLC0415
        from tongban_facts.source import client_settings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise stop(f"{MISSING} ({error.name} is missing)", 2) from error
    settings = load(FactsSettings)
    private = state or default_state(to)
    pause = span(every)

    def options() -> ExportOptions:
        today = settings.clock.now().date()
        return ExportOptions(
            target=to,
            state=private,
            keys_file=settings.facts_keys_file or private / "keys.json",
            since=_day(since, "--since"),
            until=_day(until, "--until") or today,
            k=k,
            grace=span(grace),
            today=today,
        )

    ended = threading.Event()
    if follow:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
    while True:
        _show(_once(client_settings(settings.cluster), options()), to, as_json=as_json)
        if not follow or ended.wait(settings.clock.real_seconds(pause)):
            return


def _once(client: dict[str, Any], options: ExportOptions) -> ExportResult:
    from tongban_facts import errors  # noqa: PLC0415 - as above
    from tongban_facts.export import export as run_export  # noqa: PLC0415 - as above

    try:
        with progress("reading the topics") as shown:
            return run_export(client, options, shown)
    except errors.SourceError as error:
        raise stop(str(error), EX_UNAVAILABLE) from error
    except errors.ExportInUseError as error:
        raise stop(str(error), EX_TEMPFAIL) from error
    except errors.FactsError as error:
        raise stop(str(error), EX_CONFIG) from error


def _show(result: ExportResult, to: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(result), default=str), flush=True)
        return
    requests = sum(day.rows["requests"] for day in result.days.values())
    withheld = sum(day.withheld for day in result.days.values())
    days = len(result.days)
    print(
        f"{result.records} new events; {to}: {days} day{'' if days == 1 else 's'} written, "
        f"{requests} requests published, {withheld} withheld",
        flush=True,
    )
    for month in result.destroyed:
        print(f"the key of {month} is destroyed: its facts are final", flush=True)
    for what, number in sorted(result.dropped.items()):
        print(f"dropped: {number} {what}", flush=True)


def _day(text: str | None, option: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"looks like 2026-03-02, not {text!r}", param_hint=option
        ) from None
