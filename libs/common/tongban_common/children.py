"""Start child processes for work that may crash or hang: parsing untrusted files, typesetting."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from tongban_common.errors import CommonError
from tongban_kafka import ProcessTroubleError

END_S = 5.0
"""Seconds for the end of a child that has closed its output."""
_REAPED_ELSEWHERE = 255
"""asyncio reports this code for a child that another part of the process has reaped."""


class ChildNotReadyError(CommonError, ProcessTroubleError):
    """Raised when a child process cannot be started, or did not report ready in time.

    The child has not seen its work, so the failure is not the fault of that work.
    """


async def start_child(module: str, *, ready: bytes, seconds: float) -> Process:
    """Start `python -m module` with pipes, and return it once it has written the line `ready`.

    The child inherits no environment: it holds the secrets of its parent.

    Raises:
        ChildNotReadyError: no process could be started, or the child did not report ready and was
            killed.
        MemoryError: this process is out of memory.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module,
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={"PATH": os.defpath}, close_fds=True,
        )  # fmt: skip
    except OSError as error:
        raise ChildNotReadyError(module) from error
    assert process.stdout is not None  # noqa: S101 - stdout=PIPE above
    line = b""
    try:
        async with asyncio.timeout(seconds):
            line = await process.stdout.readline()
    except TimeoutError:
        pass
    finally:
        if line != ready:
            await end_child(process)
    if line != ready:
        raise ChildNotReadyError(module)
    return process


async def exit_code(process: Process) -> int | None:
    """Return the exit code of a child that has closed its output, negative for a signal; None if it
    had to be killed, or if the machine is too busy to tell.

    A child that is killed at once, while it is ending, loses its code: `Process.kill` looks whether
    it has ended, which reaps it, and asyncio then reports 255 for whatever it was.
    """
    try:
        async with asyncio.timeout(END_S):
            code = await process.wait()
    except TimeoutError:
        return None
    finally:
        await end_child(process)
    return None if code == _REAPED_ELSEWHERE else code


async def end_child(process: Process) -> None:
    """Kill the process if it is running, and return once it has ended."""
    if process.returncode is None:
        process.kill()
    await process.wait()
