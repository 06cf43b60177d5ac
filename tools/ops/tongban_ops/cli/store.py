"""Define `tongban store sweep`: delete what the store would keep for ever."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Annotated

import typer

from tongban_common.settings import CommonSettings, load
from tongban_intake.readmodel.sweep import Swept, sweep
from tongban_ops.cli.console import LONG_STORE_MS, Json, open_store, progress, span
from tongban_ops.cli.group import Commands

store = typer.Typer(cls=Commands, no_args_is_help=True)
LEAST = timedelta(days=60)
"""Twice the retention of requests.status: no event that could still be projected is swept."""


@store.callback()
def _noun() -> None:
    """Maintain the document store."""


@store.command("sweep")
def sweep_(
    after: Annotated[
        str, typer.Option(help="age of a request's end after which it is swept; at least 60d")
    ] = "180d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count")] = False,
    as_json: Json = False,
) -> None:
    """Delete the files and the personal data of requests that ended long ago.

    A skeleton of each request stays, so that a repeated idempotency key or sheet is still
    recognised. Idempotent and safe to interrupt; meant to run each night. Exit code 69: the store
    does not answer.
    """
    age = span(after)
    if age < LEAST:
        raise typer.BadParameter(f"is {LEAST.days}d at least, not {after!r}", param_hint="--after")
    done = asyncio.run(_sweep(load(CommonSettings), age, dry_run=dry_run))
    result = {"looked_at": done.looked_at, "requests": done.requests, "documents": done.documents}
    if as_json:
        print(json.dumps({**result, "dry_run": dry_run}))
        return
    would = "would be" if dry_run else "were"
    print(
        f"{done.requests} of {done.looked_at} requests {would} swept, with {done.documents} files"
    )


async def _sweep(settings: CommonSettings, age: timedelta, *, dry_run: bool) -> Swept:
    before = settings.clock.now() - age
    async with open_store(
        settings, "; what was swept stays swept", timeout_ms=LONG_STORE_MS
    ) as store:
        with progress("sweeping") as report:
            return await sweep(store, before=before, dry_run=dry_run, on_progress=report)
