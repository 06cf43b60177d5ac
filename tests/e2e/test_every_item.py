"""Every item of the catalogue, once, with its own examples, through the whole chain."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.e2e.lobby_kit import Lobby, lobby_in
from tongban_common.clock import BusinessClock
from tongban_devstack.demo.day_runner import Day
from tongban_devstack.demo.plan import PlannedVisit, visits
from tongban_devstack.demo.report import account
from tongban_devstack.kiosks import Place

AT_ONCE = 8
STALLED_S = 90
"""As long as something comes out at the other end, it is waited for: disks differ."""


@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_every_item_completes_once_and_prints_once(tmp_path: Path) -> None:
    """All zones. What is counted is counted at the outside: the provinces' ledger, the printed
    sheets and the messages. `TONGBAN_TEST_ITEMS` takes that many of them only."""
    async with lobby_in(tmp_path, profile="prompt", clock=BusinessClock.real()) as lobby:
        items = list(lobby.catalogue)
        assert sum("cross_province" in item.zones for item in items) == 1346
        items = items[: int(os.environ.get("TONGBAN_TEST_ITEMS", len(items)))]
        day = Day(visits(items, (), count=len(items), kiosk_count=40, day="every-item"))
        assert {visit.body["item_code"] for visit in day.visits} == {item.code for item in items}
        printable = sum(item.printable for item in items)
        began = time.monotonic()
        await _submit_all(lobby, day)
        # Reading them all again and again would cost the store more than the work itself.
        await _come_out(lobby, f"{lobby.stack.devices}/printed", printable)
        await _come_out(lobby, f"{lobby.stack.devices}/messages", len(items))
        await _read_all(lobby, day)
        took = time.monotonic() - began
        result = await account(lobby.stack, day, seconds=took, speed=1.0, memory_mb=0)
    assert result.clean, result.wrong
    counted = {
        "accepted": len(items),
        "final": len(items),
        "by_status": {"completed": len(items)},
        "lost": 0,
        "province_duplicates": 0,
        "print_duplicates": 0,
        "message_duplicates": 0,
        "prints_expected": printable,
        "prints_done": printable,
        "messages_expected": len(items),
        "messages_done": len(items),
        "dead_lettered": 0,
    }
    assert {name: result.report[name] for name in counted} == counted
    print(f"{len(items)} items in {took:.0f} s, {printable} printed: {result.report}")


async def _token(lobby: Lobby, visit: PlannedVisit) -> dict[str, str]:
    token = await lobby.stack.token(visit.kiosk_id, visit.branch_id)
    return {"Authorization": f"Bearer {token}"}


async def _submit_all(lobby: Lobby, day: Day) -> None:
    await lobby.stack.enrol({Place(visit.kiosk_id, visit.branch_id) for visit in day.visits})
    left = iter(day.visits)

    async def kiosk() -> None:
        for visit in left:
            headers = {**await _token(lobby, visit), "Idempotency-Key": visit.key}
            status = 503
            while status == 503:
                async with lobby.http.post(
                    f"{lobby.intakes[0]}/v1/requests", json=visit.body, headers=headers
                ) as reply:
                    said, status = await reply.json(), reply.status
            assert status == 202, said
            day.accepted[said["request_id"]] = visit

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(kiosk())


async def _come_out(lobby: Lobby, url: str, count: int) -> None:
    seen, since = -1, time.monotonic()
    while seen < count:
        now = len(await lobby.outside(url))
        if now > seen:
            seen, since = now, time.monotonic()
        assert time.monotonic() - since < STALLED_S, f"{seen} of {count} at {url}, and no more"
        await asyncio.sleep(1)


async def _read_all(lobby: Lobby, day: Day) -> None:
    """Each until it is final and its sheet is reported: the read model may be behind."""
    deadline = time.monotonic() + STALLED_S
    for request_id, visit in day.accepted.items():
        while not day.settled(request_id):
            assert time.monotonic() < deadline, day.seen.get(request_id)
            url = f"{lobby.intakes[0]}/v1/requests/{request_id}"
            async with lobby.http.get(url, headers=await _token(lobby, visit)) as reply:
                said = await reply.json()
            if not said.get("delayed"):
                day.seen[request_id] = said
                deadline = time.monotonic() + STALLED_S
            if not day.settled(request_id):
                await asyncio.sleep(0.2)
