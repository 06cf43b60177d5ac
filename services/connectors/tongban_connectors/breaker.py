"""One province's circuit breaker: when its gateway is to be left alone, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum


class Circuit(IntEnum):
    """What the gauge `connector_circuit` shows."""

    CLOSED = 0
    """Calls go through."""
    PROBING = 1
    """One call may go through; its end decides."""
    OPEN = 2
    """No call goes through."""


class Breaker:
    """Opens after `threshold` failures in a row, for a time that doubles up to `longest_s`; or for
    as long as the gateway itself asks for. Then one call probes, and its end decides for all.

    Calls that began under an earlier state say nothing about the present one: a late time-out must
    not open again what a probe has closed.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        first_s: float = 0.5,
        longest_s: float = 5.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._first_s = first_s
        self._longest_s = longest_s
        self._now = now
        self._failures = 0
        self._pause_s = first_s
        self._open_until: float | None = None
        self._probe: int | None = None
        self._era = 0
        self.cause = "down"
        """Why it is or was open: down, or what the gateway said (closed, throttled)."""

    @property
    def state(self) -> Circuit:
        """Now."""
        if self._open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self._now() < self._open_until else Circuit.PROBING

    def remaining_s(self) -> float:
        """Seconds until the next call may go through; 0 where one may. While a probe is under way
        nobody knows, and it is the time after which the question is worth asking again."""
        if self._open_until is None:
            return 0.0
        remaining = self._open_until - self._now()
        if remaining > 0:
            return remaining
        return 0.0 if self._probe is None else self._longest_s

    def enter(self) -> int:
        """Begin a call, where `remaining_s` is 0; what to hand to the methods below at its end."""
        if self._open_until is not None:
            self._era += 1
            self._probe = self._era
        return self._era

    def succeeded(self, call: int) -> None:
        """The gateway answered clearly."""
        if call != self._era:
            return
        if self._open_until is not None:
            self._era += 1
        self._open_until = self._probe = None
        self._failures = 0
        self._pause_s = self._first_s

    def failed(self, call: int) -> None:
        """The gateway did not answer clearly."""
        if call != self._era:
            return
        self._failures += 1
        if self._probe is None and self._failures < self._threshold:
            return
        self._open("down", self._pause_s)
        self._pause_s = min(self._pause_s * 2, self._longest_s)

    def told(self, cause: str, seconds: float) -> None:
        """The gateway asks to be left alone so long: for every call, whenever it began."""
        self._failures = 0
        until = self._now() + seconds
        if self._open_until is not None and self._probe is None and until <= self._open_until:
            return
        self._open(cause, seconds)

    def abandoned(self, call: int) -> None:
        """The call ended without a word of the gateway: another one may probe."""
        if call == self._probe:
            self._probe = None

    def _open(self, cause: str, seconds: float) -> None:
        self.cause = cause
        self._era += 1
        self._probe = None
        self._open_until = self._now() + seconds
