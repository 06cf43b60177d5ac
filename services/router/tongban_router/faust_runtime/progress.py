"""Decide liveness and readiness from the progress on each partition.

Faust consumers are known to die slowly (faust-streaming #175): the process runs and its web server
answers, but no event is handled. So the router is live if it makes progress wherever it has lag,
and ready if it could query end offsets lately.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

Partition = tuple[str, int]


class RouterProgress:
    """Compares handled offsets with end offsets.

    Args:
        stall_s: wall seconds of lag without progress after which the router is not live.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._handled: dict[Partition, int] = {}
        self._moved_at: dict[Partition, float] = {}
        self._behind: set[Partition] = set()
        self._looked_at = self._tried_at = time.monotonic()
        self.assigned: frozenset[Partition] = frozenset()

    def assign(self, partitions: frozenset[Partition]) -> None:
        """Begin an assignment of exactly these partitions; lag of new ones counts from now."""
        now = time.monotonic()
        for partition in partitions - self.assigned:
            self._moved_at[partition] = now
            self._handled.pop(partition, None)
        self._behind &= partitions
        self.assigned = partitions

    def handled(self, partition: Partition, offset: int) -> None:
        """Note that this record has been handled."""
        self._handled[partition] = offset
        self._moved_at[partition] = time.monotonic()

    def trying(self) -> None:
        """Note that the caller is about to query the broker, whether it answers or not."""
        self._tried_at = time.monotonic()

    def look(self, ends: Mapping[Partition, int], committed: Mapping[Partition, int]) -> None:
        """Compare the handled offsets with end offsets (of the next record) and committed ones."""
        now = self._looked_at = time.monotonic()
        self._behind.clear()
        for partition in self.assigned:
            # Committed offsets count as well: if the group took this process for dead, another
            # router has handled records that will not come here any more.
            done = max(self._handled.get(partition, -1) + 1, committed.get(partition, 0))
            if ends.get(partition, 0) > done:
                self._behind.add(partition)
            else:
                self._moved_at[partition] = now

    def stalled(self) -> str | None:
        """Return why the router is not live, or None."""
        now = time.monotonic()
        if now - self._tried_at > self._stall_s:
            # Without end offsets progress cannot be told from a stall, so count it as a stall.
            return "the timer that queries the lag has stopped"
        stuck = [p for p in self._behind if now - self._moved_at.get(p, now) > self._stall_s]
        if stuck:
            return f"no progress on {len(stuck)} partitions with lag, e.g. {stuck[0]}"
        return None

    def blind(self) -> str | None:
        """Return why the router is not ready (it does not know its lag), or None."""
        if time.monotonic() - self._looked_at > self._stall_s:
            return "the broker has not returned end offsets for a while"
        return None
