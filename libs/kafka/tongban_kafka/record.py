"""One record as a handler sees it."""

from __future__ import annotations

from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]
RawHeaders = list[tuple[str, bytes]]
"""Headers as a producer accepts them."""


class Record(NamedTuple):
    """A record of a topic, with what its reader may have to know about its past.

    A tuple and not a frozen dataclass: immutable as well, and made five times faster, which counts
    at one a record.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Milliseconds since the epoch, as the producer or the broker set it."""
    key: bytes | None
    value: bytes | None
    """None is a tombstone (compacted topics)."""
    headers: Headers
    maybe_seen: bool
    """The record was already there when this partition was assigned to this process, so that a
    predecessor may have acted on it and died before it could say so."""
    assigned_at: float
    """`tongban_kafka.uptime.uptime()` of that assignment: a predecessor acted before it, or is
    fenced."""
    attempt: int = 1
    """1 the first time that this process tries; a retry counts up."""

    def header(self, name: str) -> bytes | None:
        """The last header of that name (Kafka allows several), None where there is none."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None

    @property
    def place(self) -> str:
        """`topic/partition@offset`, for logs."""
        return f"{self.topic}/{self.partition}@{self.offset}"
