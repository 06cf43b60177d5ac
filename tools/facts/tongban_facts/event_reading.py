"""Read one group of partitions into slim rows, each under its request's pseudonym and day.

All these topics have the request id as key, and the same key has the same hash everywhere: the
partition number modulo the greatest common divisor of the partition counts is the same in all
topics. So a group of partitions holds everything about its requests, groups are independent, and
each one is read by itself, in bounded memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from tongban_common import topics
from tongban_facts.bulk_decoding import BulkDecoder
from tongban_facts.decoding import ROWS
from tongban_facts.month_keys import MonthKeys, month_of
from tongban_facts.source import Place, Source

_FRAME_ROWS = 40_000
"""Decoded rows have text where a frame has numbers, and take twice its memory and more."""
_WRITE_ROWS = 400_000
"""Rows that are joined and written at once: each time makes a file for each kind and day."""
_CHINA_MS = 8 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class GroupTask:
    """Names what to read of one group: offsets from and to, by partition. Sent to a process."""

    number: int
    settings: dict[str, Any]
    ranges: dict[Place, tuple[int, int]]
    keys_file: Path
    index_file: Path | None
    """Parquet with `request` and `day` of requests that earlier runs read; None: there are none."""
    target: Path
    """Directory for `<day>/<kind>-<group>-<number>.parquet`."""


@dataclass(slots=True)
class GroupResult:
    """Holds what came of reading one group."""

    days: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    """`malformed` records, `unknown` rows whose request is not among the events."""

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count."""
        if number:
            self.counts[what] = self.counts.get(what, 0) + number


def groups_of(counts: Mapping[str, int]) -> list[list[Place]]:
    """Return the partitions of each group, from the number of partitions of each topic."""
    divisor = math.gcd(*counts.values())
    return [
        [
            (topic, partition)
            for topic, count in counts.items()
            for partition in range(group, count, divisor)
        ]
        for group in range(divisor)
    ]


def read_group(task: GroupTask, passed: Callable[[int], None]) -> GroupResult:
    """Read a group and write its slim rows by day.

    Raises:
        SourceError: the broker does not answer or denies it.
    """
    result = GroupResult()
    work = _GroupReader(task, result)
    with Source(task.settings) as source:
        first, later = _in_order(task.ranges)
        for ranges in (first, later):
            for messages in source.read(ranges, passed):
                work.add(messages)
            work.write_all()
    return result


def _in_order(
    ranges: dict[Place, tuple[int, int]],
) -> tuple[dict[Place, tuple[int, int]], dict[Place, tuple[int, int]]]:
    """Separate the topic that says of which day a request is: it is read first."""
    first = {place: span for place, span in ranges.items() if place[0] == topics.REQUESTS_STATUS}
    return first, {place: span for place, span in ranges.items() if place not in first}


class _GroupReader:
    """Turns messages into files of slim rows."""

    def __init__(self, task: GroupTask, result: GroupResult) -> None:
        self._task, self._result = task, result
        self._keys = MonthKeys(task.keys_file)
        self._decoder = BulkDecoder()
        self._frames: dict[str, list[pl.DataFrame]] = {name: [] for name in ROWS}
        self._index = pl.DataFrame(
            schema={"request_id": pl.String, "request": pl.String, "day": pl.String}
        )
        self._earlier = pl.read_parquet(task.index_file) if task.index_file else None
        self._files = 0

    def add(self, messages: list[Any]) -> None:
        """Decode messages and write rows once there are many."""
        self._decoder.add(messages)
        if self._decoder.held >= _FRAME_ROWS:
            self._make_frames()
            kept = (frame.height for frames in self._frames.values() for frame in frames)
            if sum(kept) >= _WRITE_ROWS:
                self.write_all()

    def _make_frames(self) -> None:
        for name, frame in self._decoder.take().items():
            self._frames[name].append(frame)
        self._result.count("malformed", self._decoder.malformed)
        self._decoder.malformed = 0

    def write_all(self) -> None:
        """Write all rows so far, requests first, by which the others find their day."""
        self._make_frames()
        for name, frames in self._frames.items():
            if not frames:
                continue
            frame = pl.concat(frames)
            frames.clear()
            if name == "requests":
                frame = self._register(frame)
            else:
                found = self._found(frame)
                self._result.count("unknown", frame.height - found.height)
                frame = found
            self._write(name, frame)

    def _register(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give new requests their pseudonym and day, and keep both for their other events."""
        frame = frame.unique("request_id", keep="first", maintain_order=True).join(
            self._index, on="request_id", how="anti"
        )
        day = pl.from_epoch(pl.col("submitted") + _CHINA_MS, time_unit="ms").dt.strftime("%Y-%m-%d")
        frame = frame.with_columns(day.alias("day"))
        months = {month_of(date.fromisoformat(day)) for day in frame["day"].unique()}
        self._keys.ensure(months)
        parts = []
        for month in sorted(months):
            part = frame.filter(pl.col("day").str.starts_with(month))
            if self._keys.destroyed(month):
                self._result.count("month_closed", part.height)
                continue
            names = self._keys.pseudonyms(month, part["request_id"].to_list())
            parts.append(part.with_columns(pl.Series("request", names, dtype=pl.String)))
        if not parts:
            return frame.clear().with_columns(pl.lit("").alias("request"))
        frame = pl.concat(parts)
        self._index = pl.concat([self._index, frame.select("request_id", "request", "day")])
        return frame

    def _found(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows whose request is known, with its pseudonym and day."""
        found = frame.join(self._index, on="request_id", how="inner")
        if self._earlier is None or found.height == frame.height:
            return found
        rest = frame.join(self._index, on="request_id", how="anti")
        ids = rest["request_id"].unique().to_list()
        parts = [found]
        for month in self._keys.months:
            names = pl.DataFrame({"request_id": ids, "request": self._keys.pseudonyms(month, ids)})
            known = names.join(self._earlier, on="request", how="inner")
            parts.append(rest.join(known, on="request_id", how="inner").select(found.columns))
        return pl.concat(parts)

    def _write(self, name: str, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        self._files += 1
        for (day,), rows in frame.drop("request_id").partition_by("day", as_dict=True).items():
            directory = self._task.target / str(day)
            directory.mkdir(parents=True, exist_ok=True)
            rows.drop("day").write_parquet(
                directory / f"{name}-{self._task.number}-{self._files}.parquet",
                compression="lz4",
                statistics=False,
            )
            self._result.days.add(str(day))


def day_of(moment: datetime) -> date:
    """Return the business date of a moment, in China's time."""
    return (moment.astimezone(UTC) + timedelta(milliseconds=_CHINA_MS)).date()


def segments(directory: Path, name: str) -> Iterator[Path]:
    """Return the files of one kind of slim rows of one day, in a fixed order."""
    return iter(sorted(directory.glob(f"{name}-*.parquet")))
