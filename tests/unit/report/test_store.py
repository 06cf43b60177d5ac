"""Fact tables as DuckDB reads them for the report."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from bench._fact_tables import write
from tongban_report.answers import SECTIONS
from tongban_report.errors import FactsNotFoundError, FactsUnreadableError
from tongban_report.store import FactStore

ANSWERS = [answer.name for section in SECTIONS for answer in section.answers]


def test_shown_queries_give_the_same_rows_in_duckdb_alone(
    facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "facts").symlink_to(facts)
    monkeypatch.chdir(tmp_path)
    with FactStore(facts) as store, duckdb.connect() as plain:
        plain.execute(store.views)
        for name in ANSWERS:
            rows = [tuple(row.values()) for row in store.rows(name)]
            assert plain.execute(store.sql(name)).fetchall() == rows, name
            assert rows


def test_period_is_that_of_submission_and_inclusive(facts: Path) -> None:
    days = {}
    for day in (date(2026, 3, 2), date(2026, 3, 3)):
        with FactStore(facts, since=day, until=day) as store:
            overview = store.rows("overview")[0]
            days[day] = overview["requests"]
            assert (overview["first_day"], overview["last_day"]) == (day, day)
    assert sum(days.values()) == 3_000


def test_files_of_an_older_export_lack_newer_columns_that_are_then_null(tmp_path: Path) -> None:
    write(tmp_path, requests=40, days=1)
    (file,) = (tmp_path / "requests").glob("*/*.parquet")
    pl.read_parquet(file, hive_partitioning=False).drop("grade").write_parquet(file)
    with FactStore(tmp_path) as store:
        overview = store.rows("overview")[0]
    assert (overview["requests"], overview["rated"]) == (40, 0)


def test_missing_column_that_is_never_null_is_named(tmp_path: Path) -> None:
    write(tmp_path, requests=40, days=1)
    (file,) = (tmp_path / "requests").glob("*/*.parquet")
    pl.read_parquet(file, hive_partitioning=False).drop("state").write_parquet(file)
    with pytest.raises(FactsUnreadableError, match="no column state"):
        FactStore(tmp_path)


def test_damaged_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, requests=40, days=1)
    (file,) = (tmp_path / "requests").glob("*/*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FactsUnreadableError, match=r"part-0\.parquet"):
        FactStore(tmp_path)


def test_directory_without_facts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FactsNotFoundError, match="none of the fact tables"):
        FactStore(tmp_path)
