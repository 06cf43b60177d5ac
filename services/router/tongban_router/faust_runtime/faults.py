"""What may be logged of an exception, and which exceptions are the process's own trouble.

The text of an exception may quote what it stumbled over: pydantic's quotes 50 characters of the
input, which may be a province's words about an applicant. So types and places are logged, no texts.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from pydantic import ValidationError

from tongban_common.events.cloudevents import wrong_fields
from tongban_router.domain.state import RequestState

_MOST_FRAMES = 12


class TableError(Exception):
    """The table could not be read or written: the disk is full, RocksDB is damaged."""


@contextmanager
def table_access() -> Iterator[None]:
    """Turn whatever the table raises into a TableError, which is never the record's fault."""
    try:
        yield
    except Exception as error:
        raise TableError("the table of open requests failed") from error


def is_own_trouble(error: BaseException) -> bool:
    """Return True if the process failed and not the record: another process, or this one once its
    disk has room again, can apply the record as it is."""
    if isinstance(error, MessageSizeTooLargeError):
        return False
    return isinstance(error, TableError | MemoryError | OSError | KafkaError)


def told(error: BaseException) -> dict[str, str]:
    """Fields for a log line: the exception's type, where it was raised (innermost frame first), for
    a refused model the locations and rules, and the same of what caused it."""
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
        fields |= {f"cause_{name}": text for name, text in told(error.__cause__).items()}
    return fields
