"""Child processes that do work of which they may die: read strangers' bytes, set endless sheets."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from tongban_common.errors import CommonError
from tongban_kafka.trouble import ProcessTroubleError


class ChildNotReadyError(CommonError, ProcessTroubleError):
    """Raised where no child process can be made, or one ended or said nothing in time instead of
    reporting ready: what the child was to work on has not been seen by it."""


async def start_child(module: str, *, ready: bytes, seconds: float) -> Process:
    """Start `python -m module` with pipes, and return it once it has written the line `ready`.

    The child inherits no environment: it holds the secrets of its parent.

    Raises:
        ChildNotReadyError: no process can be made, or the child was ended.
        MemoryError
    """
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module,
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={"PATH": os.defpath}, close_fds=True,
        )  # fmt: skip
    except OSError as error:
        raise ChildNotReadyError(module) from error
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
