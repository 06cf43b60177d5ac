"""Print the queued jobs of each printer one after another, page by page.

After a restart of the process a job starts over with its first page. It counts once: the
transaction that ends its last page counts it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import Counter

from tongban_common.process import Stopping
from tongban_devstack.devices import job_store
from tongban_devstack.devices.faults import Condition, PrinterFaults
from tongban_devstack.devices.job_store import JobKey, Stage
from tongban_devstack.outside.faults import FaultBoard
from tongban_devstack.outside.journal import SqliteJournal
from tongban_devstack.outside.process import ConnectionCutError, pause, until

SHEETS = Counter("tongban_printer_jobs_completed_total", "Jobs whose sheets came out")


@dataclass(slots=True)
class _PrintEngine:
    """One active printer. The queue holds its jobs that the job store has in stage `queued`."""

    queue: deque[JobKey] = field(default_factory=deque)
    current: JobKey | None = None
    impressions: int = 0


@dataclass(kw_only=True, eq=False)
class PrintEngines:
    """Print engines of all printers; an idle printer has neither an engine nor a task."""

    journal: SqliteJournal
    faults: FaultBoard[PrinterFaults]
    data: Path
    seconds_per_page: float
    stopping: Stopping
    tasks: asyncio.TaskGroup
    _engines: dict[str, _PrintEngine] = field(default_factory=dict, init=False)
    _ended: set[JobKey] = field(default_factory=set, init=False)

    @property
    def pages_per_minute(self) -> int:
        """Return the speed as IPP reports it: at least 1, and at most 6000."""
        return max(1, round(60 / max(self.seconds_per_page, 0.01)))

    async def resume(self) -> None:
        """Enqueue the jobs that were queued when the process ended, and clear the spool of other
        files."""
        needed = await self.journal.write(job_store.spooled_files)
        await asyncio.to_thread(_clear_spool, self.data, needed)
        queued = await self.journal.write(job_store.list_jobs, frozenset({Stage.QUEUED}))
        for job in queued:
            self.enqueue(job.key)

    def enqueue(self, key: JobKey) -> None:
        """Print a complete job after those before it."""
        engine = self._engines.get(key.kiosk_id)
        if engine is None:
            engine = self._engines[key.kiosk_id] = _PrintEngine()
            self.tasks.create_task(self._work(key.kiosk_id, engine))
        engine.queue.append(key)

    def drop(self, key: JobKey) -> None:
        """Stop printing a job that was canceled or forgotten."""
        engine = self._engines.get(key.kiosk_id)
        if engine is not None and engine.current == key:
            self._ended.add(key)

    def drop_all(self, kiosk_id: str) -> None:
        """Stop the current job of a printer that has forgotten its jobs."""
        engine = self._engines.get(kiosk_id)
        if engine is not None and engine.current is not None:
            self.drop(engine.current)

    def current(self, kiosk_id: str) -> JobKey | None:
        """Return the current job of a printer, also while the printer is stopped."""
        engine = self._engines.get(kiosk_id)
        return engine.current if engine else None

    def impressions(self, key: JobKey) -> int:
        """Return the printed pages of a job; 0 unless it is the current one."""
        engine = self._engines.get(key.kiosk_id)
        return engine.impressions if engine and engine.current == key else 0

    async def _work(self, kiosk_id: str, engine: _PrintEngine) -> None:
        try:
            while engine.queue:
                engine.current, engine.impressions = engine.queue.popleft(), 0
                await self._print(engine, engine.current)
                self._ended.discard(engine.current)
                engine.current = None
        except ConnectionCutError:
            return  # the process ends; the job store keeps the job
        finally:
            del self._engines[kiosk_id]

    async def _print(self, engine: _PrintEngine, key: JobKey) -> None:
        job = await self.journal.read(job_store.find_job, key)
        if job is None or job.stage is not Stage.QUEUED:
            return
        for _ in range(job.pages * job.copies):
            await pause(self.stopping, self.seconds_per_page)
            await self._until_ok(key)
            if key in self._ended:
                return
            engine.impressions += 1
        await self._until_ok(key)
        spooled = await self.journal.write(job_store.complete_job, key, self.data, time.time())
        if spooled:
            SHEETS.inc()
            await asyncio.to_thread(_remove, spooled)

    async def _until_ok(self, key: JobKey) -> None:
        """Wait until the printer works or the job has ended otherwise."""
        while key not in self._ended:
            changed = self.faults.changed
            if self.faults.of(key.kiosk_id).state is Condition.OK:
                return
            await until(self.stopping, changed)


def _clear_spool(data: Path, needed: frozenset[Path]) -> None:
    for file in (data / "spool").glob("*/*"):
        if file.relative_to(data) not in needed:
            file.unlink()


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
