"""Tests that a static member leaves its group when its consumer is closed, and not before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.group import LeaveGroupRequest

from tongban_kafka import Lease
from tongban_kafka._aiokafka.group import leave_at_close, watch_lease


class Coordinator:
    """Stands for aiokafka's coordinator of a static member."""

    def __init__(self, lease: Lease, *, fails: bool = False) -> None:
        self.group_id, self.member_id, self.generation = "g", "m-1", 3
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent: list[tuple[Any, bool]] = []
        self._lease = lease
        self._fails = fails

    async def _send_req(self, request: Any) -> Any:
        self.sent.append((request, self._lease.held))
        if self._fails:
            raise NodeNotReadyError
        return SimpleNamespace(error_code=0)

    async def _maybe_leave_group(self) -> None:
        self.reset_generation()

    def reset_generation(self) -> None:
        self.generation, self.member_id = -1, ""


async def _close(*, closing: bool, fails: bool = False) -> tuple[Coordinator, Lease]:
    lease = Lease(60.0)
    coordinator = Coordinator(lease, fails=fails)
    lease.renew(*lease.sending())
    lease.take()
    consumer = SimpleNamespace(_coordinator=coordinator)
    watch_lease(consumer, lease)
    leave_at_close(consumer)
    if closing:
        coordinator._closing.set_result(None)
    await coordinator._maybe_leave_group()
    return coordinator, lease


@pytest.mark.parametrize("fails", [False, True])
async def test_closing_member_gives_its_lease_up_before_it_leaves(fails: bool) -> None:
    coordinator, lease = await _close(closing=True, fails=fails)
    ((request, held),) = coordinator.sent
    assert isinstance(request, LeaveGroupRequest)
    assert (request._group, request._member_id, held) == ("g", "m-1", False)
    assert coordinator.generation == -1
    assert not lease.holds()


async def test_idle_member_that_is_not_closed_stays() -> None:
    """aiokafka calls the same method for a consumer that has not polled for long."""
    coordinator, lease = await _close(closing=False)
    assert coordinator.sent == []
    assert lease.holds()
