"""Provide what the commands on control.kiosks and control.assistants share."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console

from tongban_intake.access.enrolment import EnrolmentError
from tongban_intake.access.enrolment.keyfiles import KeyFileError
from tongban_ops.cli.console import Result, run, stop


def now() -> datetime:
    """Return the wall clock in whole seconds, because operators read it."""
    return datetime.now(UTC).replace(microsecond=0)


def run_with_status(work: Coroutine[Any, Any, Result], doing: str) -> Result:
    """Run `work` as `console.run` does and show `doing` on a terminal meanwhile.

    A refused change ends the command with exit code 1 and the reason on stderr.
    """
    try:
        with Console(stderr=True).status(f"{doing} ..."):
            return run(work)
    except ValidationError as error:
        for problem in error.errors():
            typer.echo(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", err=True)
        raise typer.Exit(1) from error
    except (EnrolmentError, KeyFileError) as error:
        raise stop(str(error), 1) from error
