"""How every service process runs, keeps its heap, and is asked to end."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

Result = TypeVar("Result")
_COLLECT_AT = 5_000, 5, 10
"""Objects that were made and not freed before the collector of cycles looks at them (2 ms of work);
how many such looks, and looks at what outlived them, make a thorough one (CPython's defaults: 700,
10, 10, and 700 are two requests that are under way)."""


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """As `asyncio.run`, on uvloop: a service spends much of an event on turns of the loop."""
    settle_heap()
    return uvloop.run(work)


def settle_heap() -> None:
    """Have the collector of cycles leave alone, from now on, what is there now.

    To be called when a process has loaded what it keeps: code, models, a register. The collector
    would go through all of that again and again, in intake for 150 ms on the loop, and find
    nothing: what is thrown away after all is freed by its count of references, as most things are.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AT)


class Stopping:
    """The process's wish to end, for tasks that pause between steps. Set once and for all."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Ask every task to finish the step at hand and to begin no other."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Return True if no further step may begin."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when the process is to end."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of wall clock, or at once when the process is to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` in the running loop when SIGTERM or SIGINT comes, each time."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
