"""A time limit for what seldom has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, awaited: Awaitable[T]) -> T:
    """Await this; as `asyncio.timeout` around it, but a timer is set only where it
    has to wait. Most bodies are there when they are asked for and most answers go out at once,
    thousands of times a second.

    Raises:
        TimeoutError: it was still waiting after that time, and has been cancelled.
    """
    step = awaited.__await__()
    try:
        waits_for = next(step)
    except StopIteration as returned:
        result: T = returned.value
        return result
    async with asyncio.timeout(seconds):
        return await _go_on(step, waits_for)


@coroutine
def _go_on(step: Generator[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """The rest of what was begun by hand and waits for this."""
    while True:
        try:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = step.throw(error)
            else:
                waits_for = step.send(sent)
        except StopIteration as returned:
            result: T = returned.value
            return result
