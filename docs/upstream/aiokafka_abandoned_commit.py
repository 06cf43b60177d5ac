"""Fails on aiokafka 0.14.0: the error of a commit whose caller timed out is never retrieved."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import UnknownMemberIdError


async def nothing() -> None:
    return None


async def refused(*_: Any) -> None:
    await asyncio.sleep(0.02)
    raise UnknownMemberIdError


async def main() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    coordinator: Any = SimpleNamespace(
        ensure_coordinator_known=nothing, _commit_lock=asyncio.Lock(), _do_commit_offsets=refused
    )
    try:
        async with asyncio.timeout(0.001):
            await GroupCoordinator.commit_offsets(coordinator, None, {"t": 1})
    except TimeoutError:
        pass
    await asyncio.sleep(0.1)
    gc.collect()
    await asyncio.sleep(0)
    assert not reported, f"asyncio reports: {reported[0]['message']}"


asyncio.run(main())
