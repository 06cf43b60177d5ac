"""The dead-letter topic: what goes into it, and how much may."""

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

PREFIX = "dlt_"
"""Of the headers that the worker adds to the original ones."""
VALUE_BYTES = f"{PREFIX}value_bytes"
"""Header of a dead letter without its value: how large that was."""
BASE_OFFSET = f"{PREFIX}base_offset"
"""Header of a dead letter that stands for an unreadable batch: the offset in the batch's header."""
NEXT_OFFSET = f"{PREFIX}next_offset"
"""Header of such a dead letter: the first offset after the batch."""
DeadLetter = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Key, value, headers."""


class Sink(Protocol):
    """What the worker needs of a producer (`EventProducer` has it)."""

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> Awaitable[Any]:
        """Resolve when Kafka has acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a worker gave a record up. Holds nothing of the record's content: an exception's text
    may quote the form of an applicant, so only its type and where it was raised are told."""

    reason: str
    exception: str
    where: str
    attempts: int
    first_failed_at: float
    """Unix time, as the next."""
    last_failed_at: float

    @classmethod
    def of(cls, error: Exception, record: Record, first_failed_at: float) -> Cause:
        """Tell what may be told of a failure."""
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
    """The value as it was; empty instead of none where the key is missing as well, as a producer
    takes no record of neither, and one of another client's must not stop a partition."""
    return b"" if record.key is None and record.value is None else record.value


def dead_letter_headers(group: str, record: Record, cause: Cause) -> list[tuple[str, bytes]]:
    """The original headers, and why and whence the record came here.

    A record that was dead before, replayed and died again keeps only the last of these.
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
    kept = [header for header in record.headers if not header[0].startswith(PREFIX)]
    return kept + [(PREFIX + name, value.encode()) for name, value in added.items()]


def dead_letter_forms(group: str, record: Record, cause: Cause) -> Iterator[DeadLetter]:
    """The dead letter, and what to write instead where it is too large: a record may be as large as
    a broker takes, and then there is no room for why it came here. Without its value, and at last
    with nothing of its own, it tells where to read it.
    """
    headers = dead_letter_headers(group, record, cause)
    yield record.key, dead_letter_value(record), headers
    size = (VALUE_BYTES, b"%d" % len(record.value or b""))
    yield record.key, b"", [*headers, size]
    yield None, b"", [*dead_letter_headers(group, record._replace(headers=()), cause), size]


class LimitWindow:
    """Counts dead letters and all endings in a sliding window. Times are `time.monotonic()`."""

    _SLICES = 60

    def __init__(self, limit: DeadLetterLimit) -> None:
        self._limit = limit
        self._dead: deque[float] = deque()
        self._endings: deque[tuple[float, int]] = deque()
        self._ended = 0
        self._last_total = 0

    def seed(self, count: int, now: float) -> None:
        """Count dead letters that were there before this process, as if written now."""
        self._dead.extend([now] * min(count, self._limit.max_count))

    def observe_total(self, total: int, now: float) -> None:
        """Tell how many records have ended since the process began (a rising number)."""
        if self._endings and now - self._endings[-1][0] < self._limit.window / self._SLICES:
            at, count = self._endings.pop()
            self._endings.append((at, count + total - self._last_total))
        else:
            self._endings.append((now, total - self._last_total))
        self._ended += total - self._last_total
        self._last_total = total

    def admit(self, now: float) -> bool:
        """Whether one more dead letter is within the limit; counts it if so."""
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
