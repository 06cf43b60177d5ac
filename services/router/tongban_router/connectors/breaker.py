"""One province's circuit breaker: after several failures in a row, leave the gateway alone."""

from __future__ import annotations

import time


class Breaker:
    """Opens after `threshold` failures in a row, for a time that doubles to `longest_s`; then one
    call probes, and the others wait for its end."""

    def __init__(self, *, threshold: int = 5, first_s: float = 0.5, longest_s: float = 5.0) -> None:
        self._threshold = threshold
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._open_until = 0.0
        self._pause_s = first_s
        self._probing_until = 0.0

    def wait_s(self) -> float:
        """Seconds to keep off; 0 lets this caller through (as the probe, where it is open)."""
        if self._failures < self._threshold:
            return 0.0
        now = time.monotonic()
        waiting = max(self._open_until, self._probing_until) - now
        if waiting > 0:
            return waiting
        self._probing_until = now + self._longest_s
        return 0.0

    def succeeded(self) -> None:
        """The gateway answered clearly."""
        self._failures = 0
        self._pause_s = self._first_s
        self._probing_until = 0.0

    def failed(self) -> None:
        """The gateway did not answer clearly."""
        self._failures += 1
        self._probing_until = 0.0
        if self._failures >= self._threshold:
            self._open_until = time.monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, self._longest_s)
