"""That no record of a partition is passed over.

Faust commits what it has handed to the agent, also past records that it dropped on the way (see
`consumer`). The topics that the router reads have no holes: nothing is compacted, nothing is
written in transactions. So a record that is not the next one means that one was dropped, and the
process ends before its offset can be committed; whoever comes next reads from the last commit.

Where the log does have a hole (retention has overtaken a router that was away for days), it is
there again after the restart; it is told, and the router goes on behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from tongban_router.dispatch.producer import die
from tongban_router.dispatch.progress import Partition

log = structlog.get_logger()


class RecordsPassedOver(Exception):
    """The client skipped records; `expected` is the first of them."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"offset {found} came instead of {expected}")


class Continuity:
    """Up to where each partition has been handled without a gap, by this process or, as the
    committed offset says, by others.

    What is on its way to the agent when Faust seeks back comes before what is read again, so a
    record may come twice and a seek never lowers the mark.

    Args:
        memory: a directory; holes that a restart did not fill are remembered there.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._handled_to: dict[Partition, int] = {}

    def begin(self, positions: Mapping[Partition, int]) -> None:
        """Partitions are read from these offsets on."""
        for partition, position in positions.items():
            mark = self._handled_to.get(partition, position)
            self._handled_to[partition] = max(mark, position)

    def follow(self, partition: Partition, offset: int) -> None:
        """This record is about to be handled.

        Ends the process where records were passed over.
        """
        mark = self._handled_to.get(partition, offset)
        if offset > mark and not self._is_known_hole(partition, mark, offset):
            die("router.records_passed_over", RecordsPassedOver(mark, offset), partition[0])
        self._handled_to[partition] = max(mark, offset + 1)

    def _is_known_hole(self, partition: Partition, expected: int, found: int) -> bool:
        topic, number = partition
        mark = self._memory / f"{topic}-{number}-{expected}-{found}"
        if mark.exists():
            log.error("router.offsets_missing", topic=topic, partition=number, first=expected)
            return True
        self._memory.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return False
