"""Write the fact tables of one day as Parquet files, with the schema that the contracts publish."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from tongban_facts.atomic_files import replace_file
from tongban_facts.schema import arrow_schema
from tongban_facts.tables import PARTITION, TABLES, Table

_ROW_GROUP = 250_000
_READABLE = 0o644


def write_day(target: Path, day: str, frames: dict[str, pl.DataFrame]) -> dict[str, int]:
    """Write all tables of a day; return the number of rows of each.

    A file whose content would not change is left as it is. A table without rows on that day has no
    file.
    """
    counts = {}
    for name, table in TABLES.items():
        rows = frames[name]
        counts[name] = rows.height
        if not rows.is_empty():
            path = target / name / f"{PARTITION}={day}" / "part-0.parquet"
            replace_file(path, _parquet(table, rows), mode=_READABLE)
    return counts


def _parquet(table: Table, rows: pl.DataFrame) -> memoryview:
    schema = arrow_schema(table)
    columns = rows.select(schema.names).to_arrow().cast(schema)
    buffer = io.BytesIO()
    pq.write_table(columns, buffer, compression="zstd", row_group_size=_ROW_GROUP)
    return buffer.getbuffer()
