"""How every service process runs, and how it is asked to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """As `asyncio.run`, on uvloop: a service spends much of an event on turns of the loop."""
    return uvloop.run(work)


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` in the running loop when SIGTERM or SIGINT comes, each time."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
