"""What aiokafka's producer does not do by itself."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from tongban_kafka._aiokafka import delivery


async def test_a_client_is_closed_though_a_request_waits_for_what_never_comes() -> None:
    """As its sender does: told to end, it waits for its requests, and one waits for metadata."""
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
    assert time.monotonic() - began < 2
    assert sender.done()
    assert requests[0].cancelled()
