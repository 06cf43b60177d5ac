"""The faults that printers and SMS providers can be given."""

from __future__ import annotations

import random
from enum import StrEnum

from pydantic import Field

from tongban_devstack.outside.faults import FaultSet


class Condition(StrEnum):
    """What the matter is with a printer."""

    OK = "ok"
    PAPER_OUT = "paper_out"
    JAM = "jam"
    OFFLINE = "offline"


class PrinterFaults(FaultSet):
    """See docs/simulated-outside.md. `forget_jobs` is an act, not a state: it is never kept."""

    state: Condition = Condition.OK
    drop_after_accept_rate: float = Field(0, ge=0, le=1)
    forget_jobs: bool = False

    def drops(self) -> bool:
        """Roll the dice of `drop_after_accept_rate` for one operation."""
        return random.random() < self.drop_after_accept_rate


class SmsFaults(FaultSet):
    """See docs/simulated-outside.md; `refuse` is a code to refuse every message with."""

    error_rate: float = Field(0, ge=0, le=1)
    drop_after_accept_rate: float = Field(0, ge=0, le=1)
    latency_ms: float = Field(0, ge=0, le=600_000)
    down: bool = False
    rate_per_s: float | None = Field(None, gt=0, le=100_000)
    refuse: str | None = Field(None, pattern="^[a-z_]{1,40}$")
    talkative: str | None = Field(None, min_length=1, max_length=200)

    def drops(self) -> bool:
        """Roll the dice of `drop_after_accept_rate` for one message."""
        return random.random() < self.drop_after_accept_rate
