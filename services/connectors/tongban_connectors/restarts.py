"""Restart parts of the process after unforeseen errors, and classify such errors."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

from tongban_kafka import Backoff

RESTARTS = Backoff(first=2.0, longest=60.0)
"""Pauses before a failed part is started again, by failures in a row."""
STEADY_S = 300.0
"""Seconds after which a running part is healthy: its next failure counts as the first."""


def is_our_end(error: BaseException) -> bool:
    """Return True for a cancellation of the running task.

    A client library may raise the CancelledError of a task of its own. That is a failure of the
    library, and this task must go on.
    """
    me = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (me is None or me.cancelling() > 0)


def kinds_of(error: BaseException) -> str:
    """Return the class and line of an error, and of each error in a group.

    The text of an exception stays out of logs: it may quote what an applicant has written.
    """
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(map(kinds_of, error.exceptions)))
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + where


def is_own_trouble(error: BaseException) -> bool:
    """Return True if the process lacks file descriptors, memory, threads or space.

    No record is at fault, so the record waits. Wider than `tongban_kafka.is_process_trouble`, which
    has to ask if a record can bring an OSError about: what parses foreign bytes for a connector
    turns errors into its own, so any OSError is the machine's. Narrower, too: causes are not
    followed, since a `Retry`, and Kafka or the store being away, are handled by what raised them.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_own_trouble, error.exceptions))
    no_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    return no_thread or isinstance(error, OSError | MemoryError)
