"""Classify and log exceptions, and end the process where its successor has to repeat the work.

Logs contain the types and places of exceptions but not their texts, which may quote the input:
those of pydantic quote 50 characters, which may be a province's words about an applicant.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import NoReturn

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from prometheus_client import Counter
from pydantic import ValidationError

from tongban_common.events.cloudevents import wrong_fields
from tongban_common.exit_codes import EX_TEMPFAIL
from tongban_router.domain.state import RequestState
from tongban_router.errors import RouterError

log = structlog.get_logger()

FAULTS = Counter("tongban_router_faults_total", "Faults of our own", ["place"])
_MOST_FRAMES = 12


class TableError(RouterError):
    """The table cannot be read or written: the disk is full, or RocksDB is damaged."""


@contextmanager
def table_access() -> Iterator[None]:
    """Raise a TableError for every exception of the table: the record is not its cause."""
    try:
        yield
    except Exception as error:
        raise TableError("the table of open requests failed") from error


def is_own_trouble(error: BaseException) -> bool:
    """Return True if the process failed and not the record: another process, or this one once its
    disk has room again, can apply the record."""
    if isinstance(error, MessageSizeTooLargeError):
        return False
    return isinstance(error, TableError | MemoryError | OSError | KafkaError)


def describe_error(error: BaseException) -> dict[str, str]:
    """Return fields for a log line: the exception's type, the place where it was raised (innermost
    frame first), the locations and rules that a refused model broke, and the same of its cause."""
    frames = reversed(traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:])
    kind = type(error)
    fields = {
        "error": f"{kind.__module__}.{kind.__qualname__}",
        "where": " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames),
    }
    if isinstance(error, ValidationError):
        fields["wrong"] = wrong_fields(error, of=RequestState)
    if isinstance(error, OSError) and error.errno is not None:
        fields["errno"] = str(error.errno)
    if error.__cause__ is not None:
        fields |= {f"cause_{name}": text for name, text in describe_error(error.__cause__).items()}
    return fields


def die(event: str, error: BaseException, topic: str) -> NoReturn:
    """Log `event` as critical and end the process at once, before Faust commits another offset. Its
    supervisor starts it again.

    Only exceptions of our own and of aiokafka are logged with their text.
    """
    safe = isinstance(error, KafkaError) or type(error).__module__.startswith("tongban_")
    text = {"text": repr(error)} if safe else {}
    log.critical(event, topic=topic, **text, **describe_error(error))
    os._exit(EX_TEMPFAIL)
