"""Tracks the records of a producer that Kafka has not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from tongban_kafka.errors import KafkaUnavailableError
from tongban_kafka.record import RawHeaders

_OVERHEAD = 200
"""Bytes that the memory bound counts for one record besides its key and value."""


@dataclass(slots=True)
class Waiting:
    """Holds a record that the client cannot accept: no connection, no metadata, a full batch."""

    deadline: float
    future: asyncio.Future[Any]
    size: int
    arguments: tuple[str, bytes | None, bytes | None, RawHeaders]


class PendingSends:
    """Holds records without acknowledgement, bounded in number and bytes.

    Records are in the order of the calls and so of their deadlines (`loop.time()`). One queue holds
    those that the client has accepted, and one for each topic those that wait for the client.
    """

    def __init__(self, *, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self._accepted: deque[tuple[float, asyncio.Future[Any], int]] = deque()
        self.waiting: dict[str, deque[Waiting]] = {}
        self.acknowledged = 0
        self.failed = 0
        self.refused: Exception | None = None
        """The error with which the broker refused a batch of the present client."""

    def __len__(self) -> int:
        return len(self._accepted) + sum(map(len, self.waiting.values()))

    def admit(self, key: bytes | None, value: bytes | None) -> int:
        """Return the bytes that one more record counts for.

        Raises:
            KafkaUnavailableError: there is no room for it.
        """
        if self._is_full():
            self.settle()
            if self._is_full():
                raise KafkaUnavailableError("too many records wait for acknowledgement")
        return _OVERHEAD + (len(key) if key else 0) + (len(value) if value else 0)

    def _is_full(self) -> bool:
        waiting = sum(map(len, self.waiting.values())) if self.waiting else 0
        return len(self._accepted) + waiting >= self._max_records or self._bytes >= self._max_bytes

    def add_accepted(self, deadline: float, future: asyncio.Future[Any], size: int) -> None:
        """Track a record that the client has accepted."""
        self._accepted.append((deadline, future, size))
        self._bytes += size

    def wait(self, item: Waiting) -> None:
        """Queue a record until the client can accept it."""
        self.waiting.setdefault(item.arguments[0], deque()).append(item)
        self._bytes += item.size

    def next_waiting(self, topic: str) -> Waiting | None:
        """Return the first unresolved record that waits for a topic; None if there is none."""
        queue = self.waiting.get(topic)
        while queue and queue[0].future.done():
            self._bytes -= queue.popleft().size
        if queue:
            return queue[0]
        self.waiting.pop(topic, None)
        return None

    def leave(self, topic: str) -> Waiting:
        """Remove and return the first waiting record of a topic."""
        item = self.waiting[topic].popleft()
        self._bytes -= item.size
        return item

    def settle(self) -> None:
        """Remove and count the accepted records that were acknowledged or failed."""
        accepted = self._accepted
        while accepted and accepted[0][1].done():
            _, future, size = accepted.popleft()
            self._bytes -= size
            if future.cancelled():
                continue
            error = future.exception()
            if error is None:
                self.acknowledged += 1
            else:
                self.failed += 1
                if isinstance(error, KafkaError):
                    self.refused = error

    def is_late(self, now: float) -> bool:
        """Return True if a record that the client accepted is past its deadline."""
        return bool(self._accepted) and self._accepted[0][0] <= now

    def expire_waiting(self, now: float) -> None:
        """Fail the waiting records that are past their deadlines."""
        for topic, queue in list(self.waiting.items()):
            late = KafkaUnavailableError(f"{topic}: Kafka could not be reached in time")
            for item in queue:
                if item.deadline > now:
                    break
                self.failed += fail(item.future, late)
            self.next_waiting(topic)

    def fail_accepted(self, text: str) -> int:
        """Fail all records that the client has accepted. Return how many failed."""
        count = 0
        for _, future, size in self._accepted:
            self._bytes -= size
            count += fail(future, KafkaUnavailableError(text))
        self._accepted.clear()
        self.failed += count
        self.refused = None
        return count

    def fail_all(self, text: str) -> None:
        """Fail all records, accepted or waiting."""
        self.fail_accepted(text)
        for topic in list(self.waiting):
            for item in self.waiting[topic]:
                self.failed += fail(item.future, KafkaUnavailableError(text))
            self.next_waiting(topic)

    def futures(self) -> list[asyncio.Future[Any]]:
        """Return the futures of all records without acknowledgement."""
        left = [future for _, future, _ in self._accepted if not future.done()]
        return left + [item.future for queue in self.waiting.values() for item in queue]


def fail(future: asyncio.Future[Any], error: Exception) -> bool:
    """Set an exception unless the future is done. Return True if it was set."""
    if future.done():
        return False
    future.set_exception(error)
    # Marks the error as retrieved: a caller of `send_nowait` need not look at its future.
    future.exception()
    return True


def copy_result(outer: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
    """Resolve the caller's future as the client's future was resolved."""
    if outer.done():
        if not done.cancelled():
            done.exception()
        return
    if done.cancelled():
        outer.cancel()
    elif (error := done.exception()) is not None:
        outer.set_exception(error)
    else:
        outer.set_result(done.result())
