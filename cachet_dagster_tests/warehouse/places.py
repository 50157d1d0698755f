"""Where a test loads, whatever the destination is, and how it looks at what is there.

A place can be handed to another process. What it holds is compared by way of a DuckDB in memory that holds the same
rows, so that the truth is the same for every destination.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.common.destination import Destination

from cachet_dagster.demo import World
from cachet_dagster.source import ENDPOINTS, TABLES, CachetError, CachetReader, CachetSettings, table_resource
from cachet_dagster.source import stored_tables as tables_to_look_at
from cachet_dagster.source.details import ByIdRequest
from cachet_dagster.source.stored import read_stored
from cachet_dagster.source.tables import Table
from cachet_dagster.warehouse import Session, Warehouse, load, make_warehouse
from cachet_dagster.warehouse.points import MetricLoaded, PointsLoad
from cachet_dagster.warehouse.quality import EXPECTATIONS, CheckResult, evaluate

PLACES = {
    "duckdb": "DuckDB",
    "postgres": "PostgreSQL",
    "delta": "Delta tables in a folder",
    "s3": "Delta tables in S3 (moto)",
    "azure": "Delta tables in Azure (azurite)",
}
"""Where tests load, by the parameter of their fixture."""

_numbers = itertools.count(1)

LISTS = [name for name, endpoint in ENDPOINTS.items() if not endpoint.kind.per_metric]

TYPES = {
    "bigint": "BIGINT",
    "text": "VARCHAR",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
    "timestamp": "TIMESTAMPTZ",
    "json": "JSON",
}
_ARROW = {
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class Place:
    """A dataset in a destination: `make_warehouse`'s arguments, and the variables in which dlt finds the rest."""

    destination: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def warehouse(self, **options: Any) -> Warehouse:
        """Return it as a warehouse, in whatever process this is."""
        os.environ.update(self.environment)
        return make_warehouse(self.destination, **{"wait": 60.0, **self.options, **options})

    def of_dlt(self) -> Any:
        """Return it as dlt's users name one."""
        if self.destination == "duckdb":
            return dlt.destinations.duckdb(str(self.options["database"]), supports_transactions=True)
        if self.destination == "filesystem":
            return dlt.destinations.filesystem(self.options["credentials"])
        return Destination.from_reference(self.destination, credentials=self.options["credentials"])

    def variables(self) -> dict[str, str]:
        """Return all variables in which dlt finds it."""
        if "credentials" not in self.options:
            return {}
        key = {"filesystem": "BUCKET_URL"}.get(self.destination, "CREDENTIALS")
        return {
            **self.environment,
            f"DESTINATION__{self.destination.upper()}__{key}": self.options["credentials"],
        }

    def rows(self, table: str, columns: str = "*", order: str = "id") -> list[tuple[Any, ...]]:
        """Return rows of a table; none where it does not exist."""
        with self.warehouse().reading() as session:
            found = session(table, f'SELECT {columns} FROM {{table}} ORDER BY "{order}"') or []
        rows = [tuple(row.values()) for row in found]
        # A link's first column orders its rows in part.
        return rows if order == "id" else sorted(rows, key=repr)

    def count(self, table: str) -> int:
        """Return how many rows a table has; 0 where it does not exist."""
        return (
            len(self.rows(table, '"_dlt_load_id"', "_dlt_load_id"))
            if table != "metric_points"
            else self._points()
        )

    def mirrored(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB in memory that holds the same tables."""
        connection = duckdb.connect(":memory:")
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA cachet_data")
        with self.warehouse().reading() as session:
            for table in TABLES:
                _mirror(session, table, connection)
        return connection

    def check_results(self, at: datetime | None = None) -> dict[str, tuple[bool, str, int]]:
        """Return what becomes of each promise that concerns no load: kept or not, in words, and rows found."""
        with self.warehouse().reading() as session:
            return check_results(session, at or datetime.now(timezone.utc))

    def wrong_points(self, world: World) -> list[Any]:
        """Return the points, stored or the server's, that are not the same on both sides."""
        stored = [
            (number, metric, value, counter, f"{at:%Y-%m-%d %H:%M:%S}")
            for number, metric, value, counter, at in self.rows(
                "metric_points", "id, metric_id, value, counter, created_at"
            )
        ]
        truth = [
            (row["id"], row["metric_id"], float(row["value"]), row["counter"], row["created_at"])
            for row in world.rows("metric_points")
        ]
        assert len(stored) == len(set(stored)), "a point is there twice"
        return sorted(set(stored) ^ set(truth))

    def _points(self) -> int:
        return len(self.rows("metric_points", "id"))


def make_place(request: pytest.FixtureRequest, folder: Path) -> Place:
    """Return an empty place of a test's own.

    Args:
        request: Of a fixture whose parameter is one of the keys of `PLACES`.
        folder: A folder of the test's own.
    """
    number, kind = next(_numbers), request.param
    if kind == "duckdb":
        return Place("duckdb", {"database": folder / "cachet.duckdb"})
    if kind == "delta":
        return Place("filesystem", {"credentials": str(folder / "lake")})
    server = request.getfixturevalue(kind)
    if kind == "postgres":
        return Place("postgres", {"credentials": server.create(f"test_{number}")})
    patch = request.getfixturevalue("monkeypatch")
    for name, value in server.environment.items():
        patch.setenv(name, value)
    return Place("filesystem", {"credentials": f"{server.url}/{number}"}, server.environment)


def check_table(session: Session, table: Table, at: datetime | None = None) -> dict[str, CheckResult]:
    """Evaluate the expectations of a table, and return the results by name."""
    clock = at or datetime.now(timezone.utc)
    return {
        expectation.name: evaluate(expectation, session, table, clock)
        for expectation in EXPECTATIONS
        if expectation.applies(table)
    }


def check_results(session: Session, at: datetime) -> dict[str, tuple[bool, str, int]]:
    """Return a dataset's results, by table and expectation; they name the clock, `at`, to the minute."""
    return {
        f"{table.name}: {name}": (found.passed, found.description, found.found)
        for table in TABLES.values()
        for name, found in check_table(session, table, at).items()
    }


def load_page(
    settings: CachetSettings, warehouse: Warehouse, *, points: bool = True, full_refresh: bool = False
) -> tuple[dict[str, CachetError], dict[int, MetricLoaded]]:
    """Load a page as the ops do, without Dagster; return why endpoints were not loaded, and what points were."""
    warehouse.probe()
    with warehouse.reading() as session:
        stored = read_stored(session, whole=tables_to_look_at([ENDPOINTS[name] for name in LISTS]))
    by_id = {name: ByIdRequest(full_refresh) for name in ENDPOINTS}
    reads = CachetReader(settings, stored, by_id).read(LISTS)
    resources = [
        table_resource(TABLES[table], partial(read.rows.get, table, ()), replace=read.error is None)
        for read in reads.values()
        if read.outcome != "failed"
        for table in read.endpoint.tables
    ]
    load(warehouse, resources)
    loaded = {}
    if points and reads["metrics"].error is None:
        metrics = [row["id"] for row in reads["metrics"].rows["metrics"]]
        for one in PointsLoad(settings, warehouse, lambda _: None).run(metrics, full_refresh=full_refresh):
            if one.error:
                raise one.error
            loaded[one.metric_id] = one
    return {name: read.error for name, read in reads.items() if read.error is not None}, loaded


def _mirror(session: Session, table: str, connection: duckdb.DuckDBPyConnection) -> None:
    columns = session.columns(table)
    if not columns:
        return
    declared = ", ".join(f'"{name}" {TYPES.get(kind, kind)}' for name, kind in columns.items())
    connection.execute(f'CREATE TABLE cachet_data."{table}" ({declared})')
    names = ", ".join(f'"{name}"' for name in columns)
    rows = session(table, f"SELECT {names} FROM {{table}}") or []
    arrays = [
        pa.array(
            [_as_text(row[name]) if kind == "json" else row[name] for row in rows],
            _ARROW.get(kind, pa.string()),
        )
        for name, kind in columns.items()
    ]
    connection.register("rows", pa.table(arrays, names=list(columns)))
    connection.execute(f'INSERT INTO cachet_data."{table}" SELECT * FROM rows')


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, (str, type(None))) else json.dumps(value)
