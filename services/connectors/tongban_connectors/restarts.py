"""Keep a part of the process running after an error that nobody foresaw, and tell an error of the
process from one of the record."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

from tongban_kafka import RetryPolicy

RESTARTS = RetryPolicy(first=2.0, longest=60.0)
"""Before a part that has failed begins again, by failures in a row."""
STEADY_S = 300.0
"""A part that has run for so long has not failed in a row with the time before."""


def is_our_end(error: BaseException) -> bool:
    """Return True for a cancellation that is meant for the running task.

    A client library may hand on the cancellation of a task of its own, which is a failure of that
    library and no order to end.
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
    """Return True where the process or its machine lacks something, whatever the record holds: file
    descriptors, memory, threads, space. Time or an operator mends that, so the record waits."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_own_trouble, error.exceptions))
    no_thread = isinstance(error, RuntimeError) and "start new thread" in str(error)
    return no_thread or isinstance(error, OSError | MemoryError)
