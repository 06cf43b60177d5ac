"""Child processes that do work of which they may die: read strangers' bytes, set endless sheets."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process


class ChildNotReadyError(Exception):
    """Raised where a child process ended, or said nothing in time, instead of reporting ready."""


async def start_child(module: str, *, ready: bytes, seconds: float) -> Process:
    """Start `python -m module` with pipes, and return it once it has written the line `ready`.

    The child inherits no environment: it holds the secrets of its parent.

    Raises:
        ChildNotReadyError: the child was ended.
        OSError, MemoryError: no process can be made.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={"PATH": os.defpath}, close_fds=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - it was asked for
    said = b""
    try:
        async with asyncio.timeout(seconds):
            said = await process.stdout.readline()
    except TimeoutError:
        pass
    finally:
        if said != ready:
            await end_child(process)
    if said != ready:
        raise ChildNotReadyError(module)
    return process


async def end_child(process: Process) -> None:
    """Kill the process if it runs, and return once it has ended."""
    if process.returncode is None:
        process.kill()
    await process.wait()
