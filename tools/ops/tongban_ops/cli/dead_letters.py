"""Define `tongban dlt list|show|replay|discard`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from tongban_common.exit_codes import EX_NOINPUT
from tongban_common.settings import CommonSettings, load
from tongban_kafka import EventProducer, Snapshot
from tongban_ops.cli.console import (
    By,
    Json,
    china_time,
    login_name,
    operator_producer,
    progress,
    run,
    stop,
    tables,
)
from tongban_ops.cli.group import Commands
from tongban_ops.cli.reasons import warn_if_withheld, words_key_ring
from tongban_ops.cli.selection import choosing, described, selected
from tongban_ops.operators.dead_letters import (
    DeadLetter,
    DeadLetterSelection,
    known_groups,
    read_dead_letters,
)
from tongban_ops.operators.reasons import DISCARD_REASONS, REQUEST_REASONS, RESUMED
from tongban_ops.operators.record_view import letter_details, letter_summary
from tongban_ops.operators.replay_execution import execute_replays, settle
from tongban_ops.operators.replays import Operator, Replay, ReplayRefusal, plan
from tongban_ops.operators.settlements import Settlement

dlt = typer.Typer(cls=Commands, no_args_is_help=True)
All = Annotated[bool, typer.Option("--all", help="all open dead letters")]


@dlt.command("list")
@choosing
def list_(
    selection: DeadLetterSelection,
    *,
    settled: Annotated[
        bool, typer.Option("--all", help="include replayed and discarded ones")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the open dead letters, oldest first.

    Exit codes: 2 unknown group, 69 the broker that TONGBAN_KAFKA names does not answer.
    """
    letters = _read(replace(selection, settled=settled))
    if as_json:
        print(json.dumps([letter_summary(letter) for letter in letters], ensure_ascii=False))
        return
    table = Table(
        Column("id", overflow="fold"), Column("given up", no_wrap=True), "source",
        "type", Column("request", no_wrap=True), Column("cause", overflow="fold"), "settled",
    )  # fmt: skip
    for letter in letters:
        kind = letter.event.type.removeprefix("tongban.") if letter.event else "not decodable"
        done = letter.settled
        table.add_row(
            letter.id, _clock_time(letter.failed_ms), letter.source, kind,
            letter.request_id or "", letter.cause,
            f"{done.settlement} by {done.by}" if done else "",
        )  # fmt: skip
    tables().print(table)
    typer.echo(f"{len(letters)} dead letters", err=True)


@dlt.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="id, such as printing@17")],
    as_json: Json = False,
) -> None:
    """Show one dead letter: cause, headers and event. Sealed content stays sealed.

    A record that is no event is shown in hexadecimal, its first 512 bytes. It may contain personal
    data of a writer that breaks the rules, so mind where you show it.

    Exit codes: 66 there is no such dead letter, 69 the broker does not answer.
    """
    letters = _read(replace(selected([letter_id]), settled=True))
    if not letters:
        raise stop(f"there is no dead letter {letter_id}", EX_NOINPUT)
    whole = letter_details(letters[0])
    if as_json:
        print(json.dumps(whole, ensure_ascii=False))
        return
    headers, event, raw = whole.pop("headers"), whole.pop("event", None), whole.pop("raw", None)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name, value in whole.items():
        shown = _clock_time(value) if name == "failed_ms" else value
        if shown is not None:
            console.print(f"{name.removesuffix('_ms'):<11} {shown}")
    console.print("headers")
    for name, value in headers.items():
        console.print(f"  {name:<20} {value}")
    if event is not None:
        console.print("event")
        console.print(json.dumps(event, ensure_ascii=False, indent=2))
    for line in raw or ():
        console.print(f"  {line}")


