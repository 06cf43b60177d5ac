"""Count the pages of foreign documents, in child processes that may be killed at any time."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import Process
from types import TracebackType

from tongban_common.children import ChildNotReadyError, end_child, exit_code, start_child
from tongban_connectors.documents.pdfcheck import LENGTH, READY
from tongban_connectors.errors import ConnectorsError
from tongban_kafka import Retry

_MODULE = "tongban_connectors.documents.pdfcheck"
_START_S = 60.0
"""Seconds for a reader to start, long enough for a busy machine; until then documents wait."""


class NotAPdfError(ConnectorsError):
    """The document cannot be printed. The text says why and quotes nothing of the document."""


class Inspector:
    """Owns a few reader processes, which start when first needed. An async context manager."""

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
        """Return the number of pages of a document.

        Raises:
            NotAPdfError: it is no PDF, has an active part, or takes more time or memory to read
                than a document may.
            Retry: no reader can be started now, or the machine has killed it.
        """
        async with self._slots:
            process = await self._process()
            try:
                async with asyncio.timeout(self._timeout_s):
                    line = await _exchange(process, pdf)
            except TimeoutError:
                await end_child(process)
                raise NotAPdfError("reading it takes too long") from None
            except BaseException:
                await end_child(process)
                raise
            if line is None:
                await _raise_if_killed(process)
                raise NotAPdfError("reading it broke the reader")
            self._idle.append(process)
        answer = json.loads(line)
        if "error" in answer:
            raise NotAPdfError(answer["error"])
        return int(answer["pages"])

    async def _process(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        try:
            return await start_child(_MODULE, ready=READY.encode(), seconds=_START_S)
        except (ChildNotReadyError, MemoryError) as error:
            # The document is not at fault; the worker logs the trouble from the cause.
            reason = type(error.__cause__ or error).__name__
            raise Retry(f"the reader of documents does not start: {reason}", after=2.0) from error


async def _exchange(process: Process, pdf: bytes) -> bytes | None:
    """Send the document to the reader and return its line; None if it has ended without one."""
    assert process.stdin is not None  # noqa: S101 - started with both pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(LENGTH.pack(len(pdf)))
        process.stdin.write(pdf)
        await process.stdin.drain()
        line = await process.stdout.readline()
    except (BrokenPipeError, ConnectionResetError):
        return None
    return line if line.endswith(b"\n") else None


async def _raise_if_killed(process: Process) -> None:
    """Wait for the end of a reader that closed its output, and return if the document is at fault.

    Raises:
        Retry: the reader ended by SIGKILL, which this process did not send: the machine is short of
            memory. (The reader's own limits of address space and time end it in other ways.) Or the
            machine is too busy to report an exit code in time.
    """
    code = await exit_code(process)
    if code is None or code == -signal.SIGKILL:
        raise Retry("the machine has ended the reader of documents", after=2.0)
