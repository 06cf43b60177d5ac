"""Leave the store to others for a part of the time.

A store that many write to is shared by the command, not by who waits for it. After a storm the read
model catches up in large commands, one after the other, and a message or a sheet that a person
waits for then waits behind each of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LONGEST_REST_S = 1.0
"""Longest rest: a write that ends by a time-out leaves nothing to anyone."""


class StoreShare:
    """Spaces the writes of one process so that they use at most a share of the time, as long as
    each takes no longer than the store usually does.

    Args:
        share: above 0, at most 1, which does not space them.
        now: returns monotonic seconds.
    """

    def __init__(self, share: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._rest_for_second = (1.0 - share) / share
        self._now = now
        self._turn = asyncio.Lock()
        self._rest_until = now()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[None]:
        """Hold while a write is under way: one at a time, each followed by its rest."""
        async with self._turn:
            await asyncio.sleep(max(0.0, self._rest_until - self._now()))
            began = self._now()
            try:
                yield
            finally:
                ended = self._now()
                rest = (ended - began) * self._rest_for_second
                self._rest_until = ended + min(rest, LONGEST_REST_S)
