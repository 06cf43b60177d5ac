"""A router joins after the old session if the process before ended because a topic was missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from tongban_router.faust_runtime.membership import mark_stale, outlive_stale


async def test_process_after_a_missing_topic_waits_for_the_end_of_the_session(
    tmp_path: Path,
) -> None:
    mark_stale(tmp_path)
    waiting = asyncio.create_task(outlive_stale(tmp_path, session_s=3600))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    # Killed while it waited: the next process waits as well, and the one after that does not.
    await outlive_stale(tmp_path, session_s=-1)
    await asyncio.wait_for(outlive_stale(tmp_path, session_s=3600), 1)


async def test_process_without_a_mark_joins_at_once(tmp_path: Path) -> None:
    """A process that waited for the session would exceed the second."""
    await asyncio.wait_for(outlive_stale(tmp_path, session_s=3600), 1)


def test_mark_that_cannot_be_left_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    with capture_logs() as logs:
        mark_stale(tmp_path / "missing")
    assert [line["event"] for line in logs] == ["router.membership_not_marked"]
