"""Compares a table with given rows, row by row: equal ones need not be loaded again.

Where the two sides cannot be told to be the same, they count as different, which costs a load and no more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from cachet_dagster.source.rows import Row
from cachet_dagster.source.tables import Table

from .protocol import Session


def table_equals(session: Session, table: Table, rows: Sequence[Row]) -> bool:
    """Return whether a table has all its columns, and these rows and no others.

    Args:
        session: The dataset.
        table: The table, as it is declared.
        rows: The rows as they would be loaded, in any order.
    """
    stored = session(table.name, "SELECT * FROM {table}")
    if stored is None or len(stored) != len(rows):
        return False
    if not stored and not {column.name for column in table.columns} <= session.columns(table.name).keys():
        # Only rows show which columns there are.
        return False
    json_columns = {column.name for column in table.columns if column.data_type == "json"}
    read = {_key(table, row): _content(row, json_columns) for row in rows}
    return read == {_key(table, row): _content(row, json_columns) for row in stored}


def _key(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row.get(column) for column in table.key)


def _content(row: Row, json_columns: set[str]) -> Row:
    """Return a row without dlt's columns and what is null, which a column that is missing is too."""
    return {
        name: _comparable(value, is_json=name in json_columns)
        for name, value in row.items()
        if value is not None and not name.startswith("_dlt_")
    }


def _comparable(value: Any, *, is_json: bool) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc)
    # JSON comes back as text from some databases.
    return json.loads(value) if is_json and isinstance(value, str) else value
