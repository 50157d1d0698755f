"""Whole tables against the truth: another database, or the server's own rows."""

from __future__ import annotations

from pathlib import Path

import duckdb

from cachet_dagster.demo import World
from cachet_dagster.source import FILLED_BY, TABLES
from cachet_dagster.warehouse import DuckDBWarehouse
from cachet_dagster.warehouse.names import DATASET

REPLACED = [name for name in TABLES if FILLED_BY[name].kind.has_ids]
"""Tables that a load replaces whole."""


def differences(found: Path, truth: Path, table: str) -> int:
    """Return how many rows of a table are in one database only, its declared columns compared."""
    columns = ", ".join(f'"{column.name}"' for column in TABLES[table].columns)
    with DuckDBWarehouse(found).reading() as opened:
        assert found.exists(), "there is no database"
        opened.execute(f"ATTACH '{truth}' AS truth (READ_ONLY)")
        this, that = f'"{DATASET}"."{table}"', f'truth."{DATASET}"."{table}"'
        counted = opened.execute(
            f"SELECT (SELECT count(*) FROM (SELECT {columns} FROM {this} EXCEPT ALL SELECT {columns} FROM {that}))"
            f" + (SELECT count(*) FROM (SELECT {columns} FROM {that} EXCEPT ALL SELECT {columns} FROM {this}))"
        ).fetchone()
    assert counted
    return counted[0]


def rows(database: Path, table: str) -> int:
    """Return how many rows a table has; 0 where there is none."""
    with DuckDBWarehouse(database).reading() as opened:
        found = opened(table, "SELECT count(*) AS n FROM {table}")
    return found[0]["n"] if found else 0


def wrong_points(database: Path, world: World, *, whole: bool = True) -> int:
    """Return how many points are not the server's, each once, `whole` or from the first one on without a gap."""
    with DuckDBWarehouse(database).reading() as opened:
        try:
            found = _points(opened.connection)
        except duckdb.CatalogException:
            found = []
    truth = [
        (row["id"], row["metric_id"], float(row["value"]), row["counter"], row["created_at"])
        for row in world.rows("metric_points")
    ]
    expected = truth if whole else truth[: len(found)]
    return sum(one != other for one, other in zip(found, expected, strict=False)) + abs(
        len(found) - len(expected)
    )


def _points(connection: duckdb.DuckDBPyConnection) -> list[tuple]:
    return connection.execute(
        "SELECT id, metric_id, value, counter, strftime(created_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S')"
        f" FROM {DATASET}.metric_points ORDER BY id"
    ).fetchall()
