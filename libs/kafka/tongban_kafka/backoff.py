"""Computes exponential back-off with a ceiling."""

from __future__ import annotations

import random
from dataclasses import dataclass

_LARGEST_EXPONENT = 32
"""Bounds the power, which would overflow a float after some thousand attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Doubles a pause from `first` up to `longest` seconds. Attempt 1 is the first."""

    first: float
    longest: float

    def ceiling(self, attempt: int) -> float:
        """Return the pause after an attempt, without jitter."""
        return min(self.longest, self.first * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT))

    def delay(self, attempt: int) -> float:
        """Return the pause after an attempt with jitter: half of its ceiling up to all of it, so
        that clients which failed together do not try again together."""
        ceiling = self.ceiling(attempt)
        return random.uniform(ceiling / 2, ceiling)
