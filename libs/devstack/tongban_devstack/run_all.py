"""Running several things at once and failing as one of them did."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_all(*work: Coroutine[Any, Any, object]) -> None:
    """Run all to their ends. When one fails, cancel the rest and raise what it raised.

    A task group owns the tasks; its exception group is taken apart, because a caller here wants to
    tell a person what went wrong first.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
