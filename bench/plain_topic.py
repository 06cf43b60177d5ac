"""A topic that is nobody's: what a comparison without our registry writes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlainTopic:
    """With the broker's own settings."""

    name: str
    partitions: int = 12

    def kafka_config(self) -> dict[str, str]:
        """None."""
        return {}
