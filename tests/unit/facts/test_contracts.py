"""The committed contracts follow from the tables, and tables change additively."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from open_data_contract_standard.model import OpenDataContractStandard

from tongban_common import topics
from tongban_facts import contracts
from tongban_facts.decoding import DECODERS
from tongban_facts.schema import arrow_schema
from tongban_facts.tables import TABLES, ColumnClass, Table

DOCS = Path(__file__).parents[3] / "docs" / "facts"
GOLDEN = Path(__file__).parent / "golden"
"""One file for each table: the columns that were ever published. Add to them, change nothing."""


def columns_of(table: Table) -> dict[str, Any]:
    """Return what readers of a table rely on."""
    return {
        column.name: {
            "type": column.type.value,
            "unit": column.unit,
            "nullable": column.nullable,
            "values": list(column.values),
        }
        for column in table.columns
    }


def test_committed_contracts_are_what_the_tables_say() -> None:
    written = {file.name: file.read_text(encoding="utf-8") for file in DOCS.glob("*.odcs.yaml")}
    assert written == contracts.files()


@pytest.mark.parametrize("name", TABLES)
def test_contract_is_read_by_the_standards_own_model(name: str) -> None:
    read = OpenDataContractStandard.from_file(str(DOCS / f"{name}.odcs.yaml"))
    assert read.apiVersion == contracts.API_VERSION
    assert read.schema_ is not None
    properties = read.schema_[0].properties
    assert properties is not None
    assert [each.name for each in properties] == ["date", *columns_of(TABLES[name])]
    assert all(each.description and each.classification for each in properties)


@pytest.mark.parametrize("name", TABLES)
def test_table_changes_additively(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    now = columns_of(TABLES[name])
    for column, before in golden.items():
        assert column in now, f"{column} was published and is gone"
        values = now[column].pop("values")
        assert set(before.pop("values")) <= set(values)
        assert now[column] == before
    for column in now.keys() - golden.keys():
        assert now[column]["nullable"], f"{column} is new, so rows of before have none"
        pytest.fail(f"{column} is new: add it to {GOLDEN / name}.json")


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_parquet_schema_has_every_column_with_its_meaning(table: Table) -> None:
    schema = arrow_schema(table)
    assert schema.names == [column.name for column in table.columns]
    assert all(field.metadata[b"meaning"] for field in schema)


def test_every_table_carries_the_pseudonym_and_all_coarsened_columns() -> None:
    coarsened = {
        name: [column.name for column in table.columns if column.data is ColumnClass.COARSENED]
        for name, table in TABLES.items()
    }
    assert len({tuple(each) for each in coarsened.values()}) == 1
    assert all(table.columns[0].data is ColumnClass.PSEUDONYM for table in TABLES.values())


def test_account_reads_what_the_export_reads_and_nothing_else() -> None:
    may = {name for name, topic in topics.TOPICS.items() if topics.FACTS in topic.readers}
    assert may == {*DECODERS, topics.CATALOGUE_ITEMS}
    writes = {
        name
        for name, topic in topics.TOPICS.items()
        if topics.FACTS in (topic.owner, *topic.also_written_by)
    }
    assert writes == set()
