"""Tests that the error of a commit whose caller timed out is retrieved."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import UnknownMemberIdError

from tongban_kafka._aiokafka.group import hear_commits


class Coordinator:
    """Shields a commit from the cancellation of its caller, as aiokafka's coordinator does."""

    async def commit_offsets(self, offsets: dict[str, int]) -> None:
        await asyncio.shield(self._do_commit_offsets(None, offsets))

    async def _do_commit_offsets(self, _: object, offsets: dict[str, int]) -> None:
        await asyncio.sleep(0.02)
        if offsets:
            raise UnknownMemberIdError


async def test_error_of_an_abandoned_commit_is_retrieved_and_of_an_awaited_one_raised() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    coordinator = Coordinator()
    hear_commits(SimpleNamespace(_coordinator=coordinator))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await coordinator.commit_offsets({"t": 1})
    with pytest.raises(UnknownMemberIdError):
        await coordinator.commit_offsets({"t": 1})
    await coordinator.commit_offsets({})
    gc.collect()
    await asyncio.sleep(0)
    asyncio.get_running_loop().set_exception_handler(None)
    assert reported == []
