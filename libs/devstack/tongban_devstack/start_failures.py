"""Report a stack's failed start as one line and an exit code instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from aiokafka.errors import KafkaError

from tongban_common.catalogue import CatalogueError
from tongban_common.exit_codes import EX_SOFTWARE, EX_TEMPFAIL, EX_UNAVAILABLE
from tongban_common.store import StoreUnavailableError
from tongban_devstack.embedded import JarsUnavailableError, StartFailedError
from tongban_devstack.files import InUseError
from tongban_intake.access.token_client import TokenRefusedError
from tongban_kafka import KafkaUnavailableError, PartitionMismatchError, refusals

_EXIT_CODES: dict[type[Exception], int] = {
    JarsUnavailableError: EX_UNAVAILABLE,
    KafkaUnavailableError: EX_UNAVAILABLE,
    KafkaError: EX_UNAVAILABLE,
    StoreUnavailableError: EX_UNAVAILABLE,
    PartitionMismatchError: EX_SOFTWARE,
    StartFailedError: EX_SOFTWARE,
    TokenRefusedError: EX_SOFTWARE,
    CatalogueError: EX_SOFTWARE,
    InUseError: EX_TEMPFAIL,
}


@contextmanager
def exit_on_start_failure() -> Iterator[None]:
    """Print a start failure on stderr and end the command with its exit code.

    Raises:
        typer.Exit: 69 a download or server is not available, 70 a process did not start, 75 the
            data directory is in use.
    """
    try:
        yield
    except tuple(_EXIT_CODES) as error:
        code = next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
        is_kafka = isinstance(error, (KafkaError, KafkaUnavailableError))
        typer.echo(refusals.explain(str(error)) if is_kafka else str(error), err=True)
        raise typer.Exit(code) from error
