"""Decide which records another router may have read and acted on. Pure: no Faust, no Kafka.

Those are the records below a partition's end offset at the moment of its assignment (ADR 0006).
Each assignment begins anew, also for a partition that was assigned before: if the group took this
process for dead, another router has had the partition meanwhile, and no assignment without it shows
that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tongban_router.faust_runtime.progress import Partition

_UNKNOWN = 2**62


class RedeliveryWindow:
    """Keeps the end offset of each partition at its assignment. Until it is known, every record may
    have been read by a predecessor."""

    def __init__(self) -> None:
        self._ends: dict[Partition, int] = {}
        self.assignment = 0
        """Number of the present assignment. End offsets queried in an earlier one do not count."""

    def assign(self, partitions: Iterable[Partition]) -> int:
        """Begin an assignment of exactly these partitions; return its number."""
        self._ends = dict.fromkeys(partitions, _UNKNOWN)
        self.assignment += 1
        return self.assignment

    def learn(self, assignment: int, ends: Mapping[Partition, int]) -> None:
        """Set end offsets that were queried in that assignment; ignored if it is over."""
        if assignment == self.assignment:
            self._ends.update(ends)

    def may_have_read(self, partition: Partition, offset: int) -> bool:
        """Return True if a predecessor may have read this record."""
        return offset < self._ends.get(partition, _UNKNOWN)
