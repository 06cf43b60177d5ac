"""Inject server errors at bad moments, and throttle, for gateways and devices."""

from __future__ import annotations

import math
import random
import time
from enum import Enum

from tongban_devstack.errors import DevstackError


class InjectedServerError(DevstackError):
    """Raised to answer with a server error that does not reveal whether the call took effect."""

    def __init__(self) -> None:
        self.status = random.choice((500, 502, 503))
        super().__init__(f"HTTP {self.status}")


class InjectedError(Enum):
    """Moment of an injected server error, which the caller cannot observe."""

    NONE = 0
    ERROR_BEFORE = 1  # nothing took effect
    ERROR_AFTER = 2  # it took effect, and the answer is an error all the same

    @classmethod
    def roll(cls, error_rate: float) -> InjectedError:
        """Draw for one call: an error with probability `error_rate`, half of them late."""
        if random.random() >= error_rate:
            return cls.NONE
        return random.choice((cls.ERROR_BEFORE, cls.ERROR_AFTER))


class TokenBucket:
    """Token bucket that holds the calls of one second."""

    def __init__(self) -> None:
        self._tokens = 0.0
        self._at = 0.0

    def wait_seconds(self, rate_per_s: float | None) -> int | None:
        """Take a token; return None if there was one, else whole seconds until the next one."""
        if rate_per_s is None:
            return None
        now = time.monotonic()
        self._tokens = min(max(1.0, rate_per_s), self._tokens + (now - self._at) * rate_per_s)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return None
        return max(1, math.ceil((1 - self._tokens) / rate_per_s))
