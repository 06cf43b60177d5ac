"""Write one SQLite file from one thread, and read it for reports from another.

Every effect of the simulated outside is committed here before it is answered. Writers queue; the
thread commits all that wait in one transaction (group commit), so that hundreds of effects a second
cost a few dozen commits.

`synchronous=NORMAL` with a write-ahead log: a commit has reached the operating system when `write`
returns, so it outlives SIGKILL of this process, which is what the simulated outside promises. Only
a crash of the machine may undo the last commits (never half of one), and then the system under test
is gone as well. FULL would add an fsync to every group.
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
from typing import Any, Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
Work = Callable[Concatenate[sqlite3.Connection, P], T]

GROUP = 256
"""Maximum works in one transaction."""
WAITING = 4096
"""Maximum works that wait for the writer; further ones wait in `write` before they are queued."""


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    answer: asyncio.Future[Any]


_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class SqliteJournal:
    """Async context manager around one database file; opening it runs `schema`."""

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

    async def __aexit__(self, *_: object) -> None:
        self._jobs.put(None)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._reader.shutdown)

    async def write(self, work: Work[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Run `work(connection, ...)` in the writer's thread; return its result once committed.

        Works run one after another in the order of their calls; each sees those before it. An
        exception undoes that work alone and is raised here. A caller that is cancelled stops
        waiting; the work still runs.
        """
        async with self._room:
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            self._jobs.put(_Job(lambda connection: work(connection, *args, **options), answer))
            return await answer

    async def execute(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run one statement as `write` does, and return its rows."""
        return await self.write(
            lambda connection: connection.execute(statement, parameters).fetchall()
        )

    async def read(self, work: Work[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Run a report on a read-only connection; it sees all that was committed before the call.

        It does not delay the writer and does not see works in progress: a query whose result
        decides what happens next belongs into `write`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._reader, lambda: work(self._read_only, *args, **options)
        )

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
        """Return all waiting works, at least one; False if the end was among them."""
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
