"""Lock a key after wrong guesses at its secret: a few are free, then each costs a longer wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text
from tongban_kafka import Backoff

_REMEMBERED = 10_000


class Lockout:
    """Counts wrong tries in a row by key, and refuses further ones while a lock lasts.

    Each replica counts for itself, so that n replicas allow n times as many tries. A locked key is
    never evicted, so that guesses at other keys cannot unlock it. The memory is therefore bounded
    only if callers count keys of things that exist, not whatever was typed.

    Args:
        free: wrong tries without a lock.
        first_s: seconds of the first lock; each further wrong try doubles it.
        longest_s: seconds of the longest lock.
        remembered: keys from which on unlocked ones are evicted, oldest first.
    """

    def __init__(
        self,
        *,
        free: int,
        first_s: float,
        longest_s: float,
        remembered: int = _REMEMBERED,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = free
        self._lock = Backoff(first=first_s, longest=longest_s)
        self._remembered = remembered
        self._monotonic = monotonic
        self._wrong: dict[str, tuple[int, float]] = {}

    def check(self, key: str) -> None:
        """Raise ProblemError 429, with the seconds that are left, while the key is locked."""
        _, until = self._wrong.get(key, (0, 0.0))
        left = until - self._monotonic()
        if left > 0:
            raise ProblemError(
                Kind.TOO_MANY,
                Text("错误次数过多，请稍后再试", "Too many wrong tries; wait"),
                retry_after=math.ceil(left),
            )

    def begin(self, key: str) -> None:
        """Count a try as wrong in advance; `right` takes it back. So a hundred concurrent tries
        count as a hundred."""
        count = self._wrong.pop(key, (0, 0.0))[0] + 1
        over = count - self._free
        lock = 0.0 if over < 0 else self._lock.ceiling(over + 1)
        self._wrong[key] = count, self._monotonic() + lock
        if len(self._wrong) > self._remembered:
            self._forget()

    def right(self, key: str) -> None:
        """Forget the wrong tries of a key, after a right one."""
        self._wrong.pop(key, None)

    def _forget(self) -> None:
        now = self._monotonic()
        unlocked = next((key for key, (_, until) in self._wrong.items() if until <= now), None)
        if unlocked is not None:
            del self._wrong[unlocked]
