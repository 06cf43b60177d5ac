"""Every item of the catalogue, once, with its own examples, through the whole chain."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.e2e.lobby_kit import Lobby, lobby_in
from tongban_common.clock import BusinessClock
from tongban_devstack.demo.plan import Mishaps, visits
from tongban_devstack.demo.play import Day, Player
from tongban_devstack.demo.report import account
from tongban_devstack.kiosks import Place


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_every_item_completes_once_and_prints_once(tmp_path: Path) -> None:
    """All zones. What is counted is counted at the outside: the provinces' ledger, the printed
    sheets and the messages."""
    rate = float(os.environ.get("TONGBAN_TEST_RATE", "15"))
    async with lobby_in(tmp_path, profile="prompt", clock=BusinessClock.real()) as lobby:
        items = list(lobby.catalogue)
        assert sum("cross_province" in item.zones for item in items) == 1346
        day = Day(visits(items, (), count=len(items), kiosk_count=40, day="every-item"))
        assert {visit.body["item_code"] for visit in day.visits} == {item.code for item in items}
        await lobby.stack.enrol({Place(visit.kiosk_id, visit.branch_id) for visit in day.visits})
        began = time.monotonic()
        calm = Mishaps(down=(), dropping=(), kills_each=0)
        player = Player(lobby.stack, day, seconds=len(items) / rate, mishaps=calm)
        await player.play(patience_s=60)
        await _all_told(lobby, len(items))
        took = time.monotonic() - began
        result = await account(lobby.stack, day, seconds=took, speed=1.0, memory_mb=0)
    assert result.clean, result.wrong
    printable = sum(item.printable for item in items)
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


async def _all_told(lobby: Lobby, count: int) -> None:
    """As long as messages go on coming out: on a slow disk their guards take a while."""
    told, since = -1, time.monotonic()
    while told < count:
        now = len(await lobby.outside(f"{lobby.stack.devices}/messages"))
        if now > told:
            told, since = now, time.monotonic()
        assert time.monotonic() - since < 60, f"{told} of {count} messages, and no more"
        await asyncio.sleep(1)
