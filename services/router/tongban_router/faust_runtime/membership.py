"""Wait for the end of a stale static membership before joining the group.

The coordinator remembers a static member, and which topics it could see, until its session ends. A
router that ended because a topic was missing, and is restarted within the session, gets the same
incomplete assignment again, although the topic has been created meanwhile. So it leaves a mark, and
the process that follows joins only after the session.
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
    """Leave the mark in the data directory. A failure (a full disk) is only logged: the process is
    about to end, and must not go on with an incomplete assignment instead."""
    try:
        (data / _MARK).touch()
    except OSError as error:
        log.error("router.membership_not_marked", errno=error.errno)


async def outlive_stale(data: Path, *, session_s: float = SESSION_S) -> None:
    """Wait for the end of the session if the process before left the mark, then remove the mark.
    A process that is killed while it waits leaves it to the next."""
    mark = data / _MARK
    if mark.exists():
        log.warning("router.waits_for_end_of_session", seconds=session_s + 1)
        await asyncio.sleep(session_s + 1)
        mark.unlink(missing_ok=True)
