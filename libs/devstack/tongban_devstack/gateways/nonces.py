"""Which nonces a province has seen within the window in which their signatures are valid."""

from __future__ import annotations

from tongban_router.connectors.signing import WINDOW_SECONDS, SignatureError

LIFETIME = 2 * WINDOW_SECONDS
"""Seconds: a timestamp may lie a window ahead, and is then believed for another one after."""


class NonceMemory:
    """Two generations of nonces; the older one is dropped whole once it is past its lifetime.

    It lives in memory: a message recorded before a restart of the simulation and replayed right
    after it meets the province's manner (honour, refuse, twice) instead.
    """

    def __init__(self) -> None:
        self._current: set[str] = set()
        self._previous: set[str] = set()
        self._turned_at = 0.0

    def take(self, nonce: str, now: float) -> None:
        """Remember a nonce.

        Raises:
            SignatureError: `replayed`.
        """
        if now - self._turned_at >= LIFETIME:
            stale = now - self._turned_at >= 2 * LIFETIME
            self._previous = set() if stale else self._current
            self._current = set()
            self._turned_at = now
        if nonce in self._current or nonce in self._previous:
            raise SignatureError("replayed", "this nonce was used before")
        self._current.add(nonce)
