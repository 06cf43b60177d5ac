"""Define `tongban province list|pause|resume`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from tongban_common.catalogue import CatalogueError
from tongban_common.catalogue.models import Province
from tongban_common.catalogue.provinces import load_provinces
from tongban_common.control.provinces import PAUSE_REASONS, ProvinceControl
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.settings import CommonSettings, load
from tongban_common.topics import PROVINCES
from tongban_kafka import Snapshot
from tongban_ops.cli.console import (
    By,
    Json,
    china_time,
    login_name,
    moment,
    progress,
    run,
    span,
    stop,
    tables,
)
from tongban_ops.cli.group import Commands
from tongban_ops.cli.reasons import warn_if_withheld, words_key_ring
from tongban_ops.operators.provinces import (
    LONGEST_PAUSE,
    ProvinceStanding,
    read_controls,
    standings,
    write_controls,
)
from tongban_ops.operators.reasons import about_record

province = typer.Typer(cls=Commands, no_args_is_help=True)
Codes = Annotated[
    list[str], typer.Argument(metavar="PROVINCE...", help="code (510000) or name (四川), or all")
]


@province.command("list")
def list_(as_json: Json = False) -> None:
    """List every province: protocol, circuit breaker, pause, waiting calls and dead letters.

    All figures come from Kafka. Lag counts records not yet committed as done; circuit and waiting
    are what connectors reported within the last 75 s, and are empty if none did. Exit code 69: the
    broker that TONGBAN_KAFKA names does not answer.
    """
    settings = load(CommonSettings)
    known = _known()
    with progress(f"asking {settings.kafka}"):
        found = run(standings(settings.cluster, PROVINCES))
    now = settings.clock.now()
    if as_json:
        print(json.dumps([_row(one, known, now) for one in found], ensure_ascii=False))
        return
    table = Table(
        "province", "", "protocol", "circuit", "why it waits", "lag", "waiting", "dead letters",
        "paused",
    )  # fmt: skip
    for one in found:
        row = _row(one, known, now)
        numbers = (str(one.lag), str(row["waiting"]), str(one.dead_letters))
        table.add_row(
            one.province, row["name"], row["protocol"], row["circuit"] or "", _wait(one),
            *numbers, _pause(row),
        )  # fmt: skip
    tables().print(table)


@province.command()
def pause(
    codes: Codes,
    *,
    reason: Annotated[
        str,
        typer.Option(
            help=f"in Chinese, for applicants: {'、'.join(PAUSE_REASONS)}; any other text is "
            "sealed, which needs TONGBAN_KEYRING",
            show_default=False,
        ),
    ] = "",
    until: Annotated[
        str | None, typer.Option(help="end of the pause: 2026-03-02T18:00:00+08:00")
    ] = None,
    lasting: Annotated[str | None, typer.Option("--for", help="length of the pause: 2h")] = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Pause a province: its connectors send nothing to it, and nothing is lost.

    Takes effect on all replicas within 2 s, until `resume` or `--until` (business time, at most a
    year ahead); leave both out for a pause without an end. A call under way is finished. Exit
    codes: 2 no such province, 69 the broker does not answer.
    """
    if until and lasting:
        raise typer.BadParameter("give --until or --for, not both")
    settings = load(CommonSettings)
    now = settings.clock.now()
    end = _end(until, lasting, now)
    who = by or login_name()
    keys, controls, withheld = words_key_ring(settings), [], False
    for code in _codes(codes):
        control = ProvinceControl(province=code, paused=True, by=who, since=now, until=end)
        published = about_record(reason, keys, control.bound_to, PAUSE_REASONS)
        words = {"reason": published.clear or "", "sealed": published.sealed}
        controls.append(control.model_copy(update=words))
        withheld = withheld or published.withheld
    warn_if_withheld(withheld, PAUSE_REASONS)
    run(write_controls(settings.cluster, controls))
    _print_result(controls, as_json)


