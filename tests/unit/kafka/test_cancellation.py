"""A task that loses a cancellation ends all the same."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tongban_kafka import cancel_until_done


async def _losing(count: int) -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not count:
                raise
            count -= 1


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_task_that_loses_cancellations_ends(lost: int) -> None:
    task = asyncio.create_task(_losing(lost))
    other = asyncio.create_task(_losing(0))
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel_until_done(task, other), 10)
    assert task.cancelled()
    assert other.cancelled()


async def test_error_of_a_task_stays_with_it() -> None:
    async def fail() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("broken")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await cancel_until_done(task)
    assert isinstance(task.exception(), RuntimeError)
    await cancel_until_done(task)


async def test_cancelled_wait_for_is_lost_before_python_3_12() -> None:
    """The reason for the loop, so that it goes when the last Python that needs it does."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        await asyncio.wait_for(future, 10)
        return "went on"

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    future.set_result(None)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() == (sys.version_info >= (3, 12))
