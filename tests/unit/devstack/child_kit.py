"""Small Python programs to be run as children, and waiting for what they do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from tongban_devstack.processes import ChildSpec

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
FORKING = (
    "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
)


def note_when_running(file: Path) -> str:
    """A program that makes the file once it is so far, and then stays."""
    return f"import time, pathlib; pathlib.Path({str(file)!r}).touch(); time.sleep(60)\n"


def child_spec(directory: Path, program: str, *arguments: str, name: str = "child") -> ChildSpec:
    """What runs a Python program, without the site packages that would make it slow to start."""
    argv = [sys.executable, "-I", "-S", "-c", program, *arguments]
    return ChildSpec(name, argv, directory / f"{name}.log", {"GIVEN": "yes"})


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie that its new parent has not noticed yet has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until(condition: Callable[[], bool], timeout: float = 40.0) -> None:
    """Poll until it holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.01)
