"""Tests that a producer's client is closed while its sender waits for ever."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from tongban_kafka._aiokafka import delivery


async def test_client_is_closed_although_a_request_waits_for_ever() -> None:
    """aiokafka's sender, when cancelled, waits for its requests; one of them waits for metadata."""
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def request() -> None:
        await asyncio.shield(never)

    async def send() -> None:
        under_way = asyncio.create_task(request())
        requests.append(under_way)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await under_way

    async def close() -> None:
        return

    requests: list[asyncio.Task[None]] = []
    sender = asyncio.create_task(send())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    client = SimpleNamespace(
        _closed=False,
        _sender=SimpleNamespace(sender_task=sender),
        client=SimpleNamespace(close=close),
    )
    began = time.monotonic()
    await delivery.close(client)
    assert time.monotonic() - began < 2  # the sender would sleep for 60 s
    assert sender.done()
    assert requests[0].cancelled()
