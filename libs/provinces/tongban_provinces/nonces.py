"""Which nonces a reader has seen within the window in which their signatures are valid."""

from __future__ import annotations

from tongban_provinces.signing import WINDOW_SECONDS, SignatureError

LIFETIME = 2 * WINDOW_SECONDS
"""Seconds: a timestamp may lie a window ahead, and is then believed for another one after."""

MOST = 100_000
"""Nonces of a generation; then it is turned early, so that a caller gone mad fills no memory."""


class NonceMemory:
    """Two generations of nonces; the older one is dropped whole once it is past its lifetime.

    It lives in memory, so a message that was recorded before a restart, or that went to another
    replica, and is replayed there within the window, is believed: it must do no harm. A callback
    that is repeated does none, and in the simulation a repeated call meets the province's manner.
    """

    def __init__(self) -> None:
        self._current: set[str] = set()
        self._previous: set[str] = set()
        self._turned_at = 0.0

    def has(self, nonce: str) -> bool:
        """Return True if the nonce was taken within its lifetime."""
        return nonce in self._current or nonce in self._previous

    def take(self, nonce: str, now: float) -> None:
        """Remember a nonce.

        Raises:
            SignatureError: `replayed`.
        """
        if now - self._turned_at >= LIFETIME or len(self._current) >= MOST:
            stale = now - self._turned_at >= 2 * LIFETIME
            self._previous = set() if stale else self._current
            self._current = set()
            self._turned_at = now
        if self.has(nonce):
            raise SignatureError("replayed", "this nonce was used before")
        self._current.add(nonce)
