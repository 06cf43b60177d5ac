"""Implement the circuit breaker of one province's gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum

from tongban_kafka import Backoff


class Circuit(IntEnum):
    """State of a circuit breaker; the values of the gauge `tongban_connector_circuit`."""

    CLOSED = 0
    """Calls go through."""
    PROBING = 1
    """One call may go through; its end decides."""
    OPEN = 2
    """No call goes through."""


class Breaker:
    """Opens after `threshold` failures in a row, or when the gateway asks for a wait.

    After failures it stays open for `first_s`, doubling up to `longest_s`; after a request for as
    long as the gateway asks. Then one call probes, and its end decides for all.

    The end of a call that began under an earlier state changes nothing: a late time-out must not
    open again what a probe has closed.
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
        self._backoff = Backoff(first=first_s, longest=longest_s)
        self._now = now
        self._failures = 0
        self._pauses = 0
        """Pauses in a row, without a clear answer of the gateway."""
        self._open_until: float | None = None
        self._probe: int | None = None
        self._era = 0
        self.cause = "down"
        """Cause of the last opening: down, or the gateway's own (closed, throttled)."""

    @property
    def state(self) -> Circuit:
        """The current state; it changes with time alone, too."""
        if self._open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self._now() < self._open_until else Circuit.PROBING

    def remaining_s(self) -> float:
        """Return the seconds until the next call may go through; 0 if one may now.

        While a probe is under way that moment is not known, and the result is the time after which
        the caller should look again.
        """
        if self._open_until is None:
            return 0.0
        remaining = self._open_until - self._now()
        if remaining > 0:
            return remaining
        return 0.0 if self._probe is None else self._backoff.longest

    def enter(self) -> int:
        """Begin a call while `remaining_s` is 0; return its number for the reports below."""
        if self._open_until is not None:
            self._era += 1
            self._probe = self._era
        return self._era

    def succeeded(self, call: int) -> None:
        """Report that the gateway answered clearly."""
        if call != self._era:
            return
        if self._open_until is not None:
            self._era += 1
        self._open_until = self._probe = None
        self._failures = 0
        self._pauses = 0

    def failed(self, call: int) -> None:
        """Report that the gateway did not answer clearly."""
        if call != self._era:
            return
        self._failures += 1
        if self._probe is None and self._failures < self._threshold:
            return
        self._pauses += 1
        self._open("down", self._backoff.ceiling(self._pauses))

    def wait_requested(self, cause: str, seconds: float) -> None:
        """Report that the gateway asks for a wait. It counts whenever the call began."""
        self._failures = 0
        until = self._now() + seconds
        if self._open_until is not None and self._probe is None and until <= self._open_until:
            return
        self._open(cause, seconds)

    def abandoned(self, call: int) -> None:
        """Report that the call ended without an answer or a failure, so that another may probe."""
        if call == self._probe:
            self._probe = None

    def _open(self, cause: str, seconds: float) -> None:
        self.cause = cause
        self._era += 1
        self._probe = None
        self._open_until = self._now() + seconds
