"""Detect that the agent was not handed every record of a partition. Pure: no Faust, no Kafka.

faust-streaming 0.15.3 commits past records that it dropped on the way to the agent (see
`consumer`). The router's sources have no holes, since they are neither compacted nor written in
transactions. So a record that is not the next one of its partition shows that one was dropped. The
caller then ends the process before the offset is committed, and the process that follows reads from
the last committed offset (ADR 0007).

Retention may leave a hole in the log of a router that was away for days. The consumer finds such a
hole by fetching twice, and calls `GapDetector.allow` before it hands on the record behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tongban_router.faust_runtime.progress import Partition


class RecordsSkippedError(Exception):
    """Records were skipped; `expected` is the offset of the first one."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"offset {found} came instead of {expected}")


class LogTruncatedError(Exception):
    """The log of a partition is shorter than what was read of it: the log has gone back."""

    def __init__(self, partition: Partition, expected: int, found: int) -> None:
        self.topic, number = partition
        super().__init__(f"{self.topic}-{number}: {expected} was next, the log is at {found}")


class GapDetector:
    """Keeps a mark for each partition: every record below it has been handled, by this process or,
    according to the committed offset, by others.

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
