"""The end of a stale static membership.

The group remembers a static member, and which topics it could see, until its session is over. A
router that ended because a topic was missing, and comes back within the session, gets the same
incomplete assignment back, although the topic has been made meanwhile. So it leaves a mark, and its
next life joins only after the session.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

log = structlog.get_logger()

SESSION_S = 10.0
"""Seconds after which the broker takes a silent member for dead."""
_MARK = "membership-is-stale"


def mark_stale(data: Path) -> None:
    """Leave the mark in the process's data directory. Where that fails (a full disk), log it: the
    process is about to end, and must not go on with an incomplete assignment instead."""
    try:
        (data / _MARK).touch()
    except OSError as error:
        log.error("router.membership_not_marked", errno=error.errno)


async def outlive_stale(data: Path, *, session_s: float = SESSION_S) -> None:
    """Return at once, or after the session where the last life has left the mark. Taken away only
    then: a life that is killed while it waits leaves it to the next."""
    mark = data / _MARK
    if mark.exists():
        log.warning("router.waits_for_end_of_session", seconds=session_s + 1)
        await asyncio.sleep(session_s + 1)
        mark.unlink(missing_ok=True)
