"""How these tests load, and how they look at what a load left: the one place that knows of the warehouse.

A load here is what the Dagster op does with its selected endpoints: read each to its end, load those that
succeeded as one package, keep the errors of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from cachet_dagster.demo import DEMO_TOKEN, World
from cachet_dagster.source import ENDPOINTS, TABLES, CachetError, CachetReader, CachetSettings, table_resource
from cachet_dagster.source import stored_tables as tables_to_look_at
from cachet_dagster.source.stored import read_stored
from cachet_dagster.warehouse import DuckDBWarehouse, load
from cachet_dagster.warehouse.points import PointsLoad

Rows = list[dict[str, Any]]

ATTEMPTS = 3
BODY_CAP = 2_000_000


def settings(url: str, **other: Any) -> CachetSettings:
    """Return settings whose every bound is short."""
    bounds: dict[str, Any] = {
        "api_key": DEMO_TOKEN,
        "timeout": 0.7,
        "connect_timeout": 0.3,
        "attempts": ATTEMPTS,
        "retry_delay": 0.01,
        "max_wait": 4.0,
        "max_body": BODY_CAP,
        "rate_window": 0.5,
    }
    return CachetSettings(base_url=url, **{**bounds, **other})


def load_once(how: CachetSettings, database: DuckDBWarehouse, names: Sequence[str]) -> dict[str, CachetError]:
    """Load the named endpoints, and return the errors of those that failed.

    Raises:
        CachetError: Nothing could be read at all.
    """
    errors: dict[str, CachetError] = {}
    lists = [name for name in names if name != "metric_points"]
    if lists:
        with database.reading() as opened:
            stored = read_stored(opened, whole=tables_to_look_at([ENDPOINTS[name] for name in lists]))
        reads = CachetReader(how, stored).read(lists)
        resources = [
            table_resource(TABLES[table], partial(read.rows.get, table, []))
            for read in reads.values()
            if read.outcome == "read"
            for table in read.endpoint.tables
        ]
        if resources:
            load(database, resources)
        errors = {name: read.error for name, read in reads.items() if read.error is not None}
    if "metric_points" in names:
        with database.reading() as opened:
            metrics = [row["id"] for row in opened("metrics", "SELECT id FROM {table}") or []]
        for one in PointsLoad(how, database, lambda _: None).run(metrics):
            if one.error is not None:
                errors["metric_points"] = one.error
    return errors


def contents(database: DuckDBWarehouse, tables: Iterable[str] = TABLES) -> dict[str, Rows]:
    """Return whole tables as they are in the file, dlt's own columns included; a missing table has no rows."""
    with database.reading() as opened:
        query = opened
        return {name: query(name, "SELECT * FROM {table} ORDER BY ALL") or [] for name in tables}


def tables_of(names: Iterable[str]) -> list[str]:
    """Return the tables that endpoints fill."""
    return [table for name in names for table in ENDPOINTS[name].tables]


_COMPARED = {
    "components_groups": ("component_groups", {"id": "id", "name": "name", "order": "order"}),
    "components": ("components", {"id": "id", "name": "name", "link": "link", "status": "status"}),
    "incidents": ("incidents", {"id": "id", "name": "name", "message": "message", "status": "status"}),
    "incident_updates": ("updates", {"id": "id", "message": "message", "status": "status"}),
    "metrics": ("metrics", {"id": "id", "name": "name", "suffix": "suffix"}),
    "metric_points": ("metric_points", {"id": "id", "value": "value", "counter": "counter"}),
    "subscribers": ("subscribers", {"id": "id", "email": "email"}),
    "schedules": ("schedules", {"id": "id", "name": "name", "message": "message"}),
    "incident_templates": ("incident_templates", {"id": "id", "name": "name", "slug": "slug"}),
}


def truth(world: World, tables: Iterable[str]) -> dict[str, Rows]:
    """Return what the server's own database holds for tables, in the columns that are compared."""
    shown = {row["id"] for row in world.take("incidents") if row["deleted_at"] is None}
    return {
        table: sorted(
            (
                {column: row[origin] for column, origin in _COMPARED[table][1].items()}
                for row in world.take(_COMPARED[table][0])
                if row.get("deleted_at") is None and (table != "incident_updates" or _of_incident(row, shown))
            ),
            key=lambda row: row["id"],
        )
        for table in tables
        if table in _COMPARED
    }


def differences(database: DuckDBWarehouse, wanted: dict[str, Rows]) -> list[str]:
    """Return in words where tables differ from what is wanted of them; nothing where they do not."""
    stored = contents(database, wanted)
    found = []
    for table, rows in wanted.items():
        columns = _COMPARED[table][1]
        have = [{column: row[column] for column in columns} for row in stored[table]]
        have.sort(key=lambda row: row["id"])
        if have != rows:
            lost = [row["id"] for row in rows if row not in have]
            extra = [row["id"] for row in have if row not in rows]
            found.append(f"{table}: {len(have)} rows for {len(rows)}; lost {lost[:5]}, not so {extra[:5]}")
    return found


def _of_incident(update: dict[str, Any], incidents: set[int]) -> bool:
    return update["updateable_type"] == "incident" and update["updateable_id"] in incidents
