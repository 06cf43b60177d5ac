"""Hundreds of open event streams on one process: all are told, and none costs for ever."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack

import aiohttp
import psutil

from tests.integration.intake.conftest import Replica, Stack, token, until
from tests.integration.intake.test_events import Watcher
from tests.integration.intake.test_reading import shown
from tongban_common.domain.status import Status
from tongban_common.events.models import RequestSubmitted

REQUESTS, WATCHERS = 15, 20
STREAMS = REQUESTS * WATCHERS
MOST_MB = 40.0
"""For 300 streams; 2,000 have 150 (bench/intake.py). An idle process moves by some itself."""


async def open_streams(replica: Replica) -> int:
    metrics = await (await replica.session.get(f"{replica.url}/metrics")).text()
    found = re.search(r"^tongban_intake_streams_open ([0-9.]+)", metrics, re.MULTILINE)
    assert found
    return int(float(found[1]))


def memory_mb(replica: Replica) -> float:
    return float(psutil.Process(replica.process.pid).memory_info().rss) / 2**20


async def watch_all(replica: Replica, held: AsyncExitStack, asked: list[str]) -> list[Watcher]:
    """A stream for each id, once each has told the second status."""
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    http = await held.enter_async_context(
        aiohttp.ClientSession(connector=connector, timeout=timeout)
    )
    opening = asyncio.Semaphore(25)

    async def one(request_id: str) -> Watcher:
        async with opening:
            url = f"{replica.url}/v1/requests/{request_id}/events"
            answer = await http.get(url, headers={"Authorization": f"Bearer {token()}"})
            held.callback(answer.close)
            assert answer.status == 200
            watcher = Watcher(answer)
            seen = await watcher.take("status", 2)
            assert [number for _, number, _ in seen] == ["1", "2"]
            return watcher

    return list(await asyncio.gather(*(one(each) for each in asked)))


async def test_many_streams_all_receive_events_and_release_memory_when_closed(stack: Stack) -> None:
    async with stack.replica() as replica:
        events: list[RequestSubmitted] = []
        for number in range(REQUESTS):
            event = await stack.accepted(replica, f"many-streams-{number:03d}", print=False)
            await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
            events.append(event)
        for event in events:
            await shown(replica, event.request_id, Status.ROUTED)
        asked = [event.request_id for event in events] * WATCHERS

        async def none_is_open() -> bool:
            return await open_streams(replica) == 0

        async with AsyncExitStack() as held:  # what only the first streams load
            await watch_all(replica, held, asked[:REQUESTS])
        await until(none_is_open, what="the first streams' end")

        before = memory_mb(replica)
        async with AsyncExitStack() as held:
            watchers = await watch_all(replica, held, asked)
            assert await open_streams(replica) == STREAMS
            for event in events:
                await stack.tell(event, Status.ACCEPTED, seq=3)
            told = await asyncio.gather(*(watcher.take("status", 1) for watcher in watchers))
            assert [(number, data["status"]) for ((_, number, data),) in told] == [
                ("3", "accepted")
            ] * STREAMS
            grown = memory_mb(replica) - before
        assert grown < MOST_MB
        await until(none_is_open, what="giving places back")

        # A second crowd finds the room that the first one left.
        async with AsyncExitStack() as held:
            await watch_all(replica, held, asked)
            assert memory_mb(replica) - before < MOST_MB
        await until(none_is_open, what="giving places back again")
