"""Write the data contract of each fact table: an Open Data Contract Standard document, version 3.

`python -m tongban_facts.contracts docs/facts` writes the files; a test holds that they are fresh
and that tables change additively.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from tongban_common.topics import HISTORY_KEPT
from tongban_facts.tables import PARTITION, TABLES, Column, ColumnClass, Table, Type

API_VERSION = "v3.0.2"
VERSION = "1.0.0"
_NOTE = "# Generated from tools/facts/tongban_facts/tables.py: change the tables instead.\n"
_LOGICAL = {
    Type.TEXT: "string",
    Type.CODE: "string",
    Type.INTEGER: "integer",
    Type.SMALL: "integer",
    Type.BOOLEAN: "boolean",
    Type.DATE: "date",
}
_PHYSICAL = {
    Type.TEXT: "STRING",
    Type.CODE: "STRING",
    Type.INTEGER: "INT64",
    Type.SMALL: "INT16",
    Type.BOOLEAN: "BOOLEAN",
    Type.DATE: "DATE",
}
_CLASSES = {
    ColumnClass.PSEUDONYM: "pseudonymous",
    ColumnClass.COARSENED: "coarsened",
    ColumnClass.PLAIN: "internal",
}
_LIMITATIONS = (
    "No name, number, phone, form value, free text or request id is in it. A null in a coarsened "
    "column is no error: fewer than k requests of the day share the finer value. Fewer than k "
    "requests of a day and kind are withheld (manifest.json counts them). Durations have two "
    "significant digits. Nobody may be followed across months: pseudonyms change with the month."
)


def contract(table: Table) -> dict[str, Any]:
    """Return the contract of a table as plain data."""
    return {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": f"urn:tongban:facts:{table.name}",
        "name": table.name,
        "version": VERSION,
        "status": "active",
        "domain": "government-services",
        "dataProduct": "tongban-facts",
        "tags": ["facts", "parquet", "k-anonymous"],
        "description": {
            "purpose": table.meaning,
            "usage": f"read_parquet('DIR/{table.name}/**/*.parquet', hive_partitioning = true)",
            "limitations": _LIMITATIONS,
        },
        "servers": [
            {
                "server": "export",
                "type": "local",
                "path": f"./{table.name}/{PARTITION}=*/*.parquet",
                "format": "parquet",
            }
        ],
        "schema": [_schema(table)],
        "team": [{"username": "tongban-operators", "role": "owner"}],
        "roles": [{"role": "analyst", "access": "read"}],
        "support": [{"channel": "issues", "url": "https://github.com/tongban/tongban/issues"}],
        "slaDefaultElement": f"{table.name}.{PARTITION}",
        "slaProperties": [
            {"property": "frequency", "value": 1, "unit": "d",
             "description": "a nightly `tongban export`; more often with --follow"},
            {"property": "latency", "value": 1, "unit": "d",
             "description": "from the event to the row, with a nightly export"},
            {"property": "retention", "value": "unlimited", "unit": "d",
             "description": "facts are kept as long as their directory is; the events behind them "
             f"for {HISTORY_KEPT.days} days, the key of a month until 35 days after it"},
        ],
    }  # fmt: skip


def _schema(table: Table) -> dict[str, Any]:
    date = {
        "name": PARTITION,
        "logicalType": "date",
        "physicalType": "DATE",
        "description": "business date of the request's submission, in China's time; in the "
        "directory's name",
        "required": True,
        "partitioned": True,
        "partitionKeyPosition": 1,
        "classification": _CLASSES[ColumnClass.PLAIN],
    }
    keys = ", ".join((PARTITION, *table.key))
    return {
        "name": table.name,
        "physicalName": table.name,
        "logicalType": "object",
        "physicalType": "parquet",
        "description": table.meaning,
        "dataGranularityDescription": f"One row is {table.row}.",
        "properties": [date, *(_property(table, column) for column in table.columns)],
        "quality": [
            {
                "type": "sql",
                "name": "the key is unique",
                "dimension": "uniqueness",
                "query": f"SELECT count(*) - count(DISTINCT ({keys})) FROM {table.name}",  # noqa: S608 - for readers; nothing runs it here
                "mustBe": 0,
            }
        ],
    }


def _property(table: Table, column: Column) -> dict[str, Any]:
    described = column.meaning + (f"; unit: {column.unit}" if column.unit else "")
    if column.null:
        described += f"; null: {column.null}"
    found: dict[str, Any] = {
        "name": column.name,
        "logicalType": _LOGICAL[column.type],
        "physicalType": _PHYSICAL[column.type],
        "description": described,
        "required": not column.nullable,
        "classification": _CLASSES[column.data],
    }
    if column.name in table.key:
        found |= {"primaryKey": True, "primaryKeyPosition": table.key.index(column.name) + 1}
    if column.unit:
        found["tags"] = [f"unit:{column.unit}"]
    quality = list(_quality(table, column))
    if quality:
        found["quality"] = quality
    return found


def _quality(table: Table, column: Column) -> list[dict[str, Any]]:
    rules = []
    if column.values:
        allowed = ", ".join(f"'{value}'" for value in column.values)
        rules.append(
            _rule(table, f"{column.name} has a known value", f"{column.name} NOT IN ({allowed})")
        )
    if column.unit == "ms":
        rules.append(_rule(table, f"{column.name} is not negative", f"{column.name} < 0"))
    return rules


def _rule(table: Table, name: str, broken: str) -> dict[str, Any]:
    return {
        "type": "sql",
        "name": name,
        "dimension": "conformity",
        "query": f"SELECT count(*) FROM {table.name} WHERE {broken}",  # noqa: S608 - as above
        "mustBe": 0,
    }


def files() -> dict[str, str]:
    """Return the content of each contract by its file name."""
    return {
        f"{table.name}.odcs.yaml": _NOTE
        + yaml.safe_dump(contract(table), allow_unicode=True, sort_keys=False, width=100)
        for table in TABLES.values()
    }


def write(directory: Path) -> None:
    """Write all contracts into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
