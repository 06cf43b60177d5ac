"""The supervisor: what dies is started again, what is stopped stays so."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.unit.devstack.child_kit import STUBBORN, child_spec, gone, note_when_running, until
from tongban_devstack import liveness
from tongban_devstack.ports import free_port
from tongban_devstack.readiness import NotReadyError, StartFailedError, http_probe
from tongban_devstack.supervisor import RESTART_S, Supervisor

NOTES = """
import os, pathlib, sys, time
with open(sys.argv[1], "a") as notes:
    notes.write(f"{time.time()} {os.getpid()} {os.environ['GIVEN']}\\n")
time.sleep(60)
"""


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor(grace_s=5) as running:
        yield running


async def always_ready() -> None:
    """A probe."""


def notes(path: Path) -> list[tuple[float, int, str]]:
    """When each start was, which process it was, and what its environment gave."""
    if not path.exists():
        return []
    fields = [line.split() for line in path.read_text().splitlines()]
    return [(float(at), int(pid), given) for at, pid, given in fields]


async def test_starts_again_half_a_second_after_a_death(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    path = tmp_path / "notes"
    supervisor.start(child_spec(tmp_path, NOTES, str(path)), probe=always_ready)
    for death in range(3):
        await until(lambda count=death + 1: len(notes(path)) == count)
        assert supervisor.pid("child") == notes(path)[-1][1]
        died_at = time.time()
        supervisor.kill("child", signal.SIGKILL)
        await until(lambda count=death + 2: len(notes(path)) == count)
        assert RESTART_S <= notes(path)[-1][0] - died_at < RESTART_S + 1
    assert supervisor.restarts["child"] == 3
    assert {given for _, _, given in notes(path)} == {"yes"}
    assert len({pid for _, pid, _ in notes(path)}) == 4


async def test_child_that_exits_cleanly_is_restarted(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    supervisor.start(child_spec(tmp_path, ""), probe=always_ready)
    await until(lambda: supervisor.restarts["child"] >= 1)


async def test_nothing_is_started_while_stopping(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    async with Supervisor(restart_s=0.05) as supervisor:
        supervisor.start(child_spec(tmp_path, NOTES, str(path)), probe=always_ready)
        await until(lambda: len(notes(path)) == 1)
        supervisor.kill("child", signal.SIGKILL)
        await until(lambda: supervisor.restarts["child"] == 1)
    assert all(gone(pid) for _, pid, _ in notes(path))
    assert gone(supervisor.pid("child"))


async def test_higher_tiers_stop_first(tmp_path: Path) -> None:
    program = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.1)\n"
        "    with open(sys.argv[1], 'a') as ends: ends.write(sys.argv[2] + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path(sys.argv[1] + sys.argv[2]).touch()\n"
        "time.sleep(60)\n"
    )
    ends = tmp_path / "ends"
    async with Supervisor() as supervisor:
        for tier, name in enumerate(["broker", "outside", "service"]):
            spec = child_spec(tmp_path, program, str(ends), name, name=name)
            supervisor.start(spec, probe=always_ready, tier=tier)
        assert supervisor.names == ("broker", "outside", "service")
        await until(lambda: len(list(tmp_path.glob("ends*"))) == 3)
    assert ends.read_text().split() == ["service", "outside", "broker"]


async def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    running = tmp_path / "running"
    async with Supervisor(grace_s=0.2) as supervisor:
        spec = child_spec(tmp_path, STUBBORN + note_when_running(running))
        supervisor.start(spec, probe=always_ready)
        await until(running.exists)
        pid = supervisor.pid("child")
    assert gone(pid)


async def test_ready_waits_for_http(tmp_path: Path, supervisor: Supervisor) -> None:
    """The probe raises while the process answers 503."""
    port = free_port()
    program = (
        "import http.server, sys\n"
        "class Answer(http.server.BaseHTTPRequestHandler):\n"
        "    asked = 0\n"
        "    def do_GET(self):\n"
        "        Answer.asked += 1\n"
        "        self.send_response(200 if Answer.asked > 3 else 503)\n"
        "        self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()\n"
    )
    probe = http_probe(f"http://127.0.0.1:{port}/readyz")
    supervisor.start(child_spec(tmp_path, program, str(port)), probe=probe)
    await supervisor.ready("child", timeout_s=10)
    await probe()


async def test_child_that_dies_repeatedly_is_shown_with_its_log(tmp_path: Path) -> None:
    async with Supervisor(restart_s=0.01) as supervisor:
        spec = child_spec(tmp_path, "raise SystemExit('no such broker')")
        supervisor.start(spec, probe=http_probe(f"http://127.0.0.1:{free_port()}"))
        with pytest.raises(StartFailedError, match=r"(?s)child died \d+ times.*no such broker"):
            await supervisor.ready(timeout_s=30)


async def test_ready_beyond_its_time_names_the_failed_probe(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    async def probe() -> None:
        raise NotReadyError("the table is being recovered")

    supervisor.start(child_spec(tmp_path, "import time; time.sleep(60)"), probe=probe)
    with pytest.raises(
        StartFailedError, match=r"was not ready in 0\.2 s \(the table is being recovered"
    ):
        await supervisor.ready("child", timeout_s=0.2)


async def test_child_without_progress_is_restarted(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PERIOD_S", 0.02)
    answers = [503, 503, 200, 503, 503, 503]  # only three in a row are a verdict
    asked: list[tuple[int, int]] = []
    path = tmp_path / "notes"

    async def live(_: web.Request) -> web.Response:
        if not notes(path):  # it has not said that it is there; on a busy machine that takes longer
            return web.Response()
        status = answers[len(asked)] if len(asked) < len(answers) else 200
        asked.append((supervisor.pid("child"), status))
        return web.Response(status=status, text="stalled")

    app = web.Application()
    app.router.add_get("/livez", live)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        url = f"http://127.0.0.1:{port}/livez"
        spec = child_spec(tmp_path, NOTES, str(path))
        supervisor.start(spec, probe=always_ready, live_url=url)
        await until(lambda: len(notes(path)) == 2)
        await until(lambda: len(asked) > len(answers))
    finally:
        await runner.cleanup()
    (_, first, _), (_, second, _) = notes(path)
    assert [pid for pid, _ in asked[: len(answers)]] == [first] * len(answers)
    assert asked[-1][0] == second
    assert not gone(second)


async def test_an_unstartable_child_is_tried_again(tmp_path: Path, supervisor: Supervisor) -> None:
    path = tmp_path / "notes"
    spec = child_spec(tmp_path, NOTES, str(path))
    supervisor.start(spec, probe=always_ready)
    await until(lambda: len(notes(path)) == 1)
    spec.log.unlink()
    spec.log.mkdir()  # now the log cannot be opened
    supervisor.kill("child", signal.SIGKILL)
    await until(lambda: supervisor.restarts["child"] >= 2)
    spec.log.rmdir()
    await until(lambda: len(notes(path)) == 2)
    assert supervisor.pid("child") == notes(path)[-1][1]
