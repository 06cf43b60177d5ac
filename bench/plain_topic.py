"""Define a topic outside the registry, for comparisons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlainTopic:
    """A topic with the broker's own settings."""

    name: str
    partitions: int = 12

    def kafka_config(self) -> dict[str, str]:
        """Return no settings."""
        return {}
