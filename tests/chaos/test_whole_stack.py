"""Everything is killed once, the broker, the store and the outside too, while requests come in.

The comparison is the demo's: what intake accepted against the gateways' ledger, the printed sheets
and the messages.
"""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tongban_common.catalogue.provinces import find_directory
from tongban_devstack.demo.day_runner import Day, DayRunner
from tongban_devstack.demo.plan import FaultSchedule, visits
from tongban_devstack.demo.report import account
from tongban_devstack.kiosks import Place
from tongban_devstack.stack import SERVICES, Stack, StackOptions
from tongban_ops.catalogue.loader import Sources

SERVERS = ("kafka", "store", "gateways", "devices")


class Reaper(DayRunner):
    """Kills each process once with SIGKILL, in random order, spread over the submissions."""

    async def _kill(self) -> None:
        victims = [*SERVERS, *SERVICES]
        random.shuffle(victims)
        for number, victim in enumerate(victims):
            await self._reached(0.9 * (number + 0.5) / len(victims))
            for name in self._stack.replicas(victim) or [victim]:
                await self._stack.supervisor.ready(name, timeout_s=120)
                self._stack.supervisor.kill(name, signal.SIGKILL)
            self._day.kills[victim] += 1


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("replicas", [2])
async def test_whole_stack_under_kills_loses_and_doubles_nothing(
    tmp_path: Path, replicas: int
) -> None:
    sources = Sources(find_directory())
    plan = visits(
        sources.items(),
        sources.published_cases(),
        count=240,
        kiosk_count=8,
        day=f"kills-{replicas}",
    )
    options = StackOptions(data=tmp_path, replicas=dict.fromkeys(SERVICES, replicas))
    async with Stack(options) as stack:
        await stack.enrol({Place(visit.kiosk_id, visit.branch_id) for visit in plan})
        day = Day(plan)
        await Reaper(stack, day, seconds=45, schedule=FaultSchedule()).run(patience_s=240)
        result = await account(stack, day, seconds=45, speed=1, memory_mb=0)
        assert dict(day.kills) == dict.fromkeys([*SERVERS, *SERVICES], 1)
        assert result.clean, {what: found for what, found in result.wrong.items() if found}
        assert result.report["accepted"] == 240
