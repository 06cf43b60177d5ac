"""Define the faults of printers and SMS providers."""

from __future__ import annotations

import random
from enum import StrEnum

from pydantic import Field

from tongban_devstack.outside.faults import FaultSet


class Condition(StrEnum):
    """Condition of a printer."""

    OK = "ok"
    PAPER_OUT = "paper_out"
    JAM = "jam"
    OFFLINE = "offline"


class PrinterFaults(FaultSet):
    """Faults of a printer, see docs/simulated-outside.md. `forget_jobs` is an act and is never
    stored."""

    state: Condition = Condition.OK
    drop_after_accept_rate: float = Field(0, ge=0, le=1)
    forget_jobs: bool = False

    def drops(self) -> bool:
        """Decide at random whether one operation is dropped (`drop_after_accept_rate`)."""
        return random.random() < self.drop_after_accept_rate


class SmsFaults(FaultSet):
    """Faults of a provider, see docs/simulated-outside.md; `refuse` is the code that refuses every
    message."""

    error_rate: float = Field(0, ge=0, le=1)
    drop_after_accept_rate: float = Field(0, ge=0, le=1)
    latency_ms: float = Field(0, ge=0, le=600_000)
    down: bool = False
    rate_per_s: float | None = Field(None, gt=0, le=100_000)
    refuse: str | None = Field(None, pattern="^[a-z_]{1,40}$")
    talkative: str | None = Field(None, min_length=1, max_length=200)

    def drops(self) -> bool:
        """Decide at random whether one message is dropped (`drop_after_accept_rate`)."""
        return random.random() < self.drop_after_accept_rate
