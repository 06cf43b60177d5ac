"""Draw reproducible random numbers that depend on a request."""

from __future__ import annotations

from hashlib import blake2b


class SeededRandom:
    """Random numbers from a seed; each name has its own fixed value."""

    def __init__(self, *seed: str) -> None:
        self._seed = "\n".join(seed)

    def roll(self, name: str) -> float:
        """Return a number in [0, 1)."""
        digest = blake2b(f"{self._seed}\n{name}".encode(), digest_size=7).digest()
        return int.from_bytes(digest) / (1 << 56)

    def number(self, name: str, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + int(self.roll(name) * (high - low + 1))
