"""Defines a record as handlers see it."""

from __future__ import annotations

from typing import Any, NamedTuple

Headers = tuple[tuple[str, bytes], ...]
RawHeaders = list[tuple[str, bytes]]
"""Headers as a producer accepts them."""


class Record(NamedTuple):
    """Holds a record of a topic, and what this process knows about earlier attempts at it.

    It is a tuple, which is created five times faster than a frozen dataclass.
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
    """True if the record was on the topic when the partition was assigned to this process. A
    predecessor may have acted on it and ended before its offset was committed."""
    assigned_at: float
    """`tongban_kafka.uptime()` at that assignment. A predecessor acted before it, or is fenced."""
    attempt: int = 1
    """1 at the first attempt of this process; each retry adds 1."""

    @classmethod
    def of(cls, raw: Any, *, maybe_seen: bool, assigned_at: float) -> Record:
        """Convert a record of aiokafka."""
        return cls(
            raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, raw.headers,
            maybe_seen, assigned_at,
        )  # fmt: skip

    def header(self, name: str) -> bytes | None:
        """Return the last header of that name (Kafka allows several), or None."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None

    @property
    def place(self) -> str:
        """Return `topic/partition@offset`, for logs."""
        return f"{self.topic}/{self.partition}@{self.offset}"
