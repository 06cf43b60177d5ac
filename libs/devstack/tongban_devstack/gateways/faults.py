"""Define the faults of a province's gateway."""

from __future__ import annotations

import random

from pydantic import Field

from tongban_devstack.outside.faults import FaultSet


class GatewayFaults(FaultSet):
    """Faults of a gateway, see docs/simulated-outside.md; durations in wall-clock milliseconds."""

    latency_ms: float = Field(0, ge=0, le=600_000)
    jitter_ms: float = Field(0, ge=0, le=600_000)
    error_rate: float = Field(0, ge=0, le=1)
    drop_after_commit_rate: float = Field(0, ge=0, le=1)
    slow_commit_ms: float = Field(0, ge=0, le=600_000)
    down: bool = False
    rate_per_s: float | None = Field(None, gt=0, le=100_000)
    unknown_items: frozenset[str] = frozenset()
    lose_callbacks_rate: float = Field(0, ge=0, le=1)
    repeat_callbacks: int = Field(0, ge=0, le=100)
    talkative: str | None = Field(None, min_length=1, max_length=200)

    def delay_seconds(self) -> float:
        """Return one call's latency in seconds: `latency_ms` and up to `jitter_ms` more."""
        return (self.latency_ms + random.uniform(0, self.jitter_ms)) / 1000

    def drops(self) -> bool:
        """Decide at random whether one call is dropped (`drop_after_commit_rate`)."""
        return random.random() < self.drop_after_commit_rate

    def loses_callback(self) -> bool:
        """Decide at random whether one callback is lost (`lose_callbacks_rate`)."""
        return random.random() < self.lose_callbacks_rate
