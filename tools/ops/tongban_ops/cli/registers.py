"""What the commands on control.kiosks and control.assistants share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from tongban_common.exit_codes import EX_UNAVAILABLE
from tongban_intake.access.enrolment import EnrolmentError
from tongban_intake.access.enrolment.keyfiles import KeyFileError
from tongban_kafka import KafkaUnavailableError
from tongban_ops.cli.console import reaching

Done = TypeVar("Done")


def now() -> datetime:
    """The wall clock, to the second: it is read by people."""
    return datetime.now(UTC).replace(microsecond=0)


def carry_out(work: Coroutine[Any, Any, Done], doing: str) -> Done:
    """Run it with a sign of life on a terminal; end with a line and an exit code where it fails.

    Exit codes: 1 a "no" with its reason, 69 Kafka does not answer.
    """
    try:
        with Console(stderr=True).status(f"{doing} ..."):
            return asyncio.run(reaching(work))
    except KafkaUnavailableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_UNAVAILABLE) from error
    except ValidationError as error:
        for problem in error.errors():
            typer.echo(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}", err=True)
        raise typer.Exit(1) from error
    except (EnrolmentError, KeyFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
