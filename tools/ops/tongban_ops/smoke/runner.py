"""Run the steps of the smoke test, and time them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tongban_ops.smoke.door_steps import DoorSteps
from tongban_ops.smoke.intake_client import IntakeClient
from tongban_ops.smoke.options import SmokeOptions
from tongban_ops.smoke.probe_steps import ProbeSteps
from tongban_ops.smoke.results import (
    NotIntakeError,
    StepFailedError,
    StepResult,
    StepSkippedError,
    Verdict,
)

Report = Callable[[StepResult], None]
Begin = Callable[[str], None]


@dataclass(slots=True)
class SmokeOutcome:
    """The results of a run, in order."""

    steps: list[StepResult] = field(default_factory=list)
    request_id: str | None = None

    def count(self, verdict: Verdict) -> int:
        """Return how many steps ended so."""
        return sum(result.verdict is verdict for result in self.steps)

    def passed(self, step: str) -> bool:
        """Return True if that step has passed."""
        return any(each.step == step and each.verdict is Verdict.PASSED for each in self.steps)


async def run_smoke(
    options: SmokeOptions,
    *,
    begin: Begin = lambda _step: None,
    report: Report = lambda _result: None,
) -> SmokeOutcome:
    """Run all steps; one whose precondition did not pass is skipped.

    Args:
        begin: called with the name of each step that begins.
        report: called with each result.

    Raises:
        NotIntakeError: nothing answers at the URL, or another program does.
    """
    outcome = SmokeOutcome()
    async with IntakeClient(options.intake, options.tls) as client:
        door = DoorSteps(client, options)
        probe = ProbeSteps(client, door, patience_s=options.patience_s)

        async def reach() -> str:
            info = await client.identify()
            return f"{client.url}, interface {info.get('version')}"

        plan: tuple[tuple[str, str | None, Callable[[], Awaitable[str]]], ...] = (
            ("reachable", None, reach),
            ("version", "reachable", door.version),
            ("ready", "reachable", door.ready),
            ("signed in", "reachable", door.sign_in),
            ("catalogue", "signed in", door.catalogue),
            ("submitted", "catalogue", probe.submit),
            ("repeated", "submitted", probe.repeat),
            ("completed", "submitted", probe.completed),
            ("event stream", "completed", probe.events),
            ("printed", "completed", probe.paper),
            ("message", "completed", probe.message),
        )
        try:
            for step, needs, work in plan:
                begin(step)
                result = await _run_step(outcome, step, needs, work)
                outcome.steps.append(result)
                report(result)
        finally:
            outcome.request_id = probe.request_id
            await probe.close()
    return outcome


async def _run_step(
    outcome: SmokeOutcome, step: str, needs: str | None, work: Callable[[], Awaitable[str]]
) -> StepResult:
    began = time.monotonic()
    if needs is not None and not outcome.passed(needs):
        return StepResult(step, Verdict.SKIPPED, 0.0, f"needs: {needs}")
    try:
        verdict, detail = Verdict.PASSED, await work()
    except NotIntakeError:
        raise
    except StepSkippedError as error:
        verdict, detail = Verdict.SKIPPED, str(error)
    except StepFailedError as error:
        verdict, detail = Verdict.FAILED, str(error)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        # An answer of another shape: another version, or a proxy that answers in its place.
        verdict, detail = Verdict.FAILED, f"an answer of another shape: {error!r}"
    return StepResult(step, verdict, time.monotonic() - began, detail)
