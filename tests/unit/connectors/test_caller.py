"""Processes that share a province share what the catalogue allows."""

from __future__ import annotations

import asyncio

import pytest

from tongban_common.clock import BusinessClock
from tongban_connectors.caller import Caller
from tongban_connectors.domain.gateway import RetryLaterError
from tongban_connectors.gate import Gate


class Time:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def caller(share: list[float], now: Time) -> Caller:
    gate = Gate("110000", clock=BusinessClock.real())
    return Caller(
        "110000", gate, concurrency=6, rate_per_s=80, share=lambda: share[0], now=now
    )  # fmt: skip


async def nothing() -> None:
    return None


@pytest.mark.parametrize("held", [[4], [2, 2], [1, 1, 1, 1], [3, 1], [2, 1, 1]])
async def test_rates_of_all_processes_are_together_what_the_catalogue_allows(
    held: list[int],
) -> None:
    callers = [caller([partitions / 4], Time()) for partitions in held]
    for each in callers:
        await each.call("look_up", nothing, effect=False)
    assert sum(each._rate for each in callers) == 80
    assert sum(each._slots._value for each in callers) < 6 + len(held)


async def test_share_that_changes_is_followed_within_a_second() -> None:
    now, share = Time(), [1.0]
    one = caller(share, now)
    await one.call("look_up", nothing, effect=False)
    share[0] = 0.25
    await one.call("look_up", nothing, effect=False)
    assert one._rate == 80
    now.at += 1.0
    await one.call("look_up", nothing, effect=False)
    assert one._rate == 20
    now.at += 1.0
    share[0] = 0.0
    await one.call("look_up", nothing, effect=False)
    assert 0 < one._rate < 20, "a share of nothing still ends a call that is here"


async def test_throttled_process_comes_back_to_its_share_and_no_further() -> None:
    now, share = Time(), [0.5]
    one = caller(share, now)

    async def throttled() -> None:
        raise RetryLaterError("throttled", 0.0)

    now.at += 10
    with pytest.raises(RetryLaterError):
        await one.call("look_up", throttled, effect=False)
    assert one._rate == 20
    for _ in range(10):
        now.at += 10
        await asyncio.sleep(0.11)
        await one.call("look_up", nothing, effect=False)
    assert one._rate == 40
