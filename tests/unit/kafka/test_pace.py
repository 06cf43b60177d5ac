"""How soon records are asked for again."""

from __future__ import annotations

import asyncio

from tongban_kafka import Pace

APART = 0.03


async def _waited(pace: Pace) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await pace.wait()
    return loop.time() - began


async def test_the_first_after_a_pause_is_not_held_up() -> None:
    pace = Pace(APART)
    assert await _waited(pace) < APART / 2
    pace.given(0)  # a fetch that timed out
    assert await _waited(pace) < APART / 2
    pace.given(1)
    await _waited(pace)
    assert await _waited(pace) < APART / 2


async def test_fetches_of_few_records_are_kept_apart() -> None:
    pace = Pace(APART)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(4):
        await pace.wait()
        pace.given(1)
    assert loop.time() - began >= 3 * APART * 0.95
