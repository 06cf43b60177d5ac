"""Choose the provider of each message by how many calls of each have failed lately.

A provider that fails altogether is left alone by its circuit breaker (`sms.provider`). One that
fails for every second message is worse: each failure costs its message seconds, and no circuit
stays open. So a provider whose calls fail too often loses its place, and comes back slowly: it gets
a small share of the messages, which doubles as long as none of them fails.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

WINDOW_S = 60.0
"""Seconds for which a call counts."""
_MOST_CALLS = 200
_FEWEST_CALLS = 5
"""Calls within the window below which nothing is concluded."""
_TOO_MANY = 0.2
"""Share of failed calls above which a provider loses its place."""
LEAST_SHARE = 0.02
"""Share of the messages with which it comes back."""
DOUBLES_S = 10.0
"""Seconds without a failure, and with a success, after which its share doubles."""


class ProviderRecord:
    """Holds the calls of one provider, and the share of the messages that it gets. Pure but for its
    clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls: deque[tuple[float, bool]] = deque(maxlen=_MOST_CALLS)
        self.share = 1.0
        """Share of the messages for which it comes in its configured place."""
        self._credit = 0.0
        self._since = now()

    def add(self, *, failed: bool) -> None:
        """Add the result of a call."""
        now = self._now()
        self._calls.append((now, failed))
        if self.share < 1.0:
            self._come_back(failed=failed)
        elif self._fails_too_often():
            self._lose_place()

    def _fails_too_often(self) -> bool:
        oldest = self._now() - WINDOW_S
        while self._calls and self._calls[0][0] < oldest:
            self._calls.popleft()
        failures = sum(failed for _, failed in self._calls)
        return len(self._calls) >= _FEWEST_CALLS and failures > len(self._calls) * _TOO_MANY

    def _lose_place(self) -> None:
        self._calls.clear()
        self.share, self._credit = LEAST_SHARE, 0.0
        self._since = self._now()

    def _come_back(self, *, failed: bool) -> None:
        if failed:
            self._lose_place()
            return
        if self._now() - self._since >= DOUBLES_S:
            self.share = min(1.0, self.share * 2)
            self._since = self._now()
            if self.share == 1.0:
                self._calls.clear()

    def take_turn(self) -> bool:
        """Return True if the next message is among its share."""
        self._credit += self.share
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True


class Preference:
    """Orders the providers for each message.

    Args:
        names: of the providers, in the configured order.
        now: returns monotonic seconds.
    """

    def __init__(self, names: Sequence[str], *, now: Callable[[], float] = time.monotonic) -> None:
        self._records = {name: ProviderRecord(now) for name in names}

    def add(self, name: str, *, failed: bool) -> None:
        """Add the result of a call."""
        self._records[name].add(failed=failed)

    def share(self, name: str) -> float:
        """Return the share of the messages for which the provider comes in its configured place."""
        return self._records[name].share

    def for_next_message(self) -> list[str]:
        """Return the order of attempts for one more message."""
        turns = [name for name, record in self._records.items() if record.take_turn()]
        return turns + [name for name in self.by_share() if name not in turns]

    def by_share(self) -> list[str]:
        """Return the providers, those that do not fail before those that do."""
        return sorted(self._records, key=lambda name: -self._records[name].share)
