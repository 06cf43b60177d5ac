"""How much one kiosk may ask for, and how much all of them together."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from tongban_intake.problems import Kind, Problem
from tongban_intake.text import Text


class KioskRates:
    """A token bucket a kiosk. Remembers the busiest `remembered` kiosks; a forgotten one is full
    again, which it would be after `burst / rate` seconds of rest anyway."""

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        remembered: int = 20_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._remembered = remembered
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, kiosk_id: str) -> None:
        """Count one request.

        Raises:
            Problem: 429, with when the next one will be let through.
        """
        now = self._monotonic()
        level, at = self._buckets.pop(kiosk_id, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        allowed = level >= 1.0
        self._buckets[kiosk_id] = (level - 1.0 if allowed else level, now)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        if not allowed:
            raise Problem(Kind.TOO_MANY, retry_after=max(1, math.ceil((1.0 - level) / self._rate)))


class Slots:
    """At most so many at once; the next one is told to come back instead of filling memory.
    `with slots:` holds a place, and may be entered by many at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    def __enter__(self) -> None:
        """Hold a place.

        Raises:
            Problem: 503, all are taken.
        """
        if self.taken >= self._size:
            raise Problem(
                Kind.UNAVAILABLE, Text("当前办理人数较多", "Busy: too many at once"), retry_after=1
            )
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1
