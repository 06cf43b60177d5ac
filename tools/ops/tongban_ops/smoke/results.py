"""Define what a step of the smoke test results in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tongban_ops.errors import OpsError


class Verdict(StrEnum):
    """Says how a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step; `detail` is for an operator to read."""

    step: str
    verdict: Verdict
    seconds: float
    detail: str


class StepFailedError(OpsError):
    """Raised by a step that found the deployment wrong; the text says what and where to look."""


class StepSkippedError(OpsError):
    """Raised by a step that cannot be carried out here; the text says why."""


class NotIntakeError(OpsError):
    """Raised when nothing answers at the address, or another program does."""
