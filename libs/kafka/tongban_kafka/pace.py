"""How soon to ask for records again."""

from __future__ import annotations

import asyncio


class Pace:
    """Keeps fetches that bring records some time apart.

    A fetch costs the client and the broker about the same with one record as with a hundred: both
    name and look through every partition that is read. Where records come one by one but fast,
    whoever waits a moment gets several at once. The first after a pause is not held up.
    """

    def __init__(self, apart_s: float) -> None:
        self._apart_s = apart_s
        self._last = float("-inf")

    def given(self, count: int) -> None:
        """So many records have just come."""
        if count:
            self._last = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """Return when it is time for the next fetch."""
        early = self._last + self._apart_s - asyncio.get_running_loop().time()
        if early > 0:
            await asyncio.sleep(early)
