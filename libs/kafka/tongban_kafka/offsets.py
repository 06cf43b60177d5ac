"""Which offsets of one partition are done, and how far that is without a gap. Pure bookkeeping."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class OffsetTracker:
    """Finds the contiguous done prefix of a partition whose records end in any order.

    Only offsets that were fetched are known, so holes in a log (compaction, transaction markers)
    never hold the prefix back. `add` and `done` are O(1) an offset, amortised; memory is one
    integer an offset between the prefix and the highest offset added, which the worker bounds by
    `span`.
    """

    __slots__ = ("_done", "_next", "_open")

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._done: set[int] = set()
        self._next = -1

    def begin(self, position: int) -> None:
        """Forget everything; the first record that will be fetched has this offset, or a higher
        one. Also for a log whose offsets have gone back."""
        self._open.clear()
        self._done.clear()
        self._next = position

    def goes_back(self, offset: int) -> bool:
        """Return True if a record of that offset, fetched next, shows that the log is another one:
        made anew, or cut off behind what was read."""
        return offset < self._next

    def skip(self, position: int) -> None:
        """Pass over offsets that were not fetched, up to this position, as if they were done."""
        self._next = max(self._next, position)

    def add(self, offsets: Sequence[int]) -> int:
        """Records were fetched, in rising order; how many offsets were missing before the first.

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
        """A record needs no more work.

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
        """What to commit: the lowest offset that is not done. None before `begin` or `add`."""
        if self._open:
            return self._open[0]
        return None if self._next < 0 else self._next

    @property
    def span(self) -> int:
        """Offsets from the lowest that is not done to the highest fetched, both counted."""
        return self._next - self._open[0] if self._open else 0

    @property
    def unfinished(self) -> int:
        """Records that are fetched and not done."""
        return len(self._open) - len(self._done)
