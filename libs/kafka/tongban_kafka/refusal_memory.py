"""Remembers why peers refuse connections, for probes and commands, and logs it now and then.

Clients try again many times a second. A refusal explains a missing connection while it is fresh,
and is logged once a minute for as long as it lasts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

_FRESH_S = 30.0
"""Seconds for which a refusal explains a missing connection; clients retry more often than that."""
_LOGGED_EVERY_S = 60.0


class Refusal(NamedTuple):
    """Names a cause, and the settings that an operator has to check."""

    reason: str
    look_at: tuple[object, ...]
    """Each is shown by its `str`: the name of a setting, or words."""

    def __str__(self) -> str:
        return f"{self.reason}; look at {', '.join(self.names)}"

    @property
    def names(self) -> list[str]:
        """Return the names of what to look at, as operators know them."""
        return [str(each) for each in self.look_at]


class _Noted(NamedTuple):
    refusal: Refusal
    at: float
    while_connecting: bool


class RefusalMemory:
    """Holds the last refusal of each peer. Threads may call it.

    Args:
        report: logs a refusal of the peer that is its first argument; called once a minute at most
            for each peer and refusal.
    """

    def __init__(self, report: Callable[[str, Refusal], None]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._noted: dict[str, _Noted] = {}
        self._reported: dict[tuple[str, Refusal], float] = {}

    def note(self, peer: str, refusal: Refusal, *, while_connecting: bool = True) -> None:
        """Remember a refusal, and report it unless that happened within the last minute."""
        now = time.monotonic()
        with self._lock:
            self._noted[peer] = _Noted(refusal, now, while_connecting)
            if now - self._reported.get((peer, refusal), float("-inf")) < _LOGGED_EVERY_S:
                return
            self._reported[peer, refusal] = now
        self._report(peer, refusal)

    def connected(self, peer: str) -> None:
        """Forget a refused connection. A refusal noted after connecting stays: a peer that accepts
        connections may refuse the user."""
        with self._lock:
            noted = self._noted.get(peer)
            if noted is not None and noted.while_connecting:
                del self._noted[peer]

    def answered(self, peer: str) -> None:
        """Forget any refusal of a peer: it has done what was asked."""
        with self._lock:
            self._noted.pop(peer, None)

    def current(self) -> Refusal | None:
        """Return the newest refusal of the last 30 seconds, or None."""
        since = time.monotonic() - _FRESH_S
        with self._lock:
            fresh = [noted for noted in self._noted.values() if noted.at >= since]
        return max(fresh, key=lambda noted: noted.at).refusal if fresh else None

    def clear(self) -> None:
        """Forget everything, also what was reported when."""
        with self._lock:
            self._noted.clear()
            self._reported.clear()
