"""A router that may have been replaced neither decides nor writes."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest

from tongban_router.faust_runtime import membership as fence_module
from tongban_router.faust_runtime.membership import SessionFence

SESSION_S = 0.2


class Ended(Exception):
    """Raised in place of the end of the process."""


@pytest.fixture
def fence(monkeypatch: pytest.MonkeyPatch) -> SessionFence:
    def die(event: str, *_: object) -> None:
        raise Ended(event)

    monkeypatch.setattr(fence_module, "die", die)
    return SessionFence(SESSION_S)


def begin(fence: SessionFence) -> None:
    fence._lease.renew(time.monotonic())
    fence.begin()


async def waiting(fence: SessionFence) -> asyncio.Task[None]:
    """Return a task that waits in `confirm` since the session may have ended."""
    await asyncio.sleep(SESSION_S)  # the lease counts the monotonic clock of the process
    task = asyncio.create_task(fence.confirm("here"))
    await asyncio.sleep(0.05)  # a fence that did not wait would be done by now
    assert not task.done()
    return task


async def test_fence_lets_work_continue_while_and_after_the_group_renews_the_session(
    fence: SessionFence,
) -> None:
    """A fence that ends the process raises `Ended`."""
    begin(fence)
    await fence.confirm("here")
    task = await waiting(fence)  # the broker is away
    fence._lease.renew(time.monotonic())
    await task


async def test_fence_before_the_first_assignment_does_not_end_the_process(
    fence: SessionFence,
) -> None:
    """A fence that ends the process raises `Ended`."""
    task = await waiting(fence)
    begin(fence)
    await task


@pytest.mark.parametrize("unheard", [True, False])
async def test_router_replaced_with_work_in_hand_ends(fence: SessionFence, unheard: bool) -> None:
    """Either the coordinator reports it, or partitions are assigned again before it could."""
    begin(fence)
    task = await waiting(fence)
    if not unheard:
        fence._lease.refuse()
    else:
        fence._lease.give_up()
        begin(fence)
    with pytest.raises(Ended, match="replaced"):
        await task


async def test_no_record_leaves_for_the_broker_once_the_session_may_have_ended(
    fence: SessionFence,
) -> None:
    sent: list[Any] = []

    async def ready(*_: Any) -> bool:
        await asyncio.sleep(2 * SESSION_S)  # connecting again: meanwhile another router took over
        fence._lease.refuse()
        return True

    async def send(_: int, request: Any) -> None:
        sent.append(request)

    client = SimpleNamespace(ready=ready, send=send)
    begin(fence)
    fence.guard(SimpleNamespace(client=client))
    records = ProduceRequest.__new__(ProduceRequest)
    with pytest.raises(Ended):
        await client.send(1, records)
    await client.send(1, "metadata")
    assert sent == ["metadata"]
