"""Which fetched record of a partition is the next one. Pure; `consumer` asks it.

Faust seeks while records that were fetched before are still on their way through it, and counts as
done what lies between two records that it hands on. So a record that was fetched before a seek to 0
could be handled first, its offset committed, and those before it never be read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum, auto
from typing import Generic, TypeVar

PartitionT = TypeVar("PartitionT", bound=Hashable)


class Verdict(Enum):
    """What is to be done with a fetched record."""

    TAKE = auto()
    DROP = auto()
    GO_BACK = auto()
    """Drop it and fetch again from `NextOffsets.expected`: something before it is missing."""
    TAKE_OVER_HOLE = auto()
    """It came again in place of what is missing, so the log has a hole there."""


class NextOffsets(Generic[PartitionT]):
    """The offset at which each partition goes on."""

    def __init__(self) -> None:
        self._next: dict[PartitionT, int] = {}
        self._doubted: dict[PartitionT, int] = {}
        """The offset of the record for which we went back."""
        self._hole: dict[PartitionT, int] = {}

    def begin(self, positions: Mapping[PartitionT, int]) -> None:
        """All partitions have been sought to these offsets; what was fetched before is stale."""
        self._next = dict(positions)
        self._doubted.clear()

    def forget(self, partitions: Iterable[PartitionT]) -> None:
        """They are not ours, or not sought yet: nothing of them is taken."""
        for partition in partitions:
            self._next.pop(partition, None)
            self._doubted.pop(partition, None)

    def expected(self, partition: PartitionT) -> int:
        """The next offset of a partition that has been sought."""
        return self._next[partition]

    def hole(self, partition: PartitionT) -> int:
        """The first offset that was missing when a hole was last taken over."""
        return self._hole[partition]

    def positions(self) -> dict[PartitionT, int]:
        """The same of all of them."""
        return dict(self._next)

    def judge(self, partition: PartitionT, offset: int) -> Verdict:
        """A record has been fetched."""
        expected = self._next.get(partition)
        if expected is None or offset < expected:
            return Verdict.DROP
        verdict = Verdict.TAKE
        if offset > expected:
            doubted = self._doubted.get(partition)
            if doubted is None:
                self._doubted[partition] = offset
                return Verdict.GO_BACK
            if offset > doubted:
                return Verdict.DROP  # what was fetched together with the doubted one
            verdict = Verdict.TAKE_OVER_HOLE
            self._hole[partition] = expected
        self._next[partition] = offset + 1
        self._doubted.pop(partition, None)
        return verdict
