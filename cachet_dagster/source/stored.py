"""What the destination holds already, read once before a load: the only state that a load goes by.

Nothing is remembered beside the tables, so a lost machine, a new container or a restored backup goes on
correctly. The snapshot is taken through any SQL connection to the dataset; a table that does not exist
yet counts as empty.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import dlt
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from .destinations import current_strategy
from .dialect import in_dialect
from .endpoints import ENDPOINTS, Endpoint
from .pagination import Cursor
from .rows import Query, Row
from .tables import TABLES

_DATASET = "the_dataset"
_IDS_AT_ONCE = 5_000


@dataclass
class Stored:
    """A snapshot of the dataset.

    Attributes:
        counts: Rows of each table but the points'.
        ids: Ids in the tables that lists fill.
        rows: Whole rows of the tables asked for.
        points_missing: Whether there is no table of points yet.
    """

    counts: dict[str, int] = field(default_factory=dict)
    ids: dict[str, set[int]] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    points_missing: bool = False


def stored_tables(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return the tables whose stored rows decide what reading the endpoints has to ask for."""
    tables: list[str] = []
    for endpoint in endpoints:
        if endpoint.has_details:
            tables += [table for table in endpoint.tables if "updates" not in table]
        elif endpoint.kind.appends or endpoint.name == "subscribers":
            # A subscriber of Cachet 2 who was not changed since is verified, or not, as before.
            tables += endpoint.tables[:1]
    return tables


def read_stored(query: Query, *, whole: Iterable[str] = ()) -> Stored:
    """Take a snapshot.

    Args:
        query: Runs SQL over one table.
        whole: Tables whose rows are wanted, with their declared columns.
    """
    stored = Stored(points_missing=query("metric_points", "SELECT 1 FROM {table} LIMIT 0") is None)
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


@contextlib.contextmanager
def destination_query() -> Iterator[Query]:
    """Query the destination of the pipeline that is extracting, whatever SQL database that is, or Delta tables.

    Every table counts as absent where there is none to be asked: a source that is iterated over without a
    pipeline, a pipeline whose destination is not set yet or speaks no SQL. So does a table that this very run
    drops or empties (`refresh`), since the destination still holds what will then be gone.
    """
    with contextlib.ExitStack() as opened:
        query = _current_query(opened)
        if query is None:
            yield lambda _table, _sql: None
            return
        package: Any = dlt.current.load_package_state()["state"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
        refreshed = (*package.get("dropped_tables", ()), *package.get("truncated_tables", ()))
        gone = {table.get("name") for table in refreshed}
        yield lambda table, sql: None if table in gone else query(table, sql)


def delete_stored(table: str, ids: Sequence[int]) -> None:
    """Delete rows from a table in the destination of the pipeline that is extracting.

    It is done at once and stays done: what Cachet has no more is gone whether or not the load that follows ends well.

    Args:
        table: The table, which is there.
        ids: Ids of its rows.
    """
    strategy, pipeline = current_strategy(), dlt.current.pipeline()
    assert strategy is not None
    for first in range(0, len(ids), _IDS_AT_ONCE):
        condition = f"id IN ({', '.join(map(str, ids[first : first + _IDS_AT_ONCE]))})"
        if strategy.table_format:
            from .delta import open_delta

            with pipeline.destination_client() as client:
                found = open_delta(client, table)
                assert found is not None
                found.delete(condition)
            continue
        with pipeline.sql_client() as client:
            sql = f'DELETE FROM "{_DATASET}"."{table}" WHERE {condition}'
            client.execute_sql(in_dialect(sql, client, _DATASET))


def _current_query(opened: contextlib.ExitStack) -> Query | None:
    strategy = current_strategy()
    if strategy is None:
        return None
    pipeline: Any = dlt.current.pipeline()
    if strategy.table_format:
        from .delta import delta_query

        return opened.enter_context(delta_query(opened.enter_context(pipeline.destination_client())))
    try:
        client = opened.enter_context(pipeline.sql_client())
    except SqlClientNotAvailable:
        return None

    def query(table: str, sql: str) -> list[Row] | None:
        text = in_dialect(sql.replace("{table}", f'"{_DATASET}"."{table}"'), client, _DATASET)
        try:
            with client.execute_query(text) as cursor:
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
