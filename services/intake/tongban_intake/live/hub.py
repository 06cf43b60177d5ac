"""Fan out records of the topics to the event streams of this replica."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from tongban_common import topics
from tongban_kafka import Record

TOPICS = (topics.REQUESTS_STATUS, topics.DOCUMENTS_PRINTED, topics.NOTIFICATIONS_SENT)
_QUEUE = 256
"""Most records that one stream may be behind. A whole request has a dozen."""


class Subscription:
    """Queues records for one event stream."""

    def __init__(self, backlog: list[Record]) -> None:
        self._records: deque[Record] = deque(backlog)
        self._wake = asyncio.Event()
        self.closed = False
        """True once no more records will follow: the client is too slow, or the hub has closed
        it."""

    def offer(self, record: Record) -> None:
        """Add a record. A stream that is too far behind is closed; its client may connect again
        with its Last-Event-ID."""
        if len(self._records) >= _QUEUE:
            self.close()
        if not self.closed:
            self._records.append(record)
            self._wake.set()

    def close(self) -> None:
        """End the queue, and wake the stream for the last time."""
        self.closed = True
        self._wake.set()

    async def wait(self, seconds: float) -> list[Record]:
        """Wait for records and return them; an empty list if none arrives within `seconds`."""
        if not self._records and not self.closed:
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return []
        self._wake.clear()
        found = list(self._records)
        self._records.clear()
        return found


class Hub:
    """Passes each record to the subscriptions of its request, undecoded, because most requests have
    no subscription.

    The newest records are kept for streams that open later, because the read model, from which a
    stream takes the history, may be a moment behind.
    """

    def __init__(self, *, kept_records: int = 10_000, kept_bytes: int = 16 * 1024 * 1024) -> None:
        self._kept_records = kept_records
        self._kept_bytes = kept_bytes
        self._order: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._kept: dict[bytes, deque[Record]] = {}
        self._watchers: dict[bytes, set[Subscription]] = {}
        self._of_kiosk: dict[str, set[Subscription]] = {}
        self.open = 0
        self._closed = False

    def on_record(self, record: Record) -> None:
        """Handle a record of the topics; the callback of `BroadcastTail`."""
        if record.key is None:
            return
        self._keep(record.key, record)
        for watcher in self._watchers.get(record.key, ()):
            watcher.offer(record)

    def _keep(self, key: bytes, record: Record) -> None:
        size = len(record.value or b"")
        self._kept.setdefault(key, deque()).append(record)
        self._order.append((key, size))
        self._bytes += size
        while len(self._order) > self._kept_records or self._bytes > self._kept_bytes:
            oldest, size = self._order.popleft()
            self._bytes -= size
            mine = self._kept[oldest]
            mine.popleft()
            if not mine:
                del self._kept[oldest]

    @contextmanager
    def watch(self, request_id: str, *, kiosk_id: str = "") -> Iterator[Subscription]:
        """Subscribe to a request while held, from its kept records on; `kiosk_id` is the kiosk of
        the stream, for `close_kiosk`."""
        key = request_id.encode()
        subscription = Subscription(list(self._kept.get(key, ())))
        watchers = self._watchers.setdefault(key, set())
        watchers.add(subscription)
        of_kiosk = self._of_kiosk.setdefault(kiosk_id, set())
        of_kiosk.add(subscription)
        self.open += 1
        if self._closed:
            subscription.close()
        try:
            yield subscription
        finally:
            self.open -= 1
            watchers.discard(subscription)
            if not watchers:
                self._watchers.pop(key, None)
            of_kiosk.discard(subscription)
            if not of_kiosk:
                self._of_kiosk.pop(kiosk_id, None)

    def close_kiosk(self, kiosk_id: str) -> None:
        """End the streams of one kiosk, because its rights may have changed. It may connect
        again."""
        for watcher in self._of_kiosk.get(kiosk_id, ()):
            watcher.close()

    def close(self) -> None:
        """End all streams, so that a stopping process can close its connections."""
        self._closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()
