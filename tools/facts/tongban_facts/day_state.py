"""Keep what was read of each day between runs: slim rows under pseudonyms, and what was published.

The state is not for analysts: it has exact times and uncoarsened places. It is removed with the
month's key (`tongban_facts.month_keys`), and a run that is killed repeats its work on it with the
same result: rows are merged by their keys.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from tongban_facts.atomic_files import flush_directory, replace_file
from tongban_facts.coarsening import DTYPES, KIND
from tongban_facts.decoding import ROWS
from tongban_facts.event_reading import segments

_PUBLISHED = "published"


class DayState:
    """The state of one business date, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def merged(self, name: str, new: Path) -> pl.DataFrame:
        """Return all rows of a kind: those kept, and those that this run read into `new`."""
        file = self._directory / f"{name}.parquet"
        parts = [pl.read_parquet(path, memory_map=False) for path in segments(new, name)]
        if file.exists():
            parts.insert(0, pl.read_parquet(file, memory_map=False))
        schema = {**ROWS[name].schema, "request": pl.String}
        del schema["request_id"]
        if not parts:
            return pl.DataFrame(schema=schema)
        rows = pl.concat([part.select(*schema) for part in parts])
        return _without_repeats(rows, ["request", *ROWS[name].key])

    def keep(self, name: str, rows: pl.DataFrame) -> None:
        """Write the rows of a kind, if there are any."""
        if not rows.is_empty():
            replace_file(self._directory / f"{name}.parquet", parquet_bytes(rows))

    def published(self) -> pl.DataFrame:
        """Return the requests that were published, as they were coarsened."""
        file = self._directory / f"{_PUBLISHED}.parquet"
        if file.exists():
            return pl.read_parquet(file, memory_map=False)
        return pl.DataFrame(
            schema={"request": pl.String, KIND: pl.String, **DTYPES, "rung": pl.Int16}
        )

    def publish(self, requests: pl.DataFrame) -> None:
        """Write the requests that are published. It is written before any fact about them."""
        replace_file(self._directory / f"{_PUBLISHED}.parquet", parquet_bytes(requests))


def _without_repeats(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return one row for each key, sorted by it, whatever the order of `rows`.

    Of rows that differ although they have the same key, the first by all columns stays.
    """
    repeated = rows.select(pl.struct(key).is_duplicated()).to_series()
    if not repeated.any():
        return rows.sort(key)
    others = [name for name in rows.columns if name not in key]
    once = rows.filter(repeated).sort(*key, *others).unique(key, keep="first", maintain_order=True)
    return pl.concat([rows.filter(~repeated), once]).sort(key)


def parquet_bytes(rows: pl.DataFrame) -> memoryview:
    """Return the same bytes for the same rows."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getbuffer()


def write_index(days: Path, target: Path, months: Iterable[str]) -> Path | None:
    """Write pseudonym and day of every request that earlier runs read; None if there is none."""
    parts = []
    for month in months:
        for file in sorted(days.glob(f"{month}-*/requests.parquet")):
            names = pl.read_parquet(file, columns=["request"], memory_map=False)
            parts.append(names.with_columns(pl.lit(file.parent.name).alias("day")))
    if not parts:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    pl.concat(parts).write_parquet(target, compression="lz4", statistics=False)
    return target


def remove_month(days: Path, month: str) -> None:
    """Remove the state of a month's days."""
    for directory in sorted(days.glob(f"{month}-*")):
        shutil.rmtree(directory)
    if days.exists():
        flush_directory(days)
