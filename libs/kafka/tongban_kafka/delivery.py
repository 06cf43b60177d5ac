"""Handing records to aiokafka's producer, and what it does not do by itself.

What reaches into its private parts is here; the tests of the producer fail when an upgrade moves
them. Checked with aiokafka 0.14.
"""

from __future__ import annotations

import asyncio
from typing import Any

RawHeaders = list[tuple[str, bytes]]
_CUTS = 50
"""How often a sender is told to end, a tenth of a second apart."""


def take(
    client: Any, topic: str, key: bytes | None, value: bytes | None, headers: RawHeaders
) -> asyncio.Future[Any] | None:
    """Have the client take a record without waiting; None, and nothing taken, if it would wait.

    Its `send` is a coroutine that seldom waits: for metadata, or for a full batch to leave.
    Running the first step by hand spares a task a record; where it does wait, it has taken nothing
    yet and is thrown away.

    Raises:
        aiokafka.errors.KafkaError: as its `send`.
    """
    coroutine = client.send(topic, value, key, headers=headers)
    try:
        coroutine.send(None)
    except StopIteration as returned:
        future: asyncio.Future[Any] = returned.value
        return future
    coroutine.close()
    return None


async def wait_taken(
    client: Any, topic: str, key: bytes | None, value: bytes | None, headers: RawHeaders
) -> asyncio.Future[Any]:
    """Have the client take a record when it can."""
    future: asyncio.Future[Any] = await client.send(topic, value, key, headers=headers)
    return future


def fail(future: asyncio.Future[Any], error: Exception) -> bool:
    """Set an exception, if the future is still open; whether it was."""
    if future.done():
        return False
    future.set_exception(error)
    # Nobody has to look at the future of a record that was sent without waiting.
    future.exception()
    return True


def copy(outer: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
    """Have the future that a caller holds end as the client's has."""
    if outer.done():
        if not done.cancelled():
            done.exception()
        return
    if done.cancelled():
        outer.cancel()
    elif (error := done.exception()) is not None:
        outer.set_exception(error)
    else:
        outer.set_result(done.result())


async def close(client: Any) -> None:
    """Close a client without waiting for what it still wants to send: aiokafka's own `stop` waits
    for ever while the broker is away.

    Its sender ends after its requests, of which one may wait for metadata that nobody fetches any
    more, so it is told again and again; that cuts the request it waits for.
    """
    client._closed = True
    sender = client._sender.sender_task
    if sender is not None:
        sender.cancel()
    await client.client.close()
    if sender is None:
        return
    for _ in range(_CUTS):
        ended, _ = await asyncio.wait([sender], timeout=0.1)
        if ended:
            return
        sender.cancel()
