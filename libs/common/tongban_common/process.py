"""Run a service process: its event loop, its garbage collection, its end by a signal."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from tongban_common import tracing

Result = TypeVar("Result")
_COLLECT_AT = 5_000, 5, 10
"""Thresholds of the three generations of CPython's cyclic garbage collector. The first is the
number of live new objects (one collection takes 2 ms); the default of 700 is two requests in
flight."""


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine like `asyncio.run`, on uvloop, since loop turns are much of an event's cost;
    then export the spans that wait."""
    settle_heap()
    try:
        return uvloop.run(work)
    finally:
        tracing.stop()


def settle_heap() -> None:
    """Exclude all present objects from cyclic garbage collection.

    A process calls this once it has loaded what it keeps: code, models, a register. The collector
    would traverse all of that again and again, which blocks intake's loop for 150 ms, and find no
    garbage. Reference counts still free these objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AT)


class Stopping:
    """Tells tasks that pause between steps that the process is to end. It is never unset."""

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
    """Call `stop` in the running loop on each SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
