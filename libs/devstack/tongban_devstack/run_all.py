"""Run several coroutines concurrently and fail as the first of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_all(*work: Coroutine[Any, Any, object]) -> None:
    """Run all to their ends. When one fails, cancel the rest and raise its exception.

    A task group owns the tasks; its exception group is unpacked, because the callers print the
    first failure to a person.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
