"""Decide by a record's offset if it is the next one, if any before it was skipped, and if another
router may have read it. Pure: no Faust, no Kafka.

Two faults of faust-streaming 0.15.3 make that necessary (ADR 0007). `OffsetSequencer` meets the
first: Faust seeks while records that were fetched earlier are still on their way through it, and
acknowledges the offsets between two records that it hands on. So a record that was fetched before a
seek to 0 could be handled first and its offset be committed, and the records before it would never
be read. `GapDetector` meets the second: Faust commits past records that it dropped on the way to
the agent (see `consumer`). tests/integration/router/test_consumer.py reproduces both.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum, auto
from typing import Generic, TypeVar

from tongban_router.errors import RouterError

Partition = tuple[str, int]
"""Topic and number. Faust's `TP` is such a tuple."""
PartitionT = TypeVar("PartitionT", bound=Hashable)


class OffsetVerdict(Enum):
    """Verdict on a fetched record."""

    TAKE = auto()
    """Hand it on: it is the next one."""
    DROP = auto()
    """Drop it: it was handed on already, or will be fetched again."""
    GO_BACK = auto()
    """Drop it and seek to `OffsetSequencer.expected`: records before it are missing."""
    TAKE_OVER_HOLE = auto()
    """Hand it on: it was fetched again in place of the missing ones, so the log has a hole."""
    WENT_BACK = auto()
    """Its offset is lower than one that was fetched since the last seek: this is another log."""


class OffsetSequencer(Generic[PartitionT]):
    """Keeps the next offset of each partition.

    Between two seeks of ours the offsets of a partition are monotonic. A lower one shows that the
    log itself has gone back: the topic was deleted and created again, or its tail was lost in an
    unclean election. If such records were dropped as stale, every new submission up to the old
    offset would be lost.

    For a seek call `begin` or `seeking` before it and `sought` after it; call `fetch` before each
    fetch and `judge` for each record.
    """

    def __init__(self) -> None:
        self._next: dict[PartitionT, int] = {}
        self._doubted: dict[PartitionT, int] = {}
        """The offset of the record that led to `GO_BACK`."""
        self._hole: dict[PartitionT, int] = {}
        self._fetched_to: dict[PartitionT, int] = {}
        """The offset below which no record may come until the next seek. Absent while a seek of
        ours is under way, since records that were fetched before it may still come."""
        self._sought: dict[PartitionT, int] = {}
        """Positions of finished seeks. The fetches that begin later start there."""
        self._seek = 0

    def begin(self, positions: Mapping[PartitionT, int]) -> int:
        """Expect these offsets next, before a seek to them. Records fetched earlier are stale.

        Returns:
            the number of the seek, for `sought`.
        """
        self._next = dict(positions)
        self._doubted.clear()
        return self.seeking()

    def seeking(self) -> int:
        """Announce a seek of all partitions to their expected offsets; return its number."""
        self._fetched_to.clear()
        self._sought.clear()
        self._seek += 1
        return self._seek

    def sought(self, seek: int, positions: Mapping[PartitionT, int]) -> None:
        """Note that this seek is finished. Does nothing if a newer one has been announced."""
        if seek == self._seek:
            self._sought.update({p: at for p, at in positions.items() if p in self._next})

    def fetch(self) -> None:
        """Note that a fetch begins, after the seeks that are finished."""
        self._fetched_to.update(self._sought)
        self._sought.clear()

    @property
    def seek(self) -> int:
        """The number of the newest seek of all partitions."""
        return self._seek

    def forget(self, partitions: Iterable[PartitionT]) -> None:
        """Drop all records of these partitions until `begin`: they were revoked."""
        for partition in partitions:
            for kept in (self._next, self._doubted, self._fetched_to, self._sought):
                kept.pop(partition, None)

    def expected(self, partition: PartitionT) -> int:
        """Return the next offset of a partition that `begin` has named."""
        return self._next[partition]

    def hole(self, partition: PartitionT) -> int:
        """Return the first missing offset of the newest hole in this partition."""
        return self._hole[partition]

    def positions(self) -> dict[PartitionT, int]:
        """Return the next offset of each partition."""
        return dict(self._next)

    def judge(self, partition: PartitionT, offset: int) -> OffsetVerdict:
        """Return the verdict on a fetched record, and expect the one after it if it is next."""
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
                return OffsetVerdict.DROP  # it was fetched together with the doubted record
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


