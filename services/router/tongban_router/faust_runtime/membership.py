"""Fence off a router that the group may have replaced; join only after a stale membership.

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
from pathlib import Path
from typing import Any

import structlog
from aiokafka.protocol.produce import ProduceRequest

from tongban_kafka import Lease, leave_at_close, watch_lease
from tongban_router.errors import RouterError
from tongban_router.faust_runtime.faults import die

log = structlog.get_logger()

_MARK = "membership-is-stale"
_POLL_S = 0.02
"""Seconds between looks at the lease."""


class SessionLostError(RouterError):
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
        """Renew the lease at each answer of the coordinator to this started aiokafka consumer. The
        consumer leaves its group when it is stopped, and the lease ends just before."""
        watch_lease(consumer, self._lease)
        leave_at_close(consumer)

    def begin(self) -> None:
        """Note that partitions were assigned."""
        self._assignment += 1
        self._lease.take()

    def holds(self) -> bool:
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


def mark_stale(data: Path) -> None:
    """Leave a mark in the data directory, for which the next process waits before it joins.

    The coordinator remembers a static member, and which topics it could see, until its session
    ends. A router that ended because a topic was missing, and is restarted within the session, gets
    the same incomplete assignment again, although the topic has been created meanwhile.

    A failure (a full disk) is only logged: the process is about to end, and must not go on with an
    incomplete assignment instead.
    """
    try:
        (data / _MARK).touch()
    except OSError as error:
        log.error("router.membership_not_marked", errno=error.errno)


async def outlive_stale(data: Path, *, session_s: float) -> None:
    """Wait for the end of the session if the process before left the mark, then remove the mark.
    A process that is killed while it waits leaves the mark to the next."""
    mark = data / _MARK
    if mark.exists():
        log.warning("router.waits_for_end_of_session", seconds=session_s + 1)
        await asyncio.sleep(session_s + 1)
        mark.unlink(missing_ok=True)
