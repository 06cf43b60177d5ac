"""Failures of a stack's start, as one line and an exit code instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from aiokafka.errors import KafkaError

from tongban_common.catalogue import CatalogueError
from tongban_common.enrolment.trading import TokenRefused
from tongban_common.exit_codes import EX_SOFTWARE, EX_TEMPFAIL, EX_UNAVAILABLE
from tongban_common.kafka import KafkaUnavailable, PartitionMismatch, refusals
from tongban_common.store import StoreUnavailable
from tongban_devstack.embedded import JarsUnavailable, StartFailed
from tongban_devstack.files import InUse

_EXIT_CODES: dict[type[Exception], int] = {
    JarsUnavailable: EX_UNAVAILABLE,
    KafkaUnavailable: EX_UNAVAILABLE,
    KafkaError: EX_UNAVAILABLE,
    StoreUnavailable: EX_UNAVAILABLE,
    PartitionMismatch: EX_SOFTWARE,
    StartFailed: EX_SOFTWARE,
    TokenRefused: EX_SOFTWARE,
    CatalogueError: EX_SOFTWARE,
    InUse: EX_TEMPFAIL,
}


@contextmanager
def start_failures_told() -> Iterator[None]:
    """Print such a failure on standard error and end the command with its exit code.

    Raises:
        typer.Exit: 69 something needed cannot be had, 70 a process did not start, 75 the data
            directory is in use.
    """
    try:
        yield
    except tuple(_EXIT_CODES) as error:
        code = next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
        is_kafka = isinstance(error, (KafkaError, KafkaUnavailable))
        typer.echo(refusals.explain(str(error)) if is_kafka else str(error), err=True)
        raise typer.Exit(code) from error
