"""Fence off a router that may have been replaced: it neither decides nor writes.

The group takes a router for dead that was frozen, or cut off from the broker, for longer than its
session, and another router goes on with its partitions. The frozen one wakes with records in hand,
and decisions in its buffers, that the other has dealt with meanwhile; Faust learns of that only at
the next heartbeat. A connector that has been restarted since would take what it wrote until then
for new, as no mark shows that it is a repeat, and a province would act twice. It would also write
old states into the changelog (ADR 0006).

So after the moment at which the session may have ended, the router handles no record and sends none
to the broker. If the session goes on after all (the broker was away), so does the router; if it has
ended, the process ends. `tests/chaos/test_frozen_router.py` reproduces the fault.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.protocol.produce import ProduceRequest

from tongban_kafka import Lease, watch_lease
from tongban_router.faust_runtime.faults import die

_POLL_S = 0.02
"""Seconds between looks at the lease."""


class SessionLostError(Exception):
    """The group has gone on without this process."""


class SessionFence:
    """Lets work pass only while the partitions certainly belong to this process.

    Args:
        session_s: the group's session timeout in seconds.
    """

    def __init__(self, session_s: float) -> None:
        self._lease = Lease(session_s)
        self._assignment = 0

    def watch(self, consumer: Any) -> None:
        """Renew the lease at each answer of the coordinator to this started aiokafka consumer."""
        watch_lease(consumer, self._lease)

    def begin(self) -> None:
        """Note that partitions were assigned."""
        self._assignment += 1
        self._lease.take()

    @property
    def certain(self) -> bool:
        """Return True while the partitions certainly belong to this process."""
        return self._lease.holds()

    async def confirm(self, place: str) -> None:
        """Wait until the partitions certainly belong to this process.

        Ends the process if it has lost them meanwhile; `place` is for the log.
        """
        assignment = self._assignment
        while True:
            if assignment and (self._assignment != assignment or not self._lease.held):
                die("router.replaced", SessionLostError("the session has ended"), place)
            if self._lease.remaining() > 0:
                return
            await asyncio.sleep(_POLL_S)

    def guard(self, producer: Any) -> None:
        """Make this started aiokafka producer call `confirm` before each request with records."""
        client = producer.client
        send = client.send

        async def send_confirmed(node_id: int, request: Any, **how: Any) -> Any:
            if isinstance(request, ProduceRequest):
                await client.ready(node_id, **how)  # first: connecting may take long
                await self.confirm("of the producer")
            return await send(node_id, request, **how)

        client.send = send_confirmed
