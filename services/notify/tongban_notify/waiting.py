"""Count the messages that wait for another attempt, by what they wait for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tongban_common.store import StoreUnavailableError
from tongban_kafka import Record, Retry
from tongban_notify import metrics

REASONS = ("quiet", "provider", "unclear", "store", "optouts", "overtaken")
_KEPT_S = 120.0
"""Seconds after its next attempt was due for which a message is counted: its partition may have
been given up to another process."""


class WaitRetry(Retry):
    """A `Retry` with a code of what the message waits for: one of `REASONS`."""

    def __init__(self, code: str, reason: str, *, after: float) -> None:
        super().__init__(reason, after=after)
        self.code = code


class WaitingMessages:
    """Keeps the records of this process that wait. Not thread-safe.

    Args:
        now: a monotonic clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._waiting: dict[tuple[str, int, int], tuple[str, float]] = {}
        for reason in REASONS:
            metrics.WAITING.labels(reason).set_function(partial(self.count, reason))

    @contextmanager
    def attempt(self, record: Record) -> Iterator[None]:
        """Count the record after the context if its attempt ends with a `WaitRetry`, or for want of
        the store."""
        key = (record.topic, record.partition, record.offset)
        self._waiting.pop(key, None)
        try:
            yield
        except WaitRetry as retry:
            self._waiting[key] = (retry.code, self._now() + (retry.after or 0.0) + _KEPT_S)
            raise
        except StoreUnavailableError:
            self._waiting[key] = ("store", self._now() + _KEPT_S)
            raise

    def count(self, reason: str) -> int:
        """Return the number of messages that wait for this reason."""
        now = self._now()
        for key in [key for key, (_, until) in self._waiting.items() if until < now]:
            del self._waiting[key]
        return Counter(reason for reason, _ in self._waiting.values())[reason]
