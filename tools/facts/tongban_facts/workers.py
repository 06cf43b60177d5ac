"""Work on groups and days in several processes, or in this one where little is to be done."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from tongban_facts.errors import WorkerError

FEW_RECORDS = 100_000
"""Up to this number of new records one process is faster than starting others."""
_MOST_PROCESSES = 4
_SHOW_S = 0.2
_COLLECT_AFTER = 100_000
"""Objects after which Python looks for cycles: records come by the thousand and make none."""
OnProgress = Callable[[int, int], None]
Task = TypeVar("Task")
Result = TypeVar("Result")
_passed: Any = None


class Work(Protocol[Task, Result]):  # type: ignore[misc]
    """A function of a module: it does one task and reports how much of it has passed."""

    def __call__(self, task: Task, passed: Callable[[int], None]) -> Result: ...


class Workers:
    """Processes that do tasks. A context manager.

    Args:
        records: number of records of the whole run, which decides whether processes are started.
    """

    def __init__(self, records: int) -> None:
        self._pool: ProcessPoolExecutor | None = None
        count = min(_MOST_PROCESSES, os.cpu_count() or 1)
        if records > FEW_RECORDS and count > 1:
            # A process has a core of its own: Polars' threads would only contend for it.
            os.environ.setdefault("POLARS_MAX_THREADS", "1")
            # Arrow's own allocator keeps a tenth more of what was freed.
            os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
            context = multiprocessing.get_context("spawn")
            self._counter = context.Value("q", 0)
            self._pool = ProcessPoolExecutor(count, context, _begin, (self._counter,))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(
        self, work: Work[Task, Result], tasks: Sequence[Task], total: int, progress: OnProgress
    ) -> Iterator[Result]:
        """Do all tasks and yield what came of each, in no order.

        Args:
            total: what the tasks report as passed, together.

        Raises:
            FactsError: one of them failed.
            WorkerError: a process has died.
        """
        if self._pool is None:
            yield from _here(work, tasks, total, progress)
            return
        self._counter.value = 0
        try:
            left = {self._pool.submit(_there, work, task) for task in tasks}
            while left:
                done, left = wait(left, timeout=_SHOW_S, return_when=FIRST_COMPLETED)
                progress(min(self._counter.value, total), total)
                for each in done:
                    yield each.result()
        except BrokenProcessPool:
            raise WorkerError(
                "a process of the export has died, perhaps for want of memory; the same command "
                "repeats its work"
            ) from None
        progress(total, total)


def _here(
    work: Work[Task, Result], tasks: Sequence[Task], total: int, progress: OnProgress
) -> Iterator[Result]:
    done = 0

    def passed(number: int) -> None:
        nonlocal done
        done += number
        progress(min(done, total), total)

    for task in tasks:
        yield work(task, passed)
    progress(total, total)


def _begin(counter: Any) -> None:
    """Set up a process, which adds to the counter and never outlives the export."""
    global _passed  # noqa: PLW0603 - a process of a pool gets its arguments once
    _passed = counter
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    # Ctrl-C reaches the whole group of processes: the export ends its workers by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once the export is gone, also by SIGKILL: the next export works on the same
    files."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _there(work: Work[Task, Result], task: Task) -> Result:
    def passed(number: int) -> None:
        with _passed.get_lock():
            _passed.value += number

    return work(task, passed)
