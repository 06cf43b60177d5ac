"""`tongban up` and `tongban demo`: added to the command line where the devstack is installed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from tongban_common.clock import BusinessClock
from tongban_common.observability import configure_logging
from tongban_devstack.demo.command import demo
from tongban_devstack.stack import Stack, StackOptions

KIOSK_ID, BRANCH_ID = "k-310115-001", "b-310115-01"
"""The kiosk of the ready line."""


def register(app: typer.Typer) -> None:
    """Called by `tongban_common.cli.main` for the entry point group `tongban.commands`."""
    app.command("up")(up)
    app.command("demo")(demo)


def up(
    no_services: Annotated[
        bool, typer.Option("--no-services", help="Kafka, store, outside")
    ] = False,
    profile: Annotated[str, typer.Option(help="prompt or realistic")] = "prompt",
    data: Annotated[Path, typer.Option(help="kept from one run to the next")] = Path(".tongban"),
    clock: Annotated[
        str | None, typer.Option(envvar="TONGBAN_CLOCK", help="2026-03-02T09:00:00+08:00@60")
    ] = None,
) -> None:
    """Start the stack, print one JSON line when all is up, stop on SIGINT or SIGTERM."""
    if profile not in ("prompt", "realistic"):
        raise typer.BadParameter(f"is prompt or realistic, not {profile!r}", param_hint="--profile")
    try:
        business = BusinessClock.parse(clock) if clock else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--clock") from error
    configure_logging("up", instance="up", level="WARNING")
    options = StackOptions(
        data=data.absolute(), profile=profile, services=not no_services, clock=business
    )
    asyncio.run(_up(options))


async def _up(options: StackOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    started = False

    def asked() -> None:
        stop.set()
        if not started and main is not None:
            main.cancel()  # still starting: what has been started is stopped on the way out

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    try:
        async with Stack(options) as stack:
            started = True
            print(json.dumps(ready_line(stack, options)), flush=True)
            await stop.wait()
            print("stopping ...", file=sys.stderr)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


def ready_line(stack: Stack, options: StackOptions) -> dict[str, object]:
    """What CONTRACT.md promises on stdout."""
    return {
        "ready": True,
        "intake": stack.intake if options.services else None,
        "kafka": stack.kafka,
        "store": stack.store,
        "gateways": stack.gateways,
        "devices": stack.devices,
        "token": stack.token(KIOSK_ID, BRANCH_ID),
        "kiosk_id": KIOSK_ID,
    }
