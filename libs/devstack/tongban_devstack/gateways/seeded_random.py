"""Rolls that belong to a request: evenly spread, and the same every time."""

from __future__ import annotations

from hashlib import blake2b


class SeededRandom:
    """SeededRandom of a seed; each roll has a name, and its own value."""

    def __init__(self, *seed: str) -> None:
        self._seed = "\n".join(seed)

    def roll(self, name: str) -> float:
        """A number from 0 up to, not including, 1."""
        digest = blake2b(f"{self._seed}\n{name}".encode(), digest_size=7).digest()
        return int.from_bytes(digest) / (1 << 56)

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self.roll(name) * (high - low + 1))
