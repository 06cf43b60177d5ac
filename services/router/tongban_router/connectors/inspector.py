"""Counts the pages of documents of strangers, in processes that may be ended at any time."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import Process
from types import TracebackType

from tongban_common.children import ChildNotReadyError, end_child, exit_code, start_child
from tongban_common.kafka import Retry
from tongban_router.connectors.pdfcheck import LENGTH, READY

_MODULE = "tongban_router.connectors.pdfcheck"
_START_S = 60.0
"""A machine with too much to do starts it, too; until then documents wait."""


class NotAPdf(Exception):
    """It cannot be printed; the text says why and holds nothing of the document."""


class Inspector:
    """An async context manager over a few processes, started when they are first needed."""

    def __init__(self, processes: int = 2, *, timeout_s: float = 30.0) -> None:
        self._timeout_s = timeout_s
        self._idle: list[Process] = []
        self._slots = asyncio.Semaphore(processes)

    async def __aenter__(self) -> Inspector:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._idle:
            await end_child(self._idle.pop())

    async def pages(self, pdf: bytes) -> int:
        """How many pages it has.

        Raises:
            NotAPdf: it is none, it has an active part, or reading it takes more time or memory than
                a document may.
            Retry: no process can be started now, or this machine ended it.
        """
        async with self._slots:
            process = await self._process()
            try:
                async with asyncio.timeout(self._timeout_s):
                    said = await _ask(process, pdf)
            except TimeoutError:
                await end_child(process)
                raise NotAPdf("reading it takes too long") from None
            except BaseException:
                await end_child(process)
                raise
            if said is None:
                await _ended(process)
                raise NotAPdf("reading it broke the reader")
            self._idle.append(process)
        answer = json.loads(said)
        if "error" in answer:
            raise NotAPdf(answer["error"])
        return int(answer["pages"])

    async def _process(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        try:
            return await start_child(_MODULE, ready=READY.encode(), seconds=_START_S)
        except (ChildNotReadyError, MemoryError) as error:
            # Our trouble and not the document's: the cause lets the worker say so.
            reason = type(error.__cause__ or error).__name__
            raise Retry(f"the reader of documents does not start: {reason}", after=2.0) from error


async def _ask(process: Process, pdf: bytes) -> bytes | None:
    """The reader's line; None where it has ended without one."""
    assert process.stdin is not None  # noqa: S101 - both were asked for
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(LENGTH.pack(len(pdf)))
        process.stdin.write(pdf)
        await process.stdin.drain()
        line = await process.stdout.readline()
    except (BrokenPipeError, ConnectionResetError):
        return None
    return line if line.endswith(b"\n") else None


async def _ended(process: Process) -> None:
    """The reader's end, which it came to while it read a document.

    Raises:
        Retry: SIGKILL, which we did not send: the machine is short of memory. Readers have an
            address space of their own size and a limit of time, which end in other ways. Or the
            machine is too busy to tell how it ended: that is no fault of the document either.
    """
    code = await exit_code(process)
    if code is None or code == -signal.SIGKILL:
        raise Retry("the machine has ended the reader of documents", after=2.0)
