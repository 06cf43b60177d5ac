"""A time limit for what seldom has to wait."""

from __future__ import annotations

import asyncio

import pytest

from tongban_intake.http.patience import within


async def _after(turns: int) -> int:
    for _ in range(turns):
        await asyncio.sleep(0.001)
    return turns


@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_what_comes_in_time_comes(turns: int) -> None:
    assert await within(5, _after(turns)) == turns


async def test_a_future_is_awaited_as_well() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, future.set_result, "here")
    assert await within(5, future) == "here"


async def test_what_comes_too_late_is_cancelled() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError):
        await within(0.01, waits())
    assert ended == ["cancelled"]


async def test_what_it_raises_is_raised_whether_it_waited_or_not() -> None:
    async def fails(turns: int) -> None:
        await _after(turns)
        raise ValueError("no")

    for turns in (0, 2):
        with pytest.raises(ValueError, match="no"):
            await within(5, fails(turns))


async def test_whoever_is_cancelled_meanwhile_is_cancelled() -> None:
    begun = asyncio.Event()
    ended = []

    async def waits() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # tidying up may wait too
            ended.append("tidied")
            raise

    task = asyncio.create_task(within(60, waits()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["tidied"]
