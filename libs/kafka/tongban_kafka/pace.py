"""Delays fetches, so that one returns several records."""

from __future__ import annotations

import asyncio


class Pace:
    """Keeps fetches that return records at least `apart_s` seconds apart.

    A fetch costs the client and the broker about the same with one record as with a hundred: both
    go through every partition that is read. Where records arrive singly but fast, a short delay
    returns several at once. The first fetch after a pause is not delayed.
    """

    def __init__(self, apart_s: float) -> None:
        self._apart_s = apart_s
        self._last = float("-inf")

    def given(self, count: int) -> None:
        """Record that a fetch has just returned `count` records."""
        if count:
            self._last = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """Return when it is time for the next fetch."""
        early = self._last + self._apart_s - asyncio.get_running_loop().time()
        if early > 0:
            await asyncio.sleep(early)
