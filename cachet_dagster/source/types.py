"""What a column's declared data type is in Python, in Arrow and in DuckDB: the one table of types.

A column is declared once, with dlt's data type (`tables.py`); everything else follows from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from .tables import DataType, Table


@dataclass(frozen=True)
class TypeMapping:
    """A data type elsewhere.

    Attributes:
        python: Types of a value in a row.
        arrow: Type of an Arrow array.
        sql: Name in SQL of DuckDB's dialect, from which other dialects are made.
        duckdb: Name in DuckDB's catalog.
    """

    python: tuple[type, ...]
    arrow: pa.DataType
    sql: str
    duckdb: str


TYPES: Mapping[DataType, TypeMapping] = {
    "bigint": TypeMapping((int,), pa.int64(), "BIGINT", "BIGINT"),
    "text": TypeMapping((str,), pa.string(), "TEXT", "VARCHAR"),
    "bool": TypeMapping((bool,), pa.bool_(), "BOOLEAN", "BOOLEAN"),
    "double": TypeMapping((float, int), pa.float64(), "DOUBLE", "DOUBLE"),
    "timestamp": TypeMapping(
        (datetime,), pa.timestamp("us", "UTC"), "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"
    ),
    "date": TypeMapping((date,), pa.date32(), "DATE", "DATE"),
    # Arrow has no JSON that dlt reads as such.
    "json": TypeMapping((dict, list), pa.string(), "JSON", "JSON"),
}
"""dlt's data type → the same elsewhere."""


def arrow_schema(table: Table) -> pa.Schema:
    """Return a table's Arrow schema, nullable where dlt's hints have it so: all columns but those of the key."""
    return pa.schema(
        [
            pa.field(column.name, TYPES[column.data_type].arrow, nullable=column.name not in table.key)
            for column in table.columns
        ]
    )
