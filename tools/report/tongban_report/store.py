"""Read fact tables with DuckDB: one view for each table, and the queries of the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from tongban_facts.tables import PARTITION, TABLES, Table, Type
from tongban_report.errors import FactsNotFoundError, FactsUnreadableError

_TYPES = {
    Type.TEXT: "VARCHAR",
    Type.CODE: "VARCHAR",
    Type.INTEGER: "BIGINT",
    Type.SMALL: "SMALLINT",
    Type.BOOLEAN: "BOOLEAN",
    Type.DATE: "DATE",
}


class FactStore:
    """Answers queries on the fact tables of one directory, within a period of business dates.

    Use it as a context manager. A table without any file is empty: `tongban export` writes no file
    for a day without rows. Files of an older export may lack newer columns, which are then null.
    """

    def __init__(
        self, directory: Path, *, since: date | None = None, until: date | None = None
    ) -> None:
        """Open the tables.

        Args:
            since: first business date; None: from the first that there is.
            until: last business date, inclusive; None: to the last that there is.

        Raises:
            FactsNotFoundError: the directory contains none of the tables.
            FactsUnreadableError: a file is damaged, or lacks a column that is never null.
        """
        if not any((directory / name).is_dir() for name in TABLES):
            raise FactsNotFoundError(
                f"{directory} has none of the fact tables ({', '.join(TABLES)}): "
                "is it the directory of `tongban export --to`?"
            )
        self._directory = directory
        self._period = _condition(since, until)
        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'Asia/Shanghai'")
        try:
            for table in TABLES.values():
                self._connection.execute(self._view(table, directory))
        except duckdb.Error as error:
            self._connection.close()
            raise FactsUnreadableError(f"{directory}: {_first_line(error)}") from error

    def __enter__(self) -> FactStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def views(self) -> str:
        """Return the statements that make the same views of a directory `facts`."""
        return "\n".join(
            f"CREATE VIEW {name} AS FROM read_parquet('facts/{name}/*/*.parquet', "
            f"hive_partitioning = true){self._period};"
            for name in TABLES
        )

    def rows(self, name: str) -> Sequence[dict[str, Any]]:
        """Run the query `name` and return its rows, by column.

        Raises:
            FactsUnreadableError: a file is damaged.
        """
        try:
            result = self._connection.execute(self.sql(name))
            columns = [column[0] for column in result.description or ()]
            return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
        except duckdb.Error as error:
            raise FactsUnreadableError(
                f"{self._directory}, query {name}: {_first_line(error)}"
            ) from error

    @staticmethod
    def sql(name: str) -> str:
        """Return the text of the query `name`."""
        return files("tongban_report").joinpath(f"queries/{name}.sql").read_text("utf-8").strip()

    def _view(self, table: Table, directory: Path) -> str:
        pattern = directory / table.name / f"{PARTITION}=*" / "*.parquet"
        if not any((directory / table.name).glob(f"{PARTITION}=*/*.parquet")):
            columns = [f"NULL::{_TYPES[each.type]} AS {each.name}" for each in table.columns]
            empty = ", ".join([*columns, f"NULL::DATE AS {PARTITION}"])
            return f"CREATE VIEW {table.name} AS SELECT {empty} WHERE false"
        source = (
            f"read_parquet({_literal(str(pattern))}, hive_partitioning = true, "
            f"hive_types = {{'{PARTITION}': DATE}}, union_by_name = true)"
        )
        there = {row[0] for row in self._connection.execute(f"DESCRIBE FROM {source}").fetchall()}
        missing = [each for each in table.columns if each.name not in there]
        for column in missing:
            if not column.nullable:
                raise FactsUnreadableError(f"{directory / table.name} has no column {column.name}")
        added = "".join(f", NULL::{_TYPES[each.type]} AS {each.name}" for each in missing)
        # Names are those of `TABLES`; the directory is a quoted literal.
        return f"CREATE VIEW {table.name} AS SELECT *{added} FROM {source}{self._period}"  # noqa: S608


def _condition(since: date | None, until: date | None) -> str:
    bounds = [
        f"{PARTITION} {comparison} DATE '{day:%Y-%m-%d}'"
        for comparison, day in ((">=", since), ("<=", until))
        if day is not None
    ]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]
