"""Keep the rows of one day, decide what is published of it, and write its facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tongban_common import faultpoints
from tongban_facts.coarsening import coarsen
from tongban_facts.day_state import DayState
from tongban_facts.decoding import ROWS
from tongban_facts.fact_files import write_day
from tongban_facts.joining import fact_tables, quasi_identifiers
from tongban_facts.manifest import DayEntry


@dataclass(frozen=True, slots=True)
class DayTask:
    """Names one day's work. Sent to a process.

    Args:
        state: directory of the day's state.
        new: directory of the slim rows that this run has read of the day.
        items_file: Parquet with `item`, `domain` and `zone` of the catalogue.
        in_window: False if the day's rows are kept and no facts are written.
    """

    day: str
    state: Path
    new: Path
    target: Path
    items_file: Path
    k: int
    in_window: bool


@dataclass(frozen=True, slots=True)
class DayResult:
    """Holds what came of a day; `entry` is None outside of the window."""

    day: str
    entry: DayEntry | None


def write_facts(task: DayTask, passed: Callable[[int], None]) -> DayResult:
    """Do the work of a day. The same work again writes the same bytes."""
    state = DayState(task.state)
    rows = {name: state.merged(name, task.new) for name in ROWS}
    for name, frame in rows.items():
        state.keep(name, frame)
    faultpoints.reached("facts.after_state")
    passed(1)
    if not task.in_window:
        return DayResult(task.day, None)
    published = state.published()
    waiting = rows["requests"].join(published, on="request", how="anti")
    if not waiting.is_empty():
        items = pl.read_parquet(task.items_file, memory_map=False)
        fresh = coarsen(quasi_identifiers(waiting, items), task.k)
        if not fresh.is_empty():
            published = pl.concat([published, fresh]).sort("request")
            state.publish(published)
    faultpoints.reached("facts.after_publishing")
    counts = write_day(task.target, task.day, fact_tables(rows, published))
    return DayResult(
        task.day, DayEntry(rows=counts, withheld=rows["requests"].height - published.height)
    )
