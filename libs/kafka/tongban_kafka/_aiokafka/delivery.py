"""Hands records to aiokafka's producer, and closes a producer that would wait for ever.

Checked with aiokafka 0.14. `tests/unit/kafka/test_delivery.py` fails when an upgrade moves the
private parts that are used here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tongban_kafka.record import RawHeaders

_CUTS = 50
"""Cancellations of the sender task at most, a tenth of a second apart."""


def hand_over(
    client: Any, topic: str, key: bytes | None, value: bytes | None, headers: RawHeaders
) -> asyncio.Future[Any] | None:
    """Hand a record to the client without waiting. Return None, with nothing handed over, if the
    client would wait.

    The client's `send` is a coroutine that seldom waits: for metadata, or for a full batch to
    leave. Running its first step by hand spares a task for each record. A coroutine that does wait
    has accepted nothing yet and is thrown away.

    Raises:
        aiokafka.errors.KafkaError: the client's `send` raised it.
    """
    coroutine = client.send(topic, value, key, headers=headers)
    try:
        coroutine.send(None)
    except StopIteration as returned:
        future: asyncio.Future[Any] = returned.value
        return future
    coroutine.close()
    return None


async def close(client: Any) -> None:
    """Close a producer without waiting for its unsent records: aiokafka's own `stop` waits for ever
    while the broker is away (aio-libs/aiokafka#1101).

    The sender task ends only after its requests. One of them may wait for metadata that is no
    longer fetched, so the task is cancelled repeatedly, which cancels the request as well.
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
