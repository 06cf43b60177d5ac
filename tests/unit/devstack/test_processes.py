"""Child processes: their logs, their ends, and that none outlives its parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.unit.devstack.child_kit import (
    FORKING,
    STUBBORN,
    child_spec,
    gone,
    note_when_running,
    until,
)
from tongban_devstack.processes import ChildProcess

PARENT = """
import json, sys, threading, time
from pathlib import Path
from tongban_devstack.processes import ChildProcess, ChildSpec

spec = ChildSpec("child", json.loads(sys.argv[1]), Path(sys.argv[2]))
children = []
started = threading.Thread(target=lambda: children.append(ChildProcess(spec)))
started.start()
started.join()  # the thread that asked for the child ends; the child must not
print(children[0].pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def running(tmp_path: Path) -> Path:
    return tmp_path / "running"


async def test_runs_under_its_own_name_with_its_environment(tmp_path: Path) -> None:
    spec = child_spec(
        tmp_path, "import os, sys; print(os.environ['GIVEN'], sys.argv[1:])", "tongban-x"
    )
    child = ChildProcess(spec)
    assert await child.wait() == 0
    assert not child.alive
    assert child.log_tail() == "yes ['tongban-x']"


async def test_its_command_line_is_the_programs(tmp_path: Path, running: Path) -> None:
    child = ChildProcess(child_spec(tmp_path, note_when_running(running)))
    await until(running.exists)
    assert psutil.Process(child.pid).cmdline() == list(child.spec.argv)
    await child.stop(5)


async def test_the_log_is_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        await ChildProcess(child_spec(tmp_path, "print('again')")).wait()
    assert (tmp_path / "child.log").read_text() == "again\nagain\n"


async def test_stop_asks_first(tmp_path: Path, running: Path) -> None:
    child = ChildProcess(child_spec(tmp_path, note_when_running(running)))
    await until(running.exists)
    assert await child.stop(5) == -signal.SIGTERM


async def test_stop_kills_forked_children_too(tmp_path: Path, running: Path) -> None:
    child = ChildProcess(child_spec(tmp_path, STUBBORN + FORKING + note_when_running(running)))
    await until(running.exists)
    forked = [each.pid for each in psutil.Process(child.pid).children()]
    assert len(forked) == 1
    assert await child.stop(0.1) == -signal.SIGKILL
    await until(lambda: gone(forked[0]))


async def test_children_of_a_killed_process_are_killed_too(tmp_path: Path, running: Path) -> None:
    child = ChildProcess(child_spec(tmp_path, FORKING + note_when_running(running)))
    await until(running.exists)
    forked = [each.pid for each in psutil.Process(child.pid).children()]
    os.kill(child.pid, signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    await until(lambda: gone(forked[0]))


async def test_a_cancelled_wait_leaves_the_child_alone(tmp_path: Path, running: Path) -> None:
    child = ChildProcess(child_spec(tmp_path, note_when_running(running)))
    await until(running.exists)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(child.wait(), 0.01)
    assert child.alive
    assert await child.stop(5) == -signal.SIGTERM


async def test_signals_to_the_dead_do_nothing(tmp_path: Path) -> None:
    child = ChildProcess(child_spec(tmp_path, ""))
    await child.wait()
    child.send_signal(signal.SIGKILL)
    child.kill_group()
    assert await child.stop(1) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can promise it")
async def test_no_child_outlives_a_parent_that_was_killed(tmp_path: Path, running: Path) -> None:
    spec = child_spec(tmp_path, STUBBORN + note_when_running(running))
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, json.dumps(list(spec.argv)), str(spec.log),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await until(running.exists)
    assert not gone(child)
    parent.kill()
    await parent.wait()
    await until(lambda: gone(child))


BUSY = "import threading\n" + (
    "for _ in range(8): threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\n"
)


def _states(pid: int) -> list[str]:
    """The state of each thread, as proc(5) has it: T is stopped."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]


async def test_stopped_child_stands_still_when_the_signal_was_sent(
    tmp_path: Path, running: Path
) -> None:
    child = ChildProcess(child_spec(tmp_path, BUSY + note_when_running(running)))
    await until(running.exists)
    for _ in range(20):
        child.send_signal(signal.SIGSTOP)
        assert _states(child.pid) == ["T"] * 9
        child.send_signal(signal.SIGCONT)
    child.kill_group()
    assert await child.wait() == -signal.SIGKILL
    child.send_signal(signal.SIGSTOP)  # nobody is left to stop


async def test_child_that_is_killed_while_it_stands_still_is_gone(
    tmp_path: Path, running: Path
) -> None:
    child = ChildProcess(child_spec(tmp_path, note_when_running(running)))
    await until(running.exists)
    child.send_signal(signal.SIGSTOP)
    child.send_signal(signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
