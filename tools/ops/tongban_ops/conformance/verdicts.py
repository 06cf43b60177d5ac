"""What a check comes to, and what all of them come to together."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class CheckFailedError(Exception):
    """A check's no; the text says what was seen, for the engineer who has to mend it."""


class CheckSkippedError(Exception):
    """The check could not be tried, and why: nothing speaks against the gateway."""


class Outcome(StrEnum):
    """What a check came to."""

    HOLDS = "holds"
    FAILS = "does not hold"
    SKIPPED = "not tried"


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """One check's outcome. `note` is what was seen; `promise` what of the connector rests on it;
    `lacking` the checks whose failure kept it from being tried."""

    name: str
    outcome: Outcome
    note: str
    promise: str
    seconds: float
    lacking: tuple[str, ...] = ()


@dataclass(slots=True)
class CleanUp:
    """What has become of the test applications, by request id."""

    withdrawn: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Still open, or not to be asked: to be cleared away by hand at the gateway."""


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """One run of the kit."""

    url: str
    protocol: str
    province: str
    run: str
    """What the request ids of this run begin with."""
    verdicts: tuple[CheckVerdict, ...]
    clean_up: CleanUp
    seconds: float

    def of(self, outcome: Outcome) -> list[str]:
        """The names of the checks that came to this."""
        return [verdict.name for verdict in self.verdicts if verdict.outcome is outcome]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.of(Outcome.FAILS)
