"""Export fact tables: read what is new on the topics, keep it by day, write the days that changed.

A run that is killed at any point is repeated by the next one: offsets are written last, and all
that was written before depends on the events alone. docs/facts/README.md has the whole picture.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tongban_common import faultpoints, topics
from tongban_facts.atomic_files import exclusive, remove_leftovers
from tongban_facts.day_state import remove_month, write_index
from tongban_facts.day_writing import DayTask, write_facts
from tongban_facts.decoding import DECODERS
from tongban_facts.event_reading import GroupTask, groups_of, read_group
from tongban_facts.manifest import DayEntry, Manifest, Offsets
from tongban_facts.month_keys import MonthKeys
from tongban_facts.source import Source, newest_values
from tongban_facts.workers import OnProgress, Workers


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Says what to export, and where to.

    Args:
        since: first business date; None has no limit.
        until: last business date, inclusive.
        state: private directory of the export.
        keys_file: the keys of the pseudonyms.
        today: the business date of now; months are closed by it.
    """

    target: Path
    state: Path
    keys_file: Path
    since: date | None
    until: date
    k: int
    grace: timedelta
    today: date


@dataclass(slots=True)
class ExportResult:
    """Counts what one run did."""

    records: int = 0
    days: dict[str, DayEntry] = field(default_factory=dict)
    """The days that were written or compared."""
    dropped: dict[str, int] = field(default_factory=dict)
    destroyed: list[str] = field(default_factory=list)


def export(
    settings: dict[str, Any], options: ExportOptions, progress: OnProgress = lambda _d, _t: None
) -> ExportResult:
    """Run one export.

    Args:
        settings: librdkafka's settings, see `tongban_facts.source.client_settings`.

    Raises:
        FactsError: the broker does not answer, another export works in the state directory, or the
            state cannot be used.
    """
    with exclusive(options.state):
        remove_leftovers(options.state)
        remove_leftovers(options.target)
        return _Run(settings, options).run(progress)


class _Run:
    """One run of the export."""

    def __init__(self, settings: dict[str, Any], options: ExportOptions) -> None:
        self._settings, self._options = settings, options
        self._days = options.state / "days"
        self._new = options.state / "run"
        self._items_file = self._new / "items.parquet"
        self._keys = MonthKeys(options.keys_file)
        self._offsets = Offsets(options.state / "offsets.json")
        self._manifest = Manifest(options.target / "manifest.json", options.k)
        self._result = ExportResult()

    def run(self, progress: OnProgress) -> ExportResult:
        shutil.rmtree(self._new, ignore_errors=True)
        self._close_months()
        tasks = self._tasks()
        with Workers(self._result.records) as workers:
            self._read(workers, tasks, progress)
            faultpoints.reached("facts.after_reading")
            self._write_days(workers)
        faultpoints.reached("facts.before_offsets")
        self._manifest.write()
        self._offsets.write(self._result.dropped)
        faultpoints.reached("facts.after_offsets")
        shutil.rmtree(self._new, ignore_errors=True)
        return self._result

    def _close_months(self) -> None:
        """Destroy the keys whose time is over, and the state that they would have protected."""
        options = self._options
        self._result.destroyed = self._keys.destroy_ended(options.today, options.grace)
        for directory in sorted(self._days.glob("*")):
            if self._keys.destroyed(directory.name[:7]):
                remove_month(self._days, directory.name[:7])

    def _tasks(self) -> list[GroupTask]:
        """Look up what is new, and return what is to be read of each group."""
        with Source(self._settings) as source:
            self._keep_catalogue(source)
            counts = source.partitions(list(DECODERS))
            groups = groups_of(counts)
            # The end of the topic that tells a request's day is looked up last, so that no other
            # event is read without it.
            places = sorted(
                (place for group in groups for place in group),
                key=lambda place: (place[0] == topics.REQUESTS_STATUS, place),
            )
            ranges = self._offsets.ranges(source.ends(places))
        self._result.records = sum(end - begin for begin, end in ranges.values())
        index = write_index(self._days, self._new / "index.parquet", self._keys.months)
        tasks = [
            GroupTask(
                number=number,
                settings=self._settings,
                ranges={place: ranges[place] for place in group if place in ranges},
                keys_file=self._options.keys_file,
                index_file=index,
                target=self._new / "days",
            )
            for number, group in enumerate(groups)
        ]
        return [task for task in tasks if task.ranges]

    def _read(self, workers: Workers, tasks: list[GroupTask], progress: OnProgress) -> None:
        """Read what is new into slim rows by day."""
        for found in workers.run(read_group, tasks, self._result.records, progress):
            for what, number in found.counts.items():
                self._result.dropped[what] = self._result.dropped.get(what, 0) + number
        self._keys = MonthKeys(self._options.keys_file)

    def _write_days(self, workers: Workers) -> None:
        touched = {directory.name for directory in (self._new / "days").glob("*")}
        kept = {directory.name for directory in self._days.glob("*")}
        tasks = [
            DayTask(
                day=day,
                state=self._days / day,
                new=self._new / "days" / day,
                target=self._options.target,
                items_file=self._items_file,
                k=self._options.k,
                in_window=self._in_window(day),
            )
            for day in sorted(touched | kept)
            if day in touched or (self._in_window(day) and not self._manifest.is_current(day))
        ]
        for done in workers.run(write_facts, tasks, len(tasks), lambda _done, _total: None):
            if done.entry is None:
                self._manifest.changed(done.day)
            else:
                self._manifest.written(done.day, done.entry)
                self._result.days[done.day] = done.entry

    def _in_window(self, day: str) -> bool:
        moment = date.fromisoformat(day)
        options = self._options
        return (options.since is None or options.since <= moment) and moment <= options.until

    def _keep_catalogue(self, source: Source) -> None:
        """Write domain and first zone of every item on offer, for the days' tasks."""
        items = {}
        for key, value in newest_values(source, topics.CATALOGUE_ITEMS).items():
            try:
                item = orjson.loads(value)
                items[key.decode()] = (item["domain"], item["zones"][0])
            except (KeyError, TypeError, ValueError, IndexError):
                continue
        frame = pl.DataFrame(
            [(code, *found) for code, found in sorted(items.items())],
            schema={"item": pl.String, "domain": pl.String, "zone": pl.String},
            orient="row",
        )
        self._new.mkdir(parents=True, exist_ok=True, mode=0o700)
        frame.write_parquet(self._items_file)


def default_state(target: Path) -> Path:
    """Return the state directory of an export to `target`: beside it, so that it is not shared with
    those who read the facts."""
    return target.with_name(f"{target.name}.state")
