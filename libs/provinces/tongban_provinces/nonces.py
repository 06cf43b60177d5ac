"""Remember the nonces of received messages while their signatures are valid."""

from __future__ import annotations

from tongban_provinces.signing import WINDOW_SECONDS, SignatureError

LIFETIME = 2 * WINDOW_SECONDS
"""Seconds. A timestamp may lie one window ahead and is then valid for another one."""

MOST = 100_000
"""Nonces of one generation; more end it early, so that a faulty caller cannot fill the memory."""


class NonceMemory:
    """Keeps two generations of nonces, and drops the older one as a whole.

    The memory is this process's alone. A message from before a restart, or to another replica, is
    accepted once more if it is replayed within the window, so a replay must do no harm: a repeated
    callback does none, and a simulated province treats a repeated call as it is configured to.
    """

    def __init__(self) -> None:
        self._current: set[str] = set()
        self._previous: set[str] = set()
        self._turned_at = 0.0

    def has(self, nonce: str) -> bool:
        """Return True if the nonce was recorded within its lifetime."""
        return nonce in self._current or nonce in self._previous

    def take(self, nonce: str, now: float) -> None:
        """Record a nonce.

        Args:
            now: wall clock, Unix seconds.

        Raises:
            SignatureError: `replayed`: the nonce is recorded already.
        """
        if now - self._turned_at >= LIFETIME or len(self._current) >= MOST:
            stale = now - self._turned_at >= 2 * LIFETIME
            self._previous = set() if stale else self._current
            self._current = set()
            self._turned_at = now
        if self.has(nonce):
            raise SignatureError("replayed", "this nonce was used before")
        self._current.add(nonce)
