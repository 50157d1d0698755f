"""What the destination holds already, read once before a load: the only state that a load goes by.

Nothing is remembered beside the tables, so a lost machine, a new container or a restored backup goes on
correctly. The snapshot is taken through any SQL connection to the dataset; a table that does not exist
yet counts as empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from .endpoints import ENDPOINTS
from .rows import Row
from .tables import TABLES

Query = Callable[[str, str], "list[Row] | None"]
"""Runs SQL over one table, `{table}` standing for its qualified name: rows by lower-case column name, or
None where the table does not exist."""


@dataclass(frozen=True)
class Cursor:
    """How far a metric's points are loaded: how many rows, the highest id, and the first and last time."""

    rows: int = 0
    last_id: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None


@dataclass
class Stored:
    """A snapshot of the dataset.

    Attributes:
        counts: Rows of each table but the points'.
        ids: Ids in the tables that lists fill.
        rows: Whole rows of the tables asked for.
    """

    counts: dict[str, int] = field(default_factory=dict)
    ids: dict[str, set[int]] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)


def read_stored(query: Query, *, whole: Iterable[str] = ()) -> Stored:
    """Take a snapshot.

    Args:
        query: Runs SQL over one table.
        whole: Tables whose rows are wanted, with their declared columns.
    """
    stored = Stored()
    for name in TABLES:
        if name != "metric_points":
            counted = query(name, "SELECT count(*) AS n FROM {table}")
            stored.counts[name] = int(counted[0]["n"]) if counted else 0
    for endpoint in ENDPOINTS.values():
        if endpoint.kind.has_ids:
            found = query(endpoint.tables[0], "SELECT id FROM {table}") or []
            stored.ids[endpoint.tables[0]] = {row["id"] for row in found}
    for name in whole:
        found = query(name, "SELECT * FROM {table}") or []
        stored.rows[name] = [_row(name, row) for row in found]
    return stored


def read_cursors(query: Query) -> dict[int, Cursor]:
    """Return how far the points of each metric are loaded, by metric id."""
    grouped = (
        "SELECT metric_id, count(*) AS n, max(id) AS last_id, min(created_at) AS first_at, "
        "max(created_at) AS last_at FROM {table} WHERE metric_id IS NOT NULL GROUP BY metric_id"
    )
    return {
        int(row["metric_id"]): Cursor(row["n"], row["last_id"], row["first_at"], row["last_at"])
        for row in query("metric_points", grouped) or []
    }


def pipeline_query(pipeline: dlt.Pipeline) -> Query:
    """Return a query over a pipeline's destination, whatever SQL database that is."""

    def query(table: str, sql: str) -> list[Row] | None:
        with pipeline.sql_client() as client:
            try:
                qualified = client.make_qualified_table_name(table)
                with client.execute_query(sql.replace("{table}", qualified)) as cursor:
                    names = [column[0].lower() for column in cursor.description]
                    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]
            except DatabaseUndefinedRelation:
                return None

    return query


def _row(table: str, found: Row) -> Row:
    row = {column.name: found.get(column.name) for column in TABLES[table].columns}
    for column in TABLES[table].columns:
        value = row[column.name]
        if column.data_type == "json" and isinstance(value, str):
            row[column.name] = json.loads(value)
        elif isinstance(value, datetime):
            row[column.name] = value.astimezone(timezone.utc)
    return row
