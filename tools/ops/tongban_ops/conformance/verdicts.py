"""Define the verdicts of checks and the report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tongban_ops.errors import OpsError


class CheckFailedError(OpsError):
    """Raised when a check fails; the text says what was observed, for the engineer who fixes it."""


class CheckSkippedError(OpsError):
    """Raised when a check cannot be tried; the gateway is not at fault."""


class Outcome(StrEnum):
    """Outcome of a check."""

    HOLDS = "holds"
    FAILS = "does not hold"
    SKIPPED = "not tried"


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """Outcome of one check. `note` is what it observed, `promise` what a connector relies on,
    `lacking` the failed checks that kept it from running."""

    name: str
    outcome: Outcome
    note: str
    promise: str
    seconds: float
    lacking: tuple[str, ...] = ()


@dataclass(slots=True)
class CleanUp:
    """State of the test applications after the clean-up, by request id."""

    withdrawn: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Still open or unknown: an engineer has to clear these away at the gateway."""


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """Report of one run."""

    url: str
    protocol: str
    province: str
    run: str
    """Prefix of the run's request ids."""
    verdicts: tuple[CheckVerdict, ...]
    clean_up: CleanUp
    seconds: float

    def of(self, outcome: Outcome) -> list[str]:
        """Return the names of the checks with this outcome."""
        return [verdict.name for verdict in self.verdicts if verdict.outcome is outcome]

    @property
    def ok(self) -> bool:
        """Return True if no check failed."""
        return not self.of(Outcome.FAILS)
