"""Pages as rows, put into a DuckDB database as a load would, and the models built over them.

Rows go in by Arrow with the declared types, so that a test of the models takes no load of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import duckdb
import pyarrow as pa

from cachet_dagster.analytics.build import Built, build_models
from cachet_dagster.analytics.model_settings import ModelSettings
from cachet_dagster.analytics.model_sql import SOURCES
from cachet_dagster.warehouse.duckdb_session import DuckDBSession

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]

DATASET = "cachet_data"
ARROW = {
    "bigint": pa.int64(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}


def at(text: str) -> datetime:
    """Return a time in UTC, of `2026-03-01 10:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def arrow(table: str, rows: Sequence[Row]) -> pa.Table:
    """Return rows as the table's declared columns."""
    columns = SOURCES[table].columns
    values = {
        column.name: [
            json.dumps(row[column.name])
            if column.data_type == "json" and row.get(column.name) is not None
            else row.get(column.name)
            for row in rows
        ]
        for column in columns
    }
    return pa.table(
        {column.name: pa.array(values[column.name], ARROW[column.data_type]) for column in columns}
    )


def database(rows: Rows) -> duckdb.DuckDBPyConnection:
    """Return a database in memory whose dataset holds the rows; tables that are not named do not exist."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET threads = 1")
    connection.execute(f"CREATE SCHEMA {DATASET}")
    for name, given in rows.items():
        connection.register("given", arrow(name, given))
        connection.execute(f'CREATE TABLE {DATASET}."{name}" AS SELECT * FROM given')
        connection.unregister("given")
    return connection


class Models:
    """Models built over rows."""

    def __init__(self, rows: Rows, *, sql: Mapping[str, str] | None = None, **settings: Any):
        self.connection = database(rows)
        self.built = self.build(sql=sql, **settings)

    def build(self, *, sql: Mapping[str, str] | None = None, **settings: Any) -> Built:
        """Build them, again."""
        return build_models(
            DuckDBSession(self.connection, DATASET), DATASET, settings=ModelSettings(**settings), sql=sql
        )

    def rows(self, sql: str) -> list[Row]:
        """Return what a query over `analytics.` and `source.` finds."""
        named = sql.replace("analytics.", "cachet_analytics.").replace("source.", f"{DATASET}.")
        found = self.connection.execute(named)
        names = [column[0] for column in found.description]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]

    def table(self, name: str) -> list[Row]:
        """Return a model's rows."""
        return self.rows(f"SELECT * FROM analytics.{name}")