class RecordsSkippedError(RouterError):
    """Records were skipped; `expected` is the offset of the first one."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"offset {found} came instead of {expected}")


class LogTruncatedError(RouterError):
    """The log of a partition is shorter than what was read of it: the log has gone back."""

    def __init__(self, partition: Partition, expected: int, found: int) -> None:
        self.topic, number = partition
        super().__init__(f"{self.topic}-{number}: {expected} was next, the log is at {found}")


class GapDetector:
    """Keeps a mark for each partition: every record below it has been handled, by this process or,
    according to the committed offset, by others.

    The router's sources have no holes, since they are neither compacted nor written in
    transactions. So a record that is not the next one of its partition shows that one was dropped.
    The caller then ends the process before the offset is committed, and the process that follows
    reads from the last committed offset.

    Retention may leave a hole in the log of a router that was away for days. The consumer finds
    such a hole by fetching twice, and calls `allow` before it hands on the record behind it.

    A record may come twice, since records that are on their way to the agent when Faust seeks back
    arrive before those that are read again. So a seek never lowers the mark.
    """

    def __init__(self) -> None:
        self._handled_to: dict[Partition, int] = {}
        self._holes: set[tuple[Partition, int, int]] = set()
        """Partition, first missing offset, next existing offset. Never removed: a hole stays."""

    def begin(
        self, positions: Mapping[Partition, int], ends: Mapping[Partition, int] | None = None
    ) -> None:
        """Note that partitions are read from `positions` on; their logs end at `ends`.

        Raises:
            LogTruncatedError: more of a partition has been handled than its log has. The process
                has to end, since Faust's record of acknowledged offsets is that of the old log.
        """
        for partition, position in positions.items():
            mark = self._handled_to.get(partition, position)
            end = (ends or {}).get(partition)
            if end is not None and mark > max(end, position):
                raise LogTruncatedError(partition, mark, end)
            self._handled_to[partition] = max(mark, position)

    def begun_to(self, partition: Partition) -> int:
        """Return the offset from which on this process has begun no record; 0 if it began none."""
        return self._handled_to.get(partition, 0)

    def allow(self, partition: Partition, first: int, found: int) -> None:
        """Allow one hole of the log, from offset `first` up to but not including `found`. Records
        that are dropped before or behind it are still detected."""
        self._holes.add((partition, first, found))

    def follow(self, partition: Partition, offset: int) -> None:
        """Note that this record is about to be handled.

        Raises:
            RecordsSkippedError: records before it have not been handled.
        """
        mark = self._handled_to.get(partition, offset)
        if offset > mark and (partition, mark, offset) not in self._holes:
            raise RecordsSkippedError(mark, offset)
        self._handled_to[partition] = max(mark, offset + 1)


_UNKNOWN = 2**62


class RedeliveryWindow:
    """Keeps the end offset of each partition at its assignment: another router may have read and
    acted on the records below it (ADR 0006). Until it is known, that holds for every record.

    Each assignment begins anew, also for a partition that was assigned before: if the group took
    this process for dead, another router has had the partition meanwhile, and no assignment without
    it shows that.
    """

    def __init__(self) -> None:
        self._ends: dict[Partition, int] = {}
        self._begun: dict[Partition, int] = {}
        self.assignment = 0
        """Number of the present assignment. End offsets queried in an earlier one do not count."""

    def assign(self, partitions: Iterable[Partition]) -> int:
        """Begin an assignment of exactly these partitions; return its number."""
        self._ends = dict.fromkeys(partitions, _UNKNOWN)
        self._begun = {}
        self.assignment += 1
        return self.assignment

    def learn(self, assignment: int, ends: Mapping[Partition, int]) -> None:
        """Set end offsets that were queried in that assignment; ignored if it is over."""
        if assignment == self.assignment:
            self._ends.update(ends)

    def take(self, assignment: int, begun: Mapping[Partition, int]) -> None:
        """Set what predecessors have handed over in that assignment: the offset of each partition
        from which on they have begun no record."""
        if assignment == self.assignment:
            self._begun.update(begun)

    def end(self, partition: Partition) -> int | None:
        """Return the offset from which on no predecessor has read; None if it is not known."""
        end = min(self._ends.get(partition, _UNKNOWN), self._begun.get(partition, _UNKNOWN))
        return None if end == _UNKNOWN else end

    def may_have_read(self, partition: Partition, offset: int) -> bool:
        """Return True if a predecessor may have read this record."""
        end = self.end(partition)
        return end is None or offset < end


class Handover:
    """Gives to the successor, and takes from predecessors, how far records have been begun."""

    def __init__(self, window: RedeliveryWindow, gaps: GapDetector) -> None:
        self._window = window
        self._gaps = gaps

    def assignment(self) -> int:
        """Return the number of the present assignment."""
        return self._window.assignment

    def take(self, assignment: int, begun: Mapping[Partition, int]) -> None:
        """Take what predecessors have handed over; ignored if that assignment is over."""
        self._window.take(assignment, begun)

    def begun_to(self, partition: Partition, committed: int) -> int | None:
        """Return the offset from which on neither this process nor a predecessor has begun a
        record; None if that is not known."""
        end = self._window.end(partition)
        return None if end is None else max(end, committed, self._gaps.begun_to(partition))
