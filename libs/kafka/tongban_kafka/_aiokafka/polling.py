"""Adapts how often an idle consumer speaks to the broker, which aiokafka fixes when it is made.

A process of thirty consumers that have nothing to do costs the broker more than the work of a
small branch. Two things need care:

- A broker answers the requests of one connection one after the other, so a fetch that it keeps for
  seconds holds up every other request on that connection. `drop_fetches` closes the connection.
- `Fetcher._fetch_requests_routine` looks at all partitions five times a second, although futures
  wake it for everything that it has to react to.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.conn import CloseReason

_LOOK_S = 2.0


def keep_fetches(consumer: Any, *, seconds: float, min_bytes: int) -> None:
    """Have the broker keep the next fetches so long, or until they return so many bytes."""
    fetcher = consumer._fetcher
    fetcher._fetch_max_wait_ms = round(seconds * 1000)
    fetcher._fetch_min_bytes = min_bytes


def look_seldom(consumer: Any) -> None:
    """Have the started consumer look at its partitions when something happens, and seldom
    otherwise."""
    consumer._fetcher._fetcher_timeout = _LOOK_S


def beat(consumer: Any, *, every_s: float) -> None:
    """Set the seconds between heartbeats, from the next assignment of partitions on."""
    consumer._coordinator._heartbeat_interval_ms = round(every_s * 1000)


async def drop_fetches(consumer: Any) -> None:
    """Give up the fetches that the broker keeps, with their connections."""
    fetching = [task for task in consumer._fetcher._pending_tasks if not task.done()]
    for task in fetching:
        task.cancel()
    if fetching:
        await asyncio.wait(fetching)
    for connection in list(consumer._client._conns.values()):
        requests = [type(request).__name__ for _, request, _ in connection._requests]
        if any(name.startswith("FetchRequest") for name in requests):
            connection.close(reason=CloseReason.IDLE_DROP)
