"""The Parquet schemas of the fact tables, derived from `tongban_facts.tables`."""

from __future__ import annotations

import pyarrow as pa

from tongban_facts.tables import Column, Table, Type

_TYPES: dict[Type, pa.DataType] = {
    Type.TEXT: pa.string(),
    Type.CODE: pa.string(),
    Type.INTEGER: pa.int64(),
    Type.SMALL: pa.int16(),
    Type.BOOLEAN: pa.bool_(),
    Type.DATE: pa.date32(),
}


def arrow_schema(table: Table) -> pa.Schema:
    """Return the table's schema: each field carries its meaning and unit as metadata."""
    return pa.schema([_field(column) for column in table.columns])


def _field(column: Column) -> pa.Field:
    metadata = {"meaning": column.meaning}
    if column.unit:
        metadata["unit"] = column.unit
    return pa.field(column.name, _TYPES[column.type], nullable=column.nullable, metadata=metadata)
