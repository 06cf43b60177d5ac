"""Which records another router may have read before us, and acted on. Pure; `app` asks it.

That is known by offsets: whatever was in a partition when it was assigned. Each assignment begins
anew, also of a partition that we had before: where we were thought dead, another has had it since,
and no assignment without it has told us so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tongban_router.faust_runtime.progress import Partition

_UNKNOWN = 2**62


class RedeliveryWindow:
    """The end offset of each partition when it was assigned; until that is known, whatever comes
    may have been read."""

    def __init__(self) -> None:
        self._ends: dict[Partition, int] = {}
        self.assignment = 0
        """Counts up: what was asked in an earlier one says nothing of this one."""

    def assign(self, partitions: Iterable[Partition]) -> int:
        """These and no others are ours from now on; returns the assignment's number."""
        self._ends = dict.fromkeys(partitions, _UNKNOWN)
        self.assignment += 1
        return self.assignment

    def learn(self, assignment: int, ends: Mapping[Partition, int]) -> None:
        """The end offsets, asked for in this assignment."""
        if assignment == self.assignment:
            self._ends.update(ends)

    def may_have_read(self, partition: Partition, offset: int) -> bool:
        """Whether one of them may have read this record."""
        return offset < self._ends.get(partition, _UNKNOWN)
