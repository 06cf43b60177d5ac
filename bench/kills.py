"""Measure how long anyone waits when a process is killed, and what is sent while one keeps dying.

One process of each service, ten requests a second: each service is killed once by SIGKILL, and the
supervisor starts it again; the longest wait of any request, from the kiosk to its final state (for
notify: from the final state to the report of the message), is compared with the longest of a calm
run. Then notify is killed every six seconds at twenty requests a second, and the messages a second
are compared with those of calm times. Run `python -m bench.kills`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from bench._messages import SentReports
from tongban_devstack.load.steady import Entrances, SteadyKiosks
from tongban_devstack.stack import Stack, StackOptions
from tongban_ops.catalogue.loader import load as load_catalogue

RATE = 10.0
KILL_AFTER_S = 6.0
AFTER_KILL_S = 10.0
LONGEST_S = {"intake": 2.0, "router": 3.0, "connectors": 5.0, "notify": 2.0}
KEEPS_DYING_RATE, KEEPS_DYING_S, BETWEEN_KILLS_S = 20.0, 60.0, 6.0
LEAST_SHARE = 0.5
KIOSK = ("k-310115-001", "b-310115-01")


@asynccontextmanager
async def place(rate: float) -> AsyncIterator[tuple[Stack, SteadyKiosks, SentReports]]:
    """Run a warm stack with kiosks at a rate."""
    items = [item for item in load_catalogue() if not item.printable]
    with tempfile.TemporaryDirectory(prefix="tongban-bench-") as scratch:
        async with Stack(StackOptions(data=Path(scratch))) as stack:
            entrances = Entrances([stack.intake], await stack.token(*KIOSK), stack.cluster, 60.0)
            messages = SentReports(stack.cluster)
            reading = asyncio.create_task(messages.read())
            async with SteadyKiosks(entrances, items, rate=rate) as kiosks:
                await kiosks.during(at_least=round(rate * 5))
                yield stack, kiosks, messages
            reading.cancel()
            await asyncio.wait([reading])


async def longest_waits() -> dict[str, float]:
    """Return the longest wait in seconds of a calm run, and of one with each service killed."""
    found: dict[str, float] = {}
    async with place(RATE) as (stack, kiosks, messages):
        for service in ("calm", *LONGEST_S):
            phase = await kiosks.during(_killed(stack, service), at_least=1)
            if phase.refused or phase.given_up:
                raise RuntimeError(f"{service}: {phase.refused}, {phase.given_up} given up")
            if service == "notify":
                await _all_sent(phase.due, messages)
                waits = [messages.at[each] - kiosks.ended[each][0] for each in phase.due]
            else:
                waits = [kiosks.ended[each][0] - due for each, due in phase.due.items()]
            found[service] = round(max(waits), 2)
            print(f"{service}: {found[service]} s", file=sys.stderr, flush=True)
    return found


async def _killed(stack: Stack, service: str) -> None:
    await asyncio.sleep(KILL_AFTER_S)
    if service != "calm":
        stack.kill(service, signal.SIGKILL)
    await asyncio.sleep(AFTER_KILL_S)


async def _all_sent(requests: Any, messages: SentReports) -> None:
    async with asyncio.timeout(60):
        while not set(requests) <= messages.at.keys():
            await asyncio.sleep(0.05)


async def while_dying() -> dict[str, float]:
    """Return the messages a second of calm times, and while notify is killed again and again."""
    found: dict[str, float] = {}
    async with place(KEEPS_DYING_RATE) as (stack, kiosks, messages):
        for name, kills in (("calm", False), ("dying", True)):
            before, began = len(messages.at), time.monotonic()
            await kiosks.during(_dying(stack, kills=kills), at_least=1)
            found[name] = round((len(messages.at) - before) / (time.monotonic() - began), 1)
            print(f"{name}: {found[name]} messages a second", file=sys.stderr, flush=True)
    return found


async def _dying(stack: Stack, *, kills: bool) -> None:
    ends = time.monotonic() + KEEPS_DYING_S
    while time.monotonic() < ends:
        await asyncio.sleep(BETWEEN_KILLS_S)
        if kills:
            stack.kill("notify", signal.SIGKILL)


async def main() -> int:
    """Measure and print one line of JSON; return 1 if a limit is missed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    waits = await longest_waits()
    rates = await while_dying()
    share = round(rates["dying"] / rates["calm"], 2)
    ok = share >= LEAST_SHARE and all(waits[name] <= most for name, most in LONGEST_S.items())
    print(json.dumps({"longest_s": waits, "messages_per_s": rates, "share": share, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
