"""That nothing is decided or written by a router that may have been replaced.

Who was frozen, or cut off from the broker, for longer than its session is thought dead, and another
has gone on with its partitions. When it wakes it has records in hand, and decisions in its buffers,
that the other has dealt with meanwhile; Faust hears of that only when the coordinator is asked the
next time. What it wrote until then would be news to a connector that has been restarted since: no
repeat marks it, and a province would act twice. And it would put old states into the changelog.

So nothing is handled, and nothing leaves for the broker, after the moment at which the session may
have ended. If it has not (the broker was away), the work goes on; if it has, the process ends.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.protocol.produce import ProduceRequest

from tongban_kafka.lease import Lease
from tongban_kafka.membership import watch_lease
from tongban_router.faust_runtime.producer import die

_LOOK_S = 0.02


class SessionLostError(Exception):
    """The group has gone on without this process."""


class SessionFence:
    """How long this process may be sure of its partitions; `session_s` is the group's time-out."""

    def __init__(self, session_s: float) -> None:
        self._lease = Lease(session_s)
        self._assignment = 0

    def watch(self, consumer: Any) -> None:
        """Hear what the coordinator answers this consumer, which has been started."""
        watch_lease(consumer, self._lease)

    def begin(self) -> None:
        """Partitions were assigned."""
        self._assignment += 1
        self._lease.take()

    @property
    def certain(self) -> bool:
        """Return True while the partitions are ours beyond doubt."""
        return self._lease.holds()

    async def confirm(self, place: str) -> None:
        """Return as soon as the partitions are ours beyond doubt.

        Ends the process where it has lost them with work in hand; `place` is for the log.
        """
        assignment = self._assignment
        while True:
            if assignment and (self._assignment != assignment or not self._lease.held):
                die("router.replaced", SessionLostError("the session has ended"), place)
            if self._lease.remaining() > 0:
                return
            await asyncio.sleep(_LOOK_S)

    def fence(self, producer: Any) -> None:
        """Have this client of the broker (aiokafka's, started) send records under it alone."""
        client = producer.client
        send = client.send

        async def send_confirmed(node_id: int, request: Any, **how: Any) -> Any:
            if isinstance(request, ProduceRequest):
                await client.ready(node_id, **how)  # first: connecting takes its time
                await self.confirm("of the producer")
            return await send(node_id, request, **how)

        client.send = send_confirmed
