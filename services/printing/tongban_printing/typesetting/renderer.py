"""Render PDFs from Typst templates, in child processes that are killed when they take too long."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import TracebackType
from typing import Any

from tongban_common.children import ChildNotReadyError, end_child, exit_code, start_child
from tongban_common.store import MAX_DOCUMENT_BYTES
from tongban_kafka import Retry
from tongban_printing.domain.contents import SheetTemplate
from tongban_printing.errors import PrintingError
from tongban_printing.typesetting.render_worker import LENGTH, READY

_MODULE = "tongban_printing.typesetting.render_worker"
_START_S = 60.0
"""Time-out of starting a process, long enough for an overloaded machine; sheets wait meanwhile."""
_CPU_SECONDS = 30
"""Limit of processor time for one sheet; most take 15 ms."""
_WALL_SECONDS = 240.0
"""Limit of wall time for one sheet: other processes have slowed down one that reaches it first."""
_LANE_ROOM = 8
"""Most sheets of one province that wait here; the worker retries further ones."""
_RETRY_S = 1.0


class Unprintable(Enum):
    """The reasons why a sheet cannot be made, for metrics and for the text on the kiosk."""

    TOO_LONG = "too_long"
    TOO_MUCH = "too_much"
    CANNOT_SET = "cannot_set"


class RenderError(PrintingError):
    """Raised when the document can never be made. The text quotes nothing of the contents."""

    def __init__(self, why: Unprintable, what: str) -> None:
        super().__init__(what)
        self.why = why


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished document."""

    pdf: bytes
    pages: int

    @property
    def sha256(self) -> str:
        """Return the digest of the bytes, in hexadecimal."""
        return hashlib.sha256(self.pdf).hexdigest()


@dataclass(slots=True)
class _Lane:
    lock: asyncio.Lock
    waiting: int = 0


class Renderer:
    """Async context manager of a few child processes, which it starts on demand.

    The same template, contents and time give the same bytes, on any replica. Sheets of one lane
    (province) are rendered one after the other, so that slow ones occupy one process at most.
    """

    def __init__(self, processes: int, *, cpu_seconds: int = _CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._slots = asyncio.Semaphore(processes)
        self._lanes: dict[str, _Lane] = {}

    async def __aenter__(self) -> Renderer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._idle:
            await end_child(self._idle.pop())

    async def render(
        self, template: SheetTemplate, data: dict[str, Any], *, at: datetime, lane: str = ""
    ) -> Rendered:
        """Make the PDF; `at` is its date.

        Characters that the fonts lack are set as 〓 and named by their code points on the sheet.

        Raises:
            RenderError: the template fails, or the sheet takes too much time, memory or paper, or
                more bytes than the store accepts.
            Retry: the lane is full, or no process can be started now.
        """
        job = {
            "template": template.name,
            "data": data,
            "timestamp": int(at.timestamp()),
            "seconds": self._cpu_seconds,
        }
        text = json.dumps(job, ensure_ascii=False).encode(errors="surrogatepass")
        async with self._turn(lane), self._slots:
            header, pdf = await self._work(text)
        if "error" in header:
            raise RenderError(Unprintable(header["error"]), header["what"])
        if len(pdf) > MAX_DOCUMENT_BYTES:
            raise RenderError(Unprintable.TOO_LONG, f"a PDF of {len(pdf)} bytes")
        return Rendered(pdf, int(header["pages"]))

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        lane = self._lanes.setdefault(name, _Lane(asyncio.Lock()))
        if lane.waiting >= _LANE_ROOM:
            raise Retry("other sheets of its province are being made", after=_RETRY_S)
        lane.waiting += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.waiting -= 1
            if not lane.waiting:
                self._lanes.pop(name, None)

    async def _work(self, text: bytes) -> tuple[dict[str, Any], bytes]:
        """Typeset the sheet, a second time in a new process if a used one fails at it.

        Earlier sheets may have damaged a process, for example by filling its memory. Without the
        second attempt the present sheet would be reported as unprintable for that.
        """
        used = self._used()
        if used is not None:
            try:
                header, pdf = await self._work_in(used, text)
            except RenderError as error:
                if error.why is Unprintable.TOO_MUCH:
                    raise  # its processor time is counted for this sheet alone
            else:
                if header.get("error") != Unprintable.TOO_MUCH.value:
                    return header, pdf
                await self._end_idle(used)
        return await self._work_in(await self._new(), text)

    async def _end_idle(self, process: Process) -> None:
        if process in self._idle:
            self._idle.remove(process)
            await end_child(process)

    async def _work_in(self, process: Process, text: bytes) -> tuple[dict[str, Any], bytes]:
        self._busy.add(process)
        try:
            async with asyncio.timeout(_WALL_SECONDS):
                answer = await _ask(process, text)
        except TimeoutError:
            await end_child(process)
            raise Retry("the maker of sheets gets no processor time", after=_RETRY_S) from None
        except BaseException:
            await end_child(process)
            raise
        finally:
            self._busy.discard(process)
        if answer is None:
            raise _fault(await exit_code(process))
        self._idle.append(process)
        return answer

    def _used(self) -> Process | None:
        """Take an idle process, if there is one."""
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return None

    async def _new(self) -> Process:
        try:
            return await start_child(_MODULE, ready=READY, seconds=_START_S)
        except (ChildNotReadyError, MemoryError) as error:
            # The cause lets the worker report the trouble as the process's own.
            raise Retry("the maker of sheets does not start", after=2 * _RETRY_S) from error


def _fault(code: int | None) -> Exception:
    """Return the exception for a sheet during which the child ended with this exit code."""
    if code == -signal.SIGXCPU:
        return RenderError(Unprintable.TOO_MUCH, "takes too much processor time")
    if code in (None, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        # Killed by the system, which was short of memory, or by an operator; None: unknown.
        return Retry("the maker of sheets was killed", after=_RETRY_S)
    return RenderError(Unprintable.CANNOT_SET, f"the maker of sheets ended with {code}")


async def _ask(process: Process, text: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return the child's answer; None if it has ended without one."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(LENGTH.pack(len(text)) + text)
        await process.stdin.drain()
        header = await _read(process.stdout)
        pdf = await _read(process.stdout)
    except (BrokenPipeError, ConnectionResetError, asyncio.IncompleteReadError):
        return None
    return json.loads(header), pdf


async def _read(stream: asyncio.StreamReader) -> bytes:
    (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
    return await stream.readexactly(length)
