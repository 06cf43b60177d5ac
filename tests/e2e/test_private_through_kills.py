"""What processes leave behind that are killed in the middle of it: nobody is named there either."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e import whole_stack_reading as reading
from tests.e2e.disguises import leaks_in
from tests.e2e.lobby_kit import Lobby, lobby_in
from tests.e2e.people import PERSON
from tests.e2e.private_matters import PrivateMatters
from tongban_devstack.stack import SERVICES


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_killed_processes_leave_no_personal_data_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONGBAN_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("TMPDIR", str(reading.temporary_directory(tmp_path / "data")))
    async with lobby_in(tmp_path) as lobby:
        lobby.persistent = True
        killed: Counter[str] = Counter()
        async with asyncio.TaskGroup() as tasks:
            matters = tasks.create_task(PrivateMatters(lobby).all())
            tasks.create_task(_kill_each_once(lobby, matters, killed))
        assert killed == Counter(SERVICES)
        assert str(PERSON["phone"]) in str(await lobby.outside(f"{lobby.stack.devices}/messages"))
        written = await reading.everything(lobby.stack)
        assert {"requests.submitted", "tongban.requests", "logs/router-0.log"} <= written.keys()
        assert any(b"r-" in text for name, text in written.items() if name.endswith(" as a table"))
        assert not leaks_in(written)


async def _kill_each_once(lobby: Lobby, matters: asyncio.Task[None], killed: Counter[str]) -> None:
    """In random order, each once the one before it serves again; not after it is all over."""
    supervisor = lobby.stack.supervisor
    for service in random.sample(SERVICES, len(SERVICES)):
        assert not matters.done(), "nothing was under way any more"
        (name,) = lobby.stack.replicas(service)
        supervisor.kill(name, signal.SIGKILL)
        killed[service] += 1
        await supervisor.ready(name, timeout_s=120)
