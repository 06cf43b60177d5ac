"""Tests that the read model leaves the store to others for its part of the time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_intake.readmodel import store_share
from tongban_intake.readmodel.store_share import LONGEST_REST_S, StoreShare


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    with monkeypatch.context() as patched:
        patched.setattr(store_share.asyncio, "sleep", clock.sleep)
        yield clock


async def took(share: StoreShare, clock: Clock, writes: list[float]) -> float:
    began = clock.now
    for seconds in writes:
        async with share.write():
            await clock.sleep(seconds)
    return clock.now - began


@pytest.mark.parametrize(("share", "expected"), [(1.0, 0.3), (0.5, 0.5), (0.25, 0.9)])
async def test_each_write_is_followed_by_its_rest(
    clock: Clock, share: float, expected: float
) -> None:
    assert await took(StoreShare(share, now=clock), clock, [0.1, 0.1, 0.1]) == pytest.approx(
        expected
    )


async def test_rest_that_has_passed_already_delays_nothing(clock: Clock) -> None:
    share = StoreShare(0.5, now=clock)
    await took(share, clock, [1.0])
    clock.now += 60.0
    assert await took(share, clock, [1.0]) == 1.0


async def test_write_that_failed_is_followed_by_its_rest(clock: Clock) -> None:
    share = StoreShare(0.5, now=clock)
    with pytest.raises(ValueError, match="refused"):
        async with share.write():
            await clock.sleep(0.5)
            raise ValueError("refused")
    assert await took(share, clock, [0.0]) == 0.5


async def test_one_write_is_under_way_at_a_time() -> None:
    share, open_ = StoreShare(1.0), 0

    async def write() -> None:
        nonlocal open_
        async with share.write():
            open_ += 1
            assert open_ == 1
            await asyncio.sleep(0)
            open_ -= 1

    await asyncio.gather(*(write() for _ in range(5)))


async def test_write_that_ended_by_a_time_out_is_followed_by_a_short_rest(clock: Clock) -> None:
    share = StoreShare(0.25, now=clock)
    await took(share, clock, [10.0])
    assert await took(share, clock, [0.0]) == LONGEST_REST_S


@given(
    st.floats(0.05, 1.0),
    st.lists(st.floats(0.0001, 0.05), min_size=2, max_size=20),
)
def test_writes_never_use_more_than_their_share(part: float, writes: list[float]) -> None:
    clock = Clock()

    async def run() -> float:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store_share.asyncio, "sleep", clock.sleep)
            return await took(StoreShare(part, now=clock), clock, writes)

    whole = asyncio.run(run())
    rested = whole + writes[-1] * (1 - part) / part  # the rest after the last one is still to come
    assert sum(writes) <= rested * part * (1 + 1e-9)
