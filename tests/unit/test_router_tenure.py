"""A router that may have been replaced neither decides nor writes."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest

from tongban_router.faust_runtime import session_fence as tenure_module
from tongban_router.faust_runtime.session_fence import SessionFence

SESSION_S = 0.2


class Ended(Exception):
    """Instead of the process's end."""


@pytest.fixture
def tenure(monkeypatch: pytest.MonkeyPatch) -> SessionFence:
    def die(event: str, *_: object) -> None:
        raise Ended(event)

    monkeypatch.setattr(tenure_module, "die", die)
    return SessionFence(SESSION_S)


def begin(tenure: SessionFence) -> None:
    tenure._lease.renew(time.monotonic())
    tenure.begin()


async def waiting(tenure: SessionFence) -> asyncio.Task[None]:
    """Somebody who comes when the session has run out unheard."""
    await asyncio.sleep(SESSION_S)
    task = asyncio.create_task(tenure.confirm("here"))
    await asyncio.sleep(0.05)
    assert not task.done()
    return task


async def test_work_goes_on_while_the_group_hears_of_us_and_after_it_does_again(
    tenure: SessionFence,
) -> None:
    begin(tenure)
    await tenure.confirm("here")
    task = await waiting(tenure)  # the broker is away
    tenure._lease.renew(time.monotonic())
    await task


async def test_before_the_first_assignment_there_is_nothing_to_lose(tenure: SessionFence) -> None:
    task = await waiting(tenure)
    begin(tenure)
    await task


@pytest.mark.parametrize("unheard", [True, False])
async def test_who_was_replaced_with_work_in_hand_ends(tenure: SessionFence, unheard: bool) -> None:
    """Told by the coordinator, or assigned anew before it could be seen."""
    begin(tenure)
    task = await waiting(tenure)
    if not unheard:
        tenure._lease.refuse()
    else:
        tenure._lease.give_up()
        begin(tenure)
    with pytest.raises(Ended, match="replaced"):
        await task


async def test_no_record_leaves_for_the_broker_once_the_session_may_have_ended(
    tenure: SessionFence,
) -> None:
    sent: list[Any] = []

    async def ready(*_: Any) -> bool:
        await asyncio.sleep(2 * SESSION_S)  # connecting anew: meanwhile somebody took over
        tenure._lease.refuse()
        return True

    async def send(_: int, request: Any) -> None:
        sent.append(request)

    client = SimpleNamespace(ready=ready, send=send)
    begin(tenure)
    tenure.fence(SimpleNamespace(client=client))
    records = ProduceRequest.__new__(ProduceRequest)
    with pytest.raises(Ended):
        await client.send(1, records)
    await client.send(1, "metadata")
    assert sent == ["metadata"]
