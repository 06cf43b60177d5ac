"""The wish to end, for tasks that pause between steps."""

from __future__ import annotations

import asyncio


class Stopping:
    """Set once, by SIGTERM; whoever sleeps wakes up."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """The process is to end: finish the step at hand and begin no other."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether no further step may begin."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when the process is to end."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of wall clock, or at once when the process is to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
