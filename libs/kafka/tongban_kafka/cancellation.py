"""Run tasks beside other work, and end tasks that use aiokafka's clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_AGAIN_S = 0.2


async def cancel_until_done(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks again and again until each has ended. Their errors are not raised here.

    A single cancellation may be lost, and its task would then run for ever: aiokafka swallows one
    that comes while it closes a client, and before Python 3.12 `asyncio.wait_for`, which aiokafka
    waits with, swallows one that comes together with the result (python/cpython#86296).
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_S)


@asynccontextmanager
async def background_task(
    work: Coroutine[Any, Any, None], *, name: str | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Run a coroutine as a task within the context, which ends it. Its errors are not raised."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        await cancel_until_done(task)
