"""Which fetched record of a partition is the next one. Pure; `consumer` asks it.

Faust seeks while records that were fetched before are still on their way through it, and counts as
done what lies between two records that it hands on. So a record that was fetched before a seek to 0
could be handled first, its offset committed, and those before it never be read.

Between two seeks of ours the offsets of a partition only rise. Where one comes that is lower, the
log itself has gone back: the topic was deleted and made anew, or its tail was lost in an unclean
election. To drop such records as stale would lose every new submission up to the old offset.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum, auto
from typing import Generic, TypeVar

PartitionT = TypeVar("PartitionT", bound=Hashable)


class OffsetVerdict(Enum):
    """What is to be done with a fetched record."""

    TAKE = auto()
    DROP = auto()
    GO_BACK = auto()
    """Drop it and fetch again from `OffsetSequencer.expected`: something before it is missing."""
    TAKE_OVER_HOLE = auto()
    """It came again in place of what is missing, so the log has a hole there."""
    WENT_BACK = auto()
    """It lies before one that was fetched since the last seek: this is another log."""


class OffsetSequencer(Generic[PartitionT]):
    """The offset at which each partition goes on."""

    def __init__(self) -> None:
        self._next: dict[PartitionT, int] = {}
        self._doubted: dict[PartitionT, int] = {}
        """The offset of the record for which we went back."""
        self._hole: dict[PartitionT, int] = {}
        self._fetched_to: dict[PartitionT, int] = {}
        """The offset below which nothing may be fetched until the next seek. Absent while a seek of
        ours is under way, since records from before it may still come."""
        self._sought: dict[PartitionT, int] = {}
        """Positions of finished seeks; they bind the fetches that begin after them."""
        self._seek = 0

    def begin(self, positions: Mapping[PartitionT, int]) -> int:
        """Expect these offsets next; what was fetched before the seek that follows is stale.

        Returns the number of that seek, for `sought`.
        """
        self._next = dict(positions)
        self._doubted.clear()
        return self.seeking()

    def seeking(self) -> int:
        """Announce a seek of all partitions to what is expected; returns its number."""
        self._fetched_to.clear()
        self._sought.clear()
        self._seek += 1
        return self._seek

    def sought(self, seek: int, positions: Mapping[PartitionT, int]) -> None:
        """Note that this seek is finished. Does nothing where a newer one has been announced."""
        if seek == self._seek:
            self._sought.update({p: at for p, at in positions.items() if p in self._next})

    def fetch(self) -> None:
        """A fetch begins: it brings nothing from before the seeks that are finished."""
        self._fetched_to.update(self._sought)
        self._sought.clear()

    @property
    def seek(self) -> int:
        """The number of the newest seek of all partitions."""
        return self._seek

    def forget(self, partitions: Iterable[PartitionT]) -> None:
        """They are not ours, or not sought yet: nothing of them is taken."""
        for partition in partitions:
            for kept in (self._next, self._doubted, self._fetched_to, self._sought):
                kept.pop(partition, None)

    def expected(self, partition: PartitionT) -> int:
        """The next offset of a partition that has been sought."""
        return self._next[partition]

    def hole(self, partition: PartitionT) -> int:
        """The first offset that was missing when a hole was last taken over."""
        return self._hole[partition]

    def positions(self) -> dict[PartitionT, int]:
        """The same of all of them."""
        return dict(self._next)

    def judge(self, partition: PartitionT, offset: int) -> OffsetVerdict:
        """A record has been fetched."""
        expected = self._next.get(partition)
        if expected is None:
            return OffsetVerdict.DROP
        fetched_to = self._fetched_to.get(partition)
        if fetched_to is not None:
            if offset < fetched_to:
                return OffsetVerdict.WENT_BACK
            self._fetched_to[partition] = offset + 1
        if offset < expected:
            return OffsetVerdict.DROP
        verdict = OffsetVerdict.TAKE
        if offset > expected:
            doubted = self._doubted.get(partition)
            if doubted is None:
                self._doubted[partition] = offset
                self._fetched_to.pop(partition, None)
                return OffsetVerdict.GO_BACK
            if offset > doubted:
                return OffsetVerdict.DROP  # what was fetched together with the doubted one
            verdict = OffsetVerdict.TAKE_OVER_HOLE
            self._hole[partition] = expected
        self._next[partition] = offset + 1
        self._doubted.pop(partition, None)
        return verdict

    def skip(self, partition: PartitionT, first: int, last: int) -> None:
        """Step over the offsets `first` (the next one) to `last`, which cannot be read."""
        self._next[partition] = max(self._next.get(partition, first), last + 1)
        if partition in self._fetched_to:
            self._fetched_to[partition] = last + 1
