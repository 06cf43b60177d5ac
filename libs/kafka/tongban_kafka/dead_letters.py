"""Builds dead letters, and limits how many are written."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

from tongban_kafka.config import DeadLetterLimit
from tongban_kafka.errors import Poison
from tongban_kafka.record import Record

DEAD_LETTER_PREFIX = "dlt_"
"""Prefix of the headers that a dead letter has besides the record's own."""
DEAD_LETTER_VALUE_BYTES = f"{DEAD_LETTER_PREFIX}value_bytes"
"""Header of a dead letter that was written without its value: the size of that value in bytes."""
DEAD_LETTER_BASE_OFFSET = f"{DEAD_LETTER_PREFIX}base_offset"
"""Header of a dead letter for an unreadable batch: the offset in the batch's header."""
DEAD_LETTER_NEXT_OFFSET = f"{DEAD_LETTER_PREFIX}next_offset"
"""Header of such a dead letter: the first offset after the batch."""
DeadLetter = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Key, value, headers."""


class Sink(Protocol):
    """Writes dead letters; `EventProducer` is one."""

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> Awaitable[Any]:
        """Resolve when Kafka has acknowledged the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """States why a worker gave a record up. It has the type and the place of the exception, but not
    its text, which may quote personal data from the record."""

    reason: str
    exception: str
    where: str
    attempts: int
    first_failed_at: float
    """Unix time, as the next."""
    last_failed_at: float

    @classmethod
    def of(cls, error: Exception, record: Record, first_failed_at: float) -> Cause:
        """Describe a failure without the text of its exception."""
        origin = error.__cause__ if isinstance(error, Poison) and error.__cause__ else error
        frames = traceback.extract_tb(origin.__traceback__)
        where = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        kind = type(origin)
        return cls(
            reason=error.cause if isinstance(error, Poison) else "failed again and again",
            exception=f"{kind.__module__}.{kind.__qualname__}",
            where=where,
            attempts=record.attempt,
            first_failed_at=first_failed_at,
            last_failed_at=time.time(),
        )


def dead_letter_value(record: Record) -> bytes | None:
    """Return the record's value, or an empty one where both key and value are missing: a producer
    refuses a record of neither, and such a record of another client must not stop a partition."""
    return b"" if record.key is None and record.value is None else record.value


def dead_letter_headers(group: str, record: Record, cause: Cause) -> list[tuple[str, bytes]]:
    """Return the record's headers, and those that tell its origin and the reason.

    A record that was replayed and failed again has only the headers of the last failure.
    """
    added = {
        "group": group,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp_ms": str(record.timestamp_ms),
        "reason": cause.reason,
        "exception": cause.exception,
        "where": cause.where,
        "attempts": str(cause.attempts),
        "first_failed_ms": str(round(cause.first_failed_at * 1000)),
        "last_failed_ms": str(round(cause.last_failed_at * 1000)),
    }
    kept = [header for header in record.headers if not header[0].startswith(DEAD_LETTER_PREFIX)]
    return kept + [(DEAD_LETTER_PREFIX + name, value.encode()) for name, value in added.items()]


def dead_letter_forms(group: str, record: Record, cause: Cause) -> Iterator[DeadLetter]:
    """Yield the dead letter, then smaller forms of it for a broker that refuses it as too large.

    A record may be as large as the broker accepts, which leaves no room for more headers. The
    second form has no value, and the third nothing of the record: their headers locate the record.
    """
    headers = dead_letter_headers(group, record, cause)
    yield record.key, dead_letter_value(record), headers
    size = (DEAD_LETTER_VALUE_BYTES, b"%d" % len(record.value or b""))
    yield record.key, b"", [*headers, size]
    yield None, b"", [*dead_letter_headers(group, record._replace(headers=()), cause), size]


class LimitWindow:
    """Counts dead letters and ended records in a sliding window. Times are `time.monotonic()`."""

    _SLICES = 60

    def __init__(self, limit: DeadLetterLimit) -> None:
        self._limit = limit
        self._dead: deque[float] = deque()
        self._endings: deque[tuple[float, int]] = deque()
        self._ended = 0
        self._last_total = 0

    def seed(self, count: int, now: float) -> None:
        """Count dead letters of earlier runs and other replicas as if they were written now."""
        self._dead.extend([now] * min(count, self._limit.max_count))

    def observe_total(self, total: int, now: float) -> None:
        """Record how many records have ended since the process began; `total` never falls."""
        if self._endings and now - self._endings[-1][0] < self._limit.window / self._SLICES:
            at, count = self._endings.pop()
            self._endings.append((at, count + total - self._last_total))
        else:
            self._endings.append((now, total - self._last_total))
        self._ended += total - self._last_total
        self._last_total = total

    def admit(self, now: float) -> bool:
        """Count one more dead letter if the limit allows it. Return False if it does not."""
        since = now - self._limit.window
        while self._dead and self._dead[0] < since:
            self._dead.popleft()
        while self._endings and self._endings[0][0] < since:
            self._ended -= self._endings.popleft()[1]
        count = len(self._dead) + 1
        if count > self._limit.max_count:
            return False
        if count >= self._limit.ratio_from and count > self._limit.max_ratio * (
            self._ended + count
        ):
            return False
        self._dead.append(now)
        return True
