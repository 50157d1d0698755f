"""How these tests load, and how they look at what a load left: the one place that knows of the warehouse.

A load here is what the Dagster op does with its selected endpoints: read each to its end, load those that
succeeded as one package, keep the errors of the others.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cachet_dagster.demo import DEMO_TOKEN, World
from cachet_dagster.source import ENDPOINTS, TABLES, CachetError, CachetReader, CachetSettings, table_resource
from cachet_dagster.source import stored_tables as tables_to_look_at
from cachet_dagster.source.stored import read_stored
from cachet_dagster.warehouse import Database, load
from cachet_dagster.warehouse.points import PointsLoad

Rows = list[dict[str, Any]]

ATTEMPTS = 3
BODY_CAP = 2_000_000


def settings(url: str, **other: Any) -> CachetSettings:
    """Return settings whose every bound is short."""
    bounds: dict[str, Any] = {
        "api_key": DEMO_TOKEN,
        "timeout": 0.4,
        "connect_timeout": 0.2,
        "attempts": ATTEMPTS,
        "retry_delay": 0.01,
        "max_wait": 4.0,
        "max_body": BODY_CAP,
        "rate_window": 0.5,
    }
    return CachetSettings(base_url=url, **{**bounds, **other})


def load_once(how: CachetSettings, database: Database, names: Sequence[str]) -> dict[str, CachetError]:
    """Load the named endpoints, and return the errors of those that failed.

    Raises:
        CachetError: Nothing could be read at all.
    """
    errors: dict[str, CachetError] = {}
    lists = [name for name in names if name != "metric_points"]
    if lists:
        with database.reading() as opened:
            stored = read_stored(
                database.query(opened), whole=tables_to_look_at([ENDPOINTS[name] for name in lists])
            )
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
            metrics = [row["id"] for row in database.query(opened)("metrics", "SELECT id FROM {table}") or []]
        for one in PointsLoad(how, database, lambda _: None).run(metrics):
            if one.error is not None:
                errors["metric_points"] = one.error
    return errors


def contents(database: Database, tables: Iterable[str] = TABLES) -> dict[str, Rows]:
    """Return whole tables as they are in the file, dlt's own columns included; a missing table has no rows."""
    with database.reading() as opened:
        query = database.query(opened)
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


def is_true(database: Database, world: World, tables: Iterable[str]) -> list[str]:
    """Return where tables differ from what the server's own database holds; nothing where they do not."""
    differences = []
    stored = contents(database, tables)
    for table in set(stored) & set(_COMPARED):
        origin, columns = _COMPARED[table]
        truth = [
            {column: row[source] for column, source in columns.items()}
            for row in world.take(origin)
            if row.get("deleted_at") is None
            and (table != "incident_updates" or row["updateable_type"] == "incident")
        ]
        found = [{column: row[column] for column in columns} for row in stored[table]]
        if sorted(found, key=lambda row: row["id"]) != sorted(truth, key=lambda row: row["id"]):
            differences.append(f"{table}: {len(found)} rows are not the server's {len(truth)}")
    return differences


@contextmanager
def database_like(template: Path, folder: Path) -> Iterator[Database]:
    """Give a copy of a loaded database."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, folder / template.name)
    yield Database(folder / template.name, wait=5)
    shutil.rmtree(folder)
