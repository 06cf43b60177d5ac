"""That no record of a partition is passed over.

Faust commits what it has handed to the agent, also past records that it dropped on the way (see
`consumer`). The topics that the router reads have no holes: nothing is compacted, nothing is
written in transactions. So a record that is not the next one means that one was dropped, and the
process ends before its offset can be committed; whoever comes next reads from the last commit.

Where the log does have a hole (retention has overtaken a router that was away for days), the
consumer has found it by fetching twice, and says so before it hands on the record behind it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tongban_router.faust_runtime.producer import die
from tongban_router.faust_runtime.progress import Partition


class RecordsSkippedError(Exception):
    """The client skipped records; `expected` is the first of them."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"offset {found} came instead of {expected}")


class GapDetector:
    """Up to where each partition has been handled without a gap, by this process or, as the
    committed offset says, by others.

    What is on its way to the agent when Faust seeks back comes before what is read again, so a
    record may come twice and a seek never lowers the mark.
    """

    def __init__(self) -> None:
        self._handled_to: dict[Partition, int] = {}
        self._holes: set[tuple[Partition, int, int]] = set()
        """Partition, first missing offset, next that is there. A hole of a log stays one."""

    def begin(
        self, positions: Mapping[Partition, int], ends: Mapping[Partition, int] | None = None
    ) -> None:
        """Partitions are read from these offsets on; their logs end at `ends`.

        Ends the process where it has handled more of a partition than its log has: the log has gone
        back, and Faust's own books of acknowledged offsets are those of the old one.
        """
        for partition, position in positions.items():
            mark = self._handled_to.get(partition, position)
            end = (ends or {}).get(partition)
            if end is not None and mark > max(end, position):
                die("router.log_went_back", RecordsSkippedError(mark, end), partition[0])
            self._handled_to[partition] = max(mark, position)

    def allow(self, partition: Partition, first: int, found: int) -> None:
        """The log itself has nothing from `first` up to `found`. This hole and no other may be
        passed over: what is dropped before or behind it still ends the process."""
        self._holes.add((partition, first, found))

    def follow(self, partition: Partition, offset: int) -> None:
        """This record is about to be handled.

        Ends the process where records were passed over.
        """
        mark = self._handled_to.get(partition, offset)
        if offset > mark and (partition, mark, offset) not in self._holes:
            die("router.records_passed_over", RecordsSkippedError(mark, offset), partition[0])
        self._handled_to[partition] = max(mark, offset + 1)
