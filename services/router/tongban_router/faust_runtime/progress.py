"""Whether the router moves: what its liveness probe tells.

Faust consumers are known to die slowly (faust-streaming #175): the process runs, its web server
answers, no event is handled. So liveness compares what has been handled with the end of each
assigned partition, and readiness says whether the broker could be asked at all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

Partition = tuple[str, int]


class RouterProgress:
    """Handled offsets against end offsets. Times are `time.monotonic` seconds."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._handled: dict[Partition, int] = {}
        self._moved_at: dict[Partition, float] = {}
        self._behind: set[Partition] = set()
        self._looked_at = self._tried_at = time.monotonic()
        self.assigned: frozenset[Partition] = frozenset()

    def assign(self, partitions: frozenset[Partition]) -> None:
        """These are ours from now on; lag counts from this moment."""
        now = time.monotonic()
        for partition in partitions - self.assigned:
            self._moved_at[partition] = now
            self._handled.pop(partition, None)
        self._behind &= partitions
        self.assigned = partitions

    def handled(self, partition: Partition, offset: int) -> None:
        """This record has been dealt with."""
        self._handled[partition] = offset
        self._moved_at[partition] = time.monotonic()

    def trying(self) -> None:
        """The lag is about to be asked for, whatever comes of it."""
        self._tried_at = time.monotonic()

    def look(self, ends: Mapping[Partition, int], committed: Mapping[Partition, int]) -> None:
        """Compare with end offsets (the offset of the next record) and committed ones."""
        now = self._looked_at = time.monotonic()
        self._behind.clear()
        for partition in self.assigned:
            # What is committed counts as well: where we were thought dead another has gone on with
            # the partition, and what it did will not come here any more.
            done = max(self._handled.get(partition, -1) + 1, committed.get(partition, 0))
            if ends.get(partition, 0) > done:
                self._behind.add(partition)
            else:
                self._moved_at[partition] = now

    def stalled(self) -> str | None:
        """Why the process should be restarted, or None."""
        now = time.monotonic()
        if now - self._tried_at > self._stall_s:
            # Without lag there is no telling progress from death, so silence counts as the latter.
            return "nobody asks for the lag any more"
        stuck = [p for p in self._behind if now - self._moved_at.get(p, now) > self._stall_s]
        if stuck:
            return f"no progress on {len(stuck)} partitions with lag, e.g. {stuck[0]}"
        return None

    def blind(self) -> str | None:
        """Why the lag is not known, or None."""
        if time.monotonic() - self._looked_at > self._stall_s:
            return "the broker has not told end offsets for a while"
        return None
