"""One SQLite file, the one thread that writes it, and the one that reads it for reports.

Every effect of the simulated outside is committed here before it is answered. Writers queue; the
thread takes all that wait into one transaction (group commit), so that hundreds of effects a
second cost a few dozen commits.

`synchronous=NORMAL` with a write-ahead log: a commit is in the operating system's hands when
`write` returns, so it outlives SIGKILL of this process, which is what the simulated outside
promises. Only a crash of the machine itself may take back the last commits (never half of one),
and then the system under test is gone as well. FULL would add an fsync to every group.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

GROUP = 256
"""Most works that share one transaction."""
WAITING = 4096
"""Most works that wait for the writer; more wait in `write` before they are queued."""


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    answer: asyncio.Future[Any]


_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class SqliteJournal:
    """An async context manager around one database file; `schema` is run when it is opened."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._schema = schema
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(WAITING)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._writer: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> SqliteJournal:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(self._open)
        self._writer = threading.Thread(
            target=self._write_groups, args=(connection,), name="journal-writer", daemon=True
        )
        self._writer.start()
        self._read_only = await self._loop.run_in_executor(self._reader, self._open_read_only)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._jobs.put(None)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._reader.shutdown)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in the writer's thread and return its result once it is committed.

        Works run one after another in the order of their calls; a work sees those before it. What
        a work raises undoes that work alone and is raised here. A caller that is cancelled stops
        waiting; the work is done all the same.
        """
        async with self._room:
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            self._jobs.put(_Job(work, answer))
            return await answer

    async def read(self, work: Work[T]) -> T:
        """Run a report on a read-only connection; it sees all that was committed before the call.

        It neither holds up the writer nor sees works that are still being written: questions whose
        answer decides what happens next belong into `write`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, lambda: work(self._read_only))

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA busy_timeout=5000")
        connection.executescript(self._schema)
        return connection

    def _open_read_only(self) -> sqlite3.Connection:
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)

    def _write_groups(self, connection: sqlite3.Connection) -> None:
        going_on = True
        while going_on:
            group, going_on = self._next_group()
            outcomes = _commit(connection, group) if group else []
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_deliver, outcomes)
        connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """All that waits, at least one; False when the end was among it."""
        group: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == GROUP:
                return group, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, True
        return group, False


def _commit(connection: sqlite3.Connection, group: list[_Job]) -> list[_Outcome]:
    try:
        connection.execute("BEGIN")
        outcomes = [_run(connection, job) for job in group]
        connection.execute("COMMIT")
    except sqlite3.Error as error:  # the whole group is undone: disk full, file gone
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return [(job.answer, None, error) for job in group]
    return outcomes


def _run(connection: sqlite3.Connection, job: _Job) -> _Outcome:
    connection.execute("SAVEPOINT work")
    try:
        result = job.work(connection)
    except Exception as error:
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return job.answer, None, error
    connection.execute("RELEASE work")
    return job.answer, result, None


def _deliver(outcomes: list[_Outcome]) -> None:
    for answer, result, error in outcomes:
        if answer.done():  # its caller was cancelled
            continue
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)
