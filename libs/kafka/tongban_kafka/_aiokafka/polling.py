"""Adapts how often an idle consumer speaks to the broker, which aiokafka fixes when it is made.

A process of thirty consumers that have nothing to do costs the broker more than the work of a
small branch. Three things need care:

- A broker answers the requests of one connection one after the other, so a fetch that it keeps for
  seconds would hold up look-ups of offsets, of metadata and of the coordinator. Fetches have a
  connection of their own.
- The first fetch of an assignment would still wait for the last one of the assignment before.
  `drop_fetches` closes the connection.
- `Fetcher._fetch_requests_routine` looks at all partitions five times a second, although futures
  wake it for everything that it has to react to.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import CloseReason
from aiokafka.protocol.fetch import FetchRequest

_LOOK_S = 2.0
_FETCHES = "fetches"
"""Group of the connections for fetches, beside aiokafka's own two."""


class _FetchingClient:
    """Stands for a consumer's client towards its fetcher, and sends fetches on a connection of
    their own."""

    def __init__(self, client: Any) -> None:
        self._own = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    async def send(self, node_id: int, request: Any) -> Any:
        if isinstance(request, FetchRequest):
            return await self._own.send(node_id, request, group=_FETCHES)
        return await self._own.send(node_id, request)


def be_quiet_when_idle(consumer: Any) -> None:
    """Have the started consumer fetch on a connection of its own, and look at its partitions when
    something happens, and seldom otherwise."""
    fetcher = consumer._fetcher
    fetcher._client = _FetchingClient(fetcher._client)
    fetcher._fetcher_timeout = _LOOK_S


def keep_fetches(consumer: Any, *, seconds: float, min_bytes: int) -> None:
    """Have the broker keep the next fetches so long, or until they return so many bytes."""
    fetcher = consumer._fetcher
    fetcher._fetch_max_wait_ms = round(seconds * 1000)
    fetcher._fetch_min_bytes = min_bytes


def beat(consumer: Any, *, every_s: float) -> None:
    """Set the seconds between heartbeats, from the next assignment of partitions on."""
    consumer._coordinator._heartbeat_interval_ms = round(every_s * 1000)


def drop_fetches(consumer: Any) -> None:
    """Give up the fetches that the broker keeps, with their connections.

    Their answers are cancelled, not the tasks that wait for them: the fetcher takes a cancelled
    task that does not wait for an answer for its own end.
    """
    for (_, group), connection in list(consumer._client._conns.items()):
        if group != _FETCHES:
            continue
        for _, _, answer in connection._requests:
            answer.cancel()
        connection.close(reason=CloseReason.IDLE_DROP)
