"""Which request is due when, in memory; rebuilt from the table, so it need not be kept.

A moment that has come becomes an event on router.timers, and the agent handles it like any other
input: a table cannot be written from a timer (there is no current event there, so no partition),
and this way a moment is as ordered, as repeatable and as testable as an outcome.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta


class DueIndex:
    """The next due moment of each request. Not for several threads."""

    def __init__(self, *, resend_after: timedelta) -> None:
        """`resend_after`, business time: a moment announced and not handled comes again."""
        self._due: dict[bytes, datetime] = {}
        self._heap: list[tuple[datetime, bytes]] = []
        self._resend_after = resend_after

    def __len__(self) -> int:
        return len(self._due)

    def clear(self) -> None:
        """Forget all; another assignment is coming."""
        self._due.clear()
        self._heap.clear()

    def set(self, key: bytes, due: datetime | None) -> None:
        """What the newest state of a request says; None: nothing, or no request any more."""
        if due is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def pop_due(self, now: datetime, limit: int) -> Iterator[tuple[bytes, datetime]]:
        """At most `limit` requests that are due; each comes again later unless `set` anew."""
        for _ in range(limit):
            if not self._heap or self._heap[0][0] > now:
                return
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue  # a newer state has said otherwise
            again = now + self._resend_after
            self._due[key] = again
            heapq.heappush(self._heap, (again, key))
            yield key, due
