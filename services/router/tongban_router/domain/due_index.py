"""Keep the next due moment of each request in memory. It is rebuilt from the table at each start.

A moment that has come becomes an event on router.timers, which the agent handles like any other
input (ADR 0004): Faust writes a table only while it handles a record, whose partition it uses, and
an event is as ordered, repeatable and testable as an outcome.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta


class DueIndex:
    """Keeps the next due moment of each request. Not thread-safe."""

    def __init__(self, *, resend_after: timedelta) -> None:
        """Make an empty index.

        Args:
            resend_after: business time after which a due request is due again, unless `set` was
                called meanwhile.
        """
        self._due: dict[bytes, datetime] = {}
        self._heap: list[tuple[datetime, bytes]] = []
        self._resend_after = resend_after

    def __len__(self) -> int:
        return len(self._due)

    def clear(self) -> None:
        """Remove all requests, before the index is rebuilt."""
        self._due.clear()
        self._heap.clear()

    def set(self, key: bytes, due: datetime | None) -> None:
        """Set the due moment of a request; None removes the request."""
        if due is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due:
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def pop_due(self, now: datetime, limit: int) -> Iterator[tuple[bytes, datetime]]:
        """Yield at most `limit` due requests. Each is due again later, unless `set` is called."""
        for _ in range(limit):
            if not self._heap or self._heap[0][0] > now:
                return
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) != due:
                continue  # `set` has been called since
            again = now + self._resend_after
            self._due[key] = again
            heapq.heappush(self._heap, (again, key))
            yield key, due
