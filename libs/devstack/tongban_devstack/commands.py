"""Define `tongban up`, which exists where the devstack is installed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tongban_common.clock import BusinessClock
from tongban_common.observability import configure_logging
from tongban_devstack.stack import SERVICES, STEPS, Stack, StackOptions
from tongban_devstack.start_failures import exit_on_start_failure
from tongban_ops.cli.output import progress_bars

KIOSK_ID, BRANCH_ID = "k-310115-001", "b-310115-01"
"""Kiosk of the ready line."""


def up(
    no_services: Annotated[
        bool,
        typer.Option("--no-services", help="start only Kafka, the store and the simulated outside"),
    ] = False,
    profile: Annotated[str, typer.Option(help="prompt or realistic")] = "prompt",
    data: Annotated[Path, typer.Option(help="directory, kept from run to run")] = Path(".tongban"),
    clock: Annotated[
        str | None,
        typer.Option(envvar="TONGBAN_CLOCK", help="business clock: 2026-03-02T09:00:00+08:00@60"),
    ] = None,
    replicas: Annotated[
        list[str] | None, typer.Option(help="SERVICE=NUMBER of its processes; repeatable")
    ] = None,
) -> None:
    """Start the stack, print one JSON line when it is ready, and stop on SIGINT or SIGTERM.

    Exit codes: 0 stopped by a signal, 2 wrong options, 69 a download or server is not available, 70
    a process did not start, 75 the data directory is in use.
    """
    if profile not in ("prompt", "realistic"):
        raise typer.BadParameter(f"is prompt or realistic, not {profile!r}", param_hint="--profile")
    try:
        business = BusinessClock.parse(clock) if clock else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--clock") from error
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{data}: {error.strerror}", param_hint="--data") from error
    options = StackOptions(
        data=data,
        profile=profile,
        services=not no_services,
        clock=business,
        replicas=_replicas(replicas or []),
    )
    configure_logging("up", instance="up", level="WARNING")
    with exit_on_start_failure():
        asyncio.run(_up(options))


def _replicas(given: list[str]) -> dict[str, int]:
    counts = {}
    for text in given:
        service, _, number = text.partition("=")
        if service not in SERVICES or not number.isdecimal() or int(number) < 1:
            raise typer.BadParameter(
                f"looks like intake=2, with one of {', '.join(SERVICES)}; not {text!r}",
                param_hint="--replicas",
            )
        counts[service] = int(number)
    return counts


async def _up(options: StackOptions) -> None:
    asked_to_stop = asyncio.Event()
    starting = asyncio.current_task()

    def stop() -> None:
        asked_to_stop.set()
        if starting is not None:
            starting.cancel()  # what has been started is stopped on the way out

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        async with AsyncExitStack() as held:
            with _progress() as report:
                stack = await held.enter_async_context(Stack(replace(options, report=report)))
            ready = await ready_line(stack, options)
            starting = None
            print(json.dumps(ready), flush=True)
            await asked_to_stop.wait()
    except asyncio.CancelledError:
        if not asked_to_stop.is_set():
            raise


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show a progress bar on stderr if that is a terminal; it grows with each reported step."""
    with progress_bars() as progress:
        bar = progress.add_task("starting", total=len(STEPS))
        yield lambda step: progress.update(bar, advance=1, description=f"{step} ready")


async def ready_line(stack: Stack, options: StackOptions) -> dict[str, object]:
    """Return the ready line's content (docs/contract.md); `intake` is null without services."""
    return {
        "ready": True,
        "intake": stack.intake if options.services else None,
        "kafka": stack.kafka,
        "store": stack.store,
        "gateways": stack.gateways,
        "devices": stack.devices,
        "token": await stack.token(KIOSK_ID, BRANCH_ID),
        "kiosk_id": KIOSK_ID,
    }