@dlt.command()
@choosing
def replay(
    selection: DeadLetterSelection,
    *,
    everything: All = False,
    again: Annotated[
        bool, typer.Option("--again", help="include those that were settled before")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only print what would be done")
    ] = False,
    reason: Annotated[
        str, typer.Option(help="reason for the timeline of a held request")
    ] = RESUMED,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Replay dead letters. No effect happens twice.

    A held request goes on: the router repeats the open calls, and the connector looks each up at
    the province before it sends. Other records go to their consumer again, marked as repeats.

    Exit codes: 1 some cannot be replayed, 2 nothing was chosen, 66 none was found, 69 the broker
    does not answer (records marked as replayed are done; replay the rest again).
    """
    letters = _chosen(replace(selection, settled=again), everything)
    operator = _operator(by, reason)
    replays, refused = plan(letters, operator)
    if not dry_run:
        with progress("replaying") as report:
            run(_execute(replays, operator, sum(len(r.letters) for r in replays), report))
    warn_if_withheld(any(replay.withheld for replay in replays), REQUEST_REASONS)
    _print_replayed(replays, refused, dry_run=dry_run, as_json=as_json)
    if refused:
        raise typer.Exit(1)


@dlt.command()
@choosing
def discard(
    selection: DeadLetterSelection,
    *,
    reason: Annotated[
        str, typer.Option(help="why no action is needed; sealed", show_default=False)
    ],
    everything: All = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Mark dead letters as settled without any action. A held request stays held (see `tongban
    request fail`).

    Exit codes: 2 nothing was chosen, 66 none was found, 69 the broker does not answer.
    """
    letters = _chosen(selection, everything)
    operator = _operator(by, reason)
    withheld = operator.keys is None and reason not in DISCARD_REASONS
    warn_if_withheld(withheld, DISCARD_REASONS)

    async def work() -> None:
        async with _producer() as producer:
            await settle(producer, letters, Settlement.DISCARDED, operator)

    run(work())
    if as_json:
        print(json.dumps([{"id": letter.id, "discarded": True} for letter in letters]))
    else:
        print(f"{len(letters)} discarded")


def _chosen(selection: DeadLetterSelection, everything: bool) -> list[DeadLetter]:
    if not selection.narrows and not everything:
        raise typer.BadParameter("say which: by ID, --group, --source, --cause, ..., or --all")
    letters = _read(selection)
    state, hint = (
        ("", "") if selection.settled else ("open ", "; `dlt list --all` shows the others")
    )
    which = described(selection)
    if missing := sorted(set(selection.ids) - {letter.id for letter in letters}):
        reason_text = f"there is no {state}dead letter {', '.join(missing)} {which}".rstrip()
        raise stop(reason_text + hint, EX_NOINPUT)
    if not letters:
        raise stop(f"there is no {state}dead letter {which}".rstrip() + hint, EX_NOINPUT)
    return letters


def _read(selection: DeadLetterSelection) -> list[DeadLetter]:
    async def work() -> list[DeadLetter]:
        async with Snapshot(load(CommonSettings).cluster) as snapshot:
            return await read_dead_letters(
                snapshot, selection, groups=known_groups(), on_progress=report
            )

    with progress("reading dead letters") as report:
        return run(work())


async def _execute(replays: list[Replay], operator: Operator, total: int, report: Any) -> None:
    done = 0

    def count(number: int) -> None:
        nonlocal done
        done += number
        report(done, total)

    async with _producer() as producer:
        await execute_replays(producer, replays, operator, on_done=count)


def _producer() -> EventProducer:
    return operator_producer(load(CommonSettings).cluster)


def _operator(by: str, reason: str) -> Operator:
    settings = load(CommonSettings)
    keys = words_key_ring(settings)
    return Operator(by=by or login_name(), at=settings.clock.now(), reason=reason, keys=keys)


def _print_replayed(
    replays: list[Replay], refused: list[ReplayRefusal], *, dry_run: bool, as_json: bool
) -> None:
    lines: list[dict[str, Any]] = [
        {
            "id": letter.id,
            "request_id": letter.request_id,
            "ways": replay.ways,
            "topics": [record[0] for record in replay.records],
            "replayed": not dry_run,
        }
        for replay in replays
        for letter in replay.letters
    ]
    lines += [
        {"id": no.letter.id, "request_id": no.letter.request_id, "replayed": False, "why": no.why}
        for no in refused
    ]
    if as_json:
        print(json.dumps(lines, ensure_ascii=False))
        return
    verb = "would be replayed" if dry_run else "replayed"
    for line in lines:
        request = f" of {line['request_id']}" if line["request_id"] else ""
        if "why" in line:
            print(f"{line['id']}{request}: cannot be replayed: {line['why']}")
        else:
            print(f"{line['id']}{request}: {verb} on {', '.join(dict.fromkeys(line['topics']))}")


def _clock_time(unix_ms: int) -> str:
    return china_time(datetime.fromtimestamp(unix_ms / 1000, UTC))
