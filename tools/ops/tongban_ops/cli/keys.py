"""Define `tongban keys list|rotate|destroy` for the key ring in a file."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tongban_common.exit_codes import EX_UNAVAILABLE
from tongban_common.keyring import Ring, RingError
from tongban_common.settings import CommonSettings, load
from tongban_intake.readmodel.openness import open_under
from tongban_ops.cli.console import Json, open_store, stop
from tongban_ops.cli.group import Commands
from tongban_ops.operators.keyring_file import change

keys = typer.Typer(cls=Commands, no_args_is_help=True)
_File = Annotated[
    Path | None,
    typer.Option("--file", help="file of the key ring; default: the @FILE of TONGBAN_KEYRING"),
]
_SHOWN = 5
SETTLE_S = 3600.0
"""Seconds after a key's replacement until the read model has every request sealed under it."""


@keys.command("list")
def list_(file: _File = None, as_json: Json = False) -> None:
    """List every key by its id: which one seals, which ones open, which are destroyed. Shows no
    key."""
    path = _path(file)
    ring = _read(path)
    rows = _rows(ring, _now())
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("key", "state", "active from", "replaced", "destroyed")
    for row in rows:
        table.add_row(
            row["kid"],
            row["state"],
            *(row[name] or "" for name in ("active_from", "retired_at", "destroyed_at")),
        )
    Console().print(table)


@keys.command()
def rotate(
    file: _File = None,
    after: Annotated[
        float,
        typer.Option(min=0, help="seconds until it seals; every process has to load it before"),
    ] = 300.0,
    kid: Annotated[
        str | None, typer.Option("--id", help="id of the key; default: kDATE-NUMBER")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a key that takes over after a delay; running processes load it by themselves.

    Exit codes: 1 the ring refuses it now, 69 the file cannot be read or written.
    """
    wait = timedelta(seconds=after)
    ring = _changed(_path(file), lambda ring: ring.rotated(now=_now(), after=wait, kid=kid))
    fresh = ring.newest
    begins = ring.keys[fresh].active_from
    result = {"kid": fresh, "active_from": begins.isoformat() if begins else None}
    print(json.dumps(result) if as_json else f"{fresh} seals from {result['active_from']} on")


@keys.command()
def destroy(
    kid: Annotated[str, typer.Argument(metavar="KID")],
    file: _File = None,
    force: Annotated[
        bool, typer.Option("--force", help="destroy it even if requests under it may be open")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask on a terminal")] = False,
    as_json: Json = False,
) -> None:
    """Destroy a replaced key: whatever it sealed can never be read again.

    Refuses while requests sealed under it may be open. Destroy copies of the file elsewhere
    yourself. Exit codes: 1 refused, 69 file or store cannot be read.
    """
    path = _path(file)
    ring = _read(path)
    now = _now()
    _try(lambda: ring.without(kid, now=now))
    if not force:
        _must_be_over(ring, kid, now)
    if sys.stdin.isatty() and not yes:
        typer.confirm(f"Destroy {kid} and all that it sealed, for ever?", abort=True)
    changed = _changed(path, lambda ring: ring.without(kid, now=_now()))
    result = {"kid": kid, "destroyed_at": changed.destroyed[kid].isoformat()}
    print(json.dumps(result) if as_json else f"{kid} is destroyed")


def _must_be_over(ring: Ring, kid: str, now: datetime) -> None:
    """End the command if a request sealed under the key may still be open."""
    retired = ring.retired_at(kid, now)
    if retired is None or now - retired < timedelta(seconds=SETTLE_S):
        _refuse(f"{kid} was replaced less than an hour ago: its last requests may not be seen yet")
    settings = load(CommonSettings)
    with Console(stderr=True).status("looking for open requests ..."):
        number, some = asyncio.run(_count(settings, kid))
    if number:
        _refuse(f"{number} requests under {kid} are still open, as {', '.join(some)}")


async def _count(settings: CommonSettings, kid: str) -> tuple[int, list[str]]:
    number = 0
    some: list[str] = []
    async with open_store(settings, ": whether requests are open cannot be told") as store:
        async for request_id, is_open in open_under(store, kid, now=settings.clock.now()):
            if is_open:
                number += 1
                some = [*some, request_id][:_SHOWN]
    return number, some


def _rows(ring: Ring, now: datetime) -> list[dict[str, Any]]:
    active = ring.active(now)
    rows: list[dict[str, Any]] = []
    for kid, key in ring.keys.items():
        begins, retired = key.active_from, ring.retired_at(kid, now)
        waits = begins is not None and begins > now
        state = "active" if kid == active else "waiting" if waits else "opens"
        rows.append(
            {
                "kid": kid,
                "state": state,
                "active_from": begins.isoformat() if begins else None,
                "retired_at": retired.isoformat() if retired else None,
                "destroyed_at": None,
            }
        )
    for kid, at in ring.destroyed.items():
        gone = {"kid": kid, "state": "destroyed", "active_from": None, "retired_at": None}
        rows.append({**gone, "destroyed_at": at.isoformat()})
    return rows


def _now() -> datetime:
    return datetime.now(UTC)


def _path(given: Path | None) -> Path:
    if given is not None:
        return given
    text = load(CommonSettings).keyring.get_secret_value()
    if not text.startswith("@"):
        raise typer.BadParameter("give --file, or TONGBAN_KEYRING=@FILE")
    return Path(text[1:])


def _refuse(why: str) -> None:
    raise stop(f"{why} (--force does it all the same)", 1)


def _try(work: Callable[[], Ring]) -> Ring:
    try:
        return work()
    except RingError as error:
        raise stop(str(error), 1) from error
    except OSError as error:
        raise stop(f"{error.filename}: {error.strerror}", EX_UNAVAILABLE) from error


def _read(path: Path) -> Ring:
    return _try(lambda: Ring.parse(path.read_bytes()))


def _changed(path: Path, make: Callable[[Ring], Ring]) -> Ring:
    return _try(lambda: change(path, make))
