"""Limit the time of an await, cheaply where the awaitable rarely has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, awaited: Awaitable[T]) -> T:
    """Await within a time limit, as under `asyncio.timeout`, but set a timer only once the
    awaitable has to wait. Most bodies have arrived when they are read and most answers are sent at
    once, thousands of times a second.

    Raises:
        TimeoutError: the awaitable was still waiting after that time, and has been cancelled.
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
    """Drive a coroutine on from its first wait, which `within` has reached by hand."""
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
