"""Tracks which offsets of one partition are done, and how far without a gap."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class OffsetTracker:
    """Finds the contiguous done prefix of a partition whose records end in any order.

    Only fetched offsets count, so gaps in a log (compaction, transaction markers) never hold the
    prefix back. `add` and `done` take amortised O(1) time for each offset. Memory is one integer
    for each offset between the prefix and the highest one added; the worker bounds it by `span`.
    """

    __slots__ = ("_done", "_next", "_open")

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._done: set[int] = set()
        self._next = -1

    def begin(self, position: int) -> None:
        """Start anew at `position`: the next record fetched has this offset or a higher one. Also
        called for a log whose offsets went back."""
        self._open.clear()
        self._done.clear()
        self._next = position

    def goes_back(self, offset: int) -> bool:
        """Return True if a fetched record of that offset proves that the log was replaced or
        truncated: the offset was expected before."""
        return offset < self._next

    def skip(self, position: int) -> None:
        """Treat offsets below `position` that were not fetched as done."""
        self._next = max(self._next, position)

    def add(self, offsets: Sequence[int]) -> int:
        """Add fetched offsets, in rising order. Return how many are missing before the first.

        Raises:
            ValueError: the first of these offsets, or a later one, was added before.
        """
        if not offsets:
            return 0
        expected = self._next
        if offsets[0] < expected:
            raise ValueError(f"offset {offsets[0]} after {expected - 1}")
        self._open.extend(offsets)
        self._next = offsets[-1] + 1
        return offsets[0] - expected if expected >= 0 else 0

    def done(self, offset: int) -> None:
        """Mark an offset as done.

        Raises:
            ValueError: the offset is not open: it was never added, or is done already.
        """
        open_ = self._open
        done = self._done
        if open_ and open_[0] == offset:
            open_.popleft()
            while done and open_[0] in done:
                done.remove(open_.popleft())
            return
        if not open_ or not open_[0] < offset < self._next or offset in done:
            raise ValueError(f"offset {offset} is not open")
        done.add(offset)

    @property
    def position(self) -> int | None:
        """Return the offset to commit: the lowest not done. None before `begin` or `add`."""
        if self._open:
            return self._open[0]
        return None if self._next < 0 else self._next

    @property
    def ahead(self) -> frozenset[int]:
        """Return the offsets above `position` that are done."""
        return frozenset(self._done)

    @property
    def count_ahead(self) -> int:
        """Return the number of offsets above `position` that are done."""
        return len(self._done)

    @property
    def span(self) -> int:
        """Return the number of offsets from the lowest that is not done to the highest fetched."""
        return self._next - self._open[0] if self._open else 0

    @property
    def unfinished(self) -> int:
        """Return how many fetched records are not done."""
        return len(self._open) - len(self._done)