@province.command()
def resume(codes: Codes, by: By = "", as_json: Json = False) -> None:
    """Resume a paused province; its connectors send what waits within 2 s.

    Exit codes: 1 none of them was paused, 2 no such province, 69 the broker does not answer.
    """
    settings = load(CommonSettings)
    now = settings.clock.now()
    wanted = _codes(codes)

    async def read() -> dict[str, ProvinceControl]:
        async with Snapshot(settings.cluster) as snapshot:
            return await read_controls(snapshot)

    before = run(read())
    paused = [code for code in wanted if (known := before.get(code)) and known.pauses(now)]
    who = by or login_name()
    controls = [ProvinceControl(province=code, paused=False, by=who, since=now) for code in paused]
    run(write_controls(settings.cluster, controls))
    _print_result(controls, as_json)
    if not controls:
        raise stop(f"not paused: {', '.join(wanted)}", 1)


def _end(until: str | None, lasting: str | None, now: datetime) -> datetime | None:
    """Return when the pause ends; None if it lasts until an operator resumes."""
    if not until and not lasting:
        return None
    latest = now + LONGEST_PAUSE
    try:
        end = moment(until, now=now) if until else now + span(lasting or "")
    except OverflowError:
        end = None
    if end is None or end > latest:
        raise typer.BadParameter(
            f"a pause with an end is one of a year at most, until {latest.isoformat()}; "
            "leave out --until and --for for a pause until `resume`"
        )
    if end <= now:
        raise typer.BadParameter(f"{end.isoformat()} is over; it is {now.isoformat()}")
    return end


def _print_result(controls: list[ProvinceControl], as_json: bool) -> None:
    if as_json:
        row = [control.model_dump(mode="json", exclude={"sealed"}) for control in controls]
        print(json.dumps(row))
        return
    for control in controls:
        state = "paused" if control.paused else "resumed"
        end = f" until {control.until.isoformat()}" if control.until else ""
        print(f"{control.province} {state}{end}")


def _known() -> dict[str, Province]:
    """Return the catalogue's provinces; empty without a catalogue, since codes are enough."""
    try:
        return load_provinces()
    except FileNotFoundError:
        return {}
    except CatalogueError as error:
        raise stop(str(error), EX_CONFIG) from error


def _codes(given: list[str]) -> list[str]:
    if given == ["all"]:
        return list(PROVINCES)
    names = {name: one.code for one in _known().values() for name in (one.name, one.short)}
    codes = [names.get(text, text) for text in given]
    if wrong := [code for code in codes if code not in PROVINCES]:
        raise typer.BadParameter(
            f"not among the 31 provinces (GB/T 2260): {', '.join(wrong)}. "
            f"There are: {', '.join(PROVINCES)}"
        )
    return list(dict.fromkeys(codes))


def _row(one: ProvinceStanding, known: dict[str, Province], now: datetime) -> dict[str, Any]:
    about, control = known.get(one.province), one.control
    row: dict[str, Any] = {
        "province": one.province,
        "name": about.short if about else "",
        "protocol": about.gateway.protocol if about else "",
        "paused": control is not None and control.pauses(now),
        "circuit": one.worst.circuit if one.worst else None,
        "waiting": sum(state.waiting for state in one.connectors),
        "connectors": [
            state.model_dump(mode="json", exclude={"province"}) for state in one.connectors
        ],
        "lag": one.lag,
        "dead_letters": one.dead_letters,
    }
    if control is not None and row["paused"]:
        row |= control.model_dump(mode="json", include={"reason", "by", "since", "until"})
        row["reason_sealed"] = control.sealed is not None
    return row


def _wait(one: ProvinceStanding) -> str:
    """Describe what the worst connector waits for; a pause has its own column."""
    state = one.worst
    if state is None or state.cause in (None, "paused"):
        return ""
    end = f", until {china_time(state.until)}" if state.until else ""
    others = f" ({state.instance})" if len(one.connectors) > 1 else ""
    return f"{state.cause} since {china_time(state.since)}{end}{others}"


def _pause(row: dict[str, Any]) -> str:
    if not row["paused"]:
        return ""
    end = f", until {row['until'][:19]}" if row["until"] else ""
    shown = "(sealed)" if row["reason_sealed"] else row["reason"]
    reason = f": {shown}" if shown else ""
    return f"since {row['since'][:19]} by {row['by']}{end}{reason}"
