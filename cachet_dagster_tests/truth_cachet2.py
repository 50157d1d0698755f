"""What a load of a Cachet 2 has to leave in DuckDB, worked out from the rows of its database, cell by cell.

Nothing of the package is used to work it out, so that an error there cannot excuse itself here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Mapping[str, Any]]]

COMPONENT_STATUS = {
    0: (5, "Unknown"),
    1: (1, "Operational"),
    2: (2, "Performance issues"),
    3: (3, "Partial outage"),
    4: (4, "Major outage"),
}
INCIDENT_STATUS = {
    0: (0, "Unknown"),
    1: (1, "Investigating"),
    2: (2, "Identified"),
    3: (3, "Watching"),
    4: (4, "Fixed"),
}
SCHEDULE_STATUS = {0: (0, "Upcoming"), 1: (1, "In progress"), 2: (2, "Complete")}

KEYS = {
    "incident_components": ("incident_id", "component_id"),
    "schedule_components": ("schedule_id", "component_id"),
    "subscriber_components": ("subscriber_id", "component_id"),
}
EMPTY = ("schedule_updates", "dashboards")
"""Tables that Cachet 2 does not fill."""

TYPES = {
    "bigint": "BIGINT",
    "text": "VARCHAR",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "json": "JSON",
}


def differences(
    database: str | Path | duckdb.DuckDBPyConnection,
    world: Tables,
    *,
    admin: bool,
    page: str,
    zone: str = "UTC",
    schema: str = "cachet_data",
) -> list[str]:
    """Return where the database differs from what the caller may see of the world; empty if nowhere.

    Args:
        database: Path of the DuckDB file, or a connection to it.
        world: Cachet 2's tables → rows, as in `world.json`.
        admin: Whether the load had a token.
        page: The status page's address, which permalinks begin with.
        zone: The server's own zone, in which the world's times are.
        schema: The dataset.
    """
    expected = expected_tables(world, admin=admin, page=page, zone=zone)
    if isinstance(database, duckdb.DuckDBPyConnection):
        return row_differences({table: stored_rows(database, table, schema) for table in expected}, expected)
    with duckdb.connect(str(database), read_only=True) as connection:
        return row_differences(
            {table: stored_rows(connection, table, schema) for table in expected}, expected
        )


def stored_rows(connection: duckdb.DuckDBPyConnection, table: str, schema: str = "cachet_data") -> list[Row]:
    """Return a table's rows without dlt's own columns, times in UTC and JSON read."""
    found = connection.execute(f'SELECT * FROM "{schema}"."{table}"')
    columns = [(name, str(kind)) for name, kind, *_ in found.description or ()]
    return [
        {
            name: _read(value, kind)
            for (name, kind), value in zip(columns, values, strict=True)
            if not name.startswith("_dlt_")
        }
        for values in found.fetchall()
    ]


def row_differences(found: Tables, expected: Tables) -> list[str]:
    """Return where rows differ from those expected, by table; a column that is missing is null."""
    return [text for table, rows in expected.items() for text in _differing(table, found[table], rows)]


def expected_tables(world: Tables, *, admin: bool, page: str, zone: str = "UTC") -> dict[str, list[Row]]:
    """Return the rows that a caller may see, by table, with all columns of the table."""
    return _Truth(world, admin, page, ZoneInfo(zone)).tables()


def _differing(
    table: str, stored: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    key = KEYS.get(table, ("id",))
    found = {tuple(row[name] for name in key): row for row in stored}
    wanted = {tuple(row[name] for name in key): row for row in rows}
    if len(found) != len(stored):
        yield f"{table}: {len(stored) - len(found)} rows have the key of another"
    for missing in sorted(wanted.keys() - found.keys()):
        yield f"{table} {missing}: missing"
    for surplus in sorted(found.keys() - wanted.keys()):
        yield f"{table} {surplus}: not expected"
    for number in sorted(found.keys() & wanted.keys()):
        for name in sorted(found[number].keys() | wanted[number].keys()):
            want, got = wanted[number].get(name), found[number].get(name)
            if want != got or type(want) is not type(got):
                yield f"{table} {number} {name}: {got!r}, not {want!r}"


def _read(value: Any, kind: str) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc)
    return json.loads(value) if kind == "JSON" and value is not None else value


class _Truth:
    def __init__(self, world: Tables, admin: bool, page: str, zone: ZoneInfo) -> None:
        self.world, self.admin, self.page, self.zone = world, admin, page, zone
        self.incidents = [
            row for row in world["incidents"] if row["deleted_at"] is None and (admin or row["visible"] == 1)
        ]
        self.components = [
            row for row in world["components"] if row["deleted_at"] is None and (admin or row["enabled"])
        ]
        self.schedules = [row for row in world["schedules"] if row["deleted_at"] is None]
        self.names = {row["id"]: row["name"] for row in self.components}

    def tables(self) -> dict[str, list[Row]]:
        incidents = [self.incident(row) for row in self.incidents]
        components = [self.component(row) for row in self.components]
        shown = {row["id"] for row in self.incidents}
        scheduled = {row["id"] for row in self.schedules}
        subscribers = self.world["subscribers"] if self.admin else ()
        return {
            "incidents": incidents,
            "incidents_by_id": incidents,
            "incident_updates": [
                self.update(row) for row in self.world["incident_updates"] if row["incident_id"] in shown
            ],
            "incident_components": [
                {
                    **self.link("incident", row["id"], row["component_id"]),
                    "component_status": None,
                    "component_status_label": None,
                }
                for row in self.incidents
                if row["component_id"]
            ],
            "components": components,
            "components_by_id": components,
            "components_groups": [
                self.group(row) for row in self.world["component_groups"] if self.admin or row["visible"] == 1
            ],
            "metrics": [self.metric(row) for row in self.world["metrics"]],
            "metric_points": [self.point(row) for row in self.world["metric_points"]],
            "schedules": [self.schedule(row) for row in self.schedules],
            "schedule_components": [
                {
                    **self.link("schedule", row["schedule_id"], row["component_id"]),
                    **coded("component_status", row["component_status"], COMPONENT_STATUS),
                }
                for row in self.world["schedule_components"]
                if row["schedule_id"] in scheduled
            ],
            "subscribers": [self.subscriber(row) for row in subscribers],
            "subscriber_components": [
                self.link("subscriber", row["subscriber_id"], row["component_id"])
                for row in (self.world["subscriptions"] if self.admin else ())
            ],
            "incident_templates": [
                {**kept(row, "id", "name", "slug", "template"), "engine": None, **self.times(row)}
                for row in self.world["incident_templates"]
                if row["deleted_at"] is None
            ],
            **{table: [] for table in EMPTY},
        }

    def at(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        local = datetime.fromisoformat(text).replace(tzinfo=self.zone)
        # PHP 7.4 takes an ambiguous hour for the second one east of Greenwich.
        offset = local.utcoffset()
        return local.replace(fold=int(bool(offset and offset.days >= 0))).astimezone(timezone.utc)

    def times(self, row: Mapping[str, Any]) -> Row:
        return {"created_at": self.at(row["created_at"]), "updated_at": self.at(row["updated_at"])}

    def incident(self, row: Mapping[str, Any]) -> Row:
        meta = [
            entry
            for entry in self.world.get("meta", ())
            if entry["meta_type"] == "incidents" and entry["meta_id"] == row["id"]
        ]
        return {
            **kept(row, "id", "name", "message", "visible", "notifications", "user_id"),
            **{"guid": None, "published_at": None, "scheduled_at": None, "stickied": bool(row["stickied"])},
            **coded("status", row["status"], INCIDENT_STATUS),
            **{"occurred_at": self.at(row["occurred_at"]), **self.times(row)},
            "meta": {entry["key"]: json.loads(entry["value"]) for entry in meta},
            "permalink": f"{self.page}/incidents/{row['id']}",
        }

    def update(self, row: Mapping[str, Any]) -> Row:
        return {
            **kept(row, "id", "incident_id", "message", "user_id"),
            **coded("status", row["status"], INCIDENT_STATUS),
            **self.times(row),
            "permalink": f"{self.page}/incidents/{row['incident_id']}#update-{row['id']}",
        }

    def component(self, row: Mapping[str, Any]) -> Row:
        tag_ids = {
            link["tag_id"]
            for link in self.world.get("taggables", ())
            if link["taggable_type"] == "components" and link["taggable_id"] == row["id"]
        }
        status = coded("status", row["status"], COMPONENT_STATUS)
        return {
            **kept(row, "id", "name", "description", "link", "order"),
            **status,
            **{"latest_status": status["status"], "latest_status_label": status["status_label"]},
            **{"enabled": bool(row["enabled"]), "component_group_id": row["group_id"] or None},
            "meta": json.loads(row["meta"] or "{}"),
            "tags": {tag["slug"]: tag["name"] for tag in self.world.get("tags", ()) if tag["id"] in tag_ids},
            **self.times(row),
        }

    def group(self, row: Mapping[str, Any]) -> Row:
        lost = {"order_column": None, "order_direction": None, "meta": None}
        return {**kept(row, "id", "name", "order", "collapsed", "visible"), **lost, **self.times(row)}

    def metric(self, row: Mapping[str, Any]) -> Row:
        return {
            **kept(row, "id", "name", "suffix", "description", "calc_type", "places", "default_view"),
            **kept(row, "threshold", "order", "visible"),
            # Cachet 2 cuts it to a whole number.
            "default_value": float(int(row["default_value"])),
            "calc_type_label": ("Sum", "Average")[row["calc_type"]],
            "display_chart": bool(row["display_chart"]),
            **self.times(row),
        }

    def point(self, row: Mapping[str, Any]) -> Row:
        value = float(row["value"])
        return {
            **kept(row, "id", "metric_id", "counter"),
            **{"value": value, "calculated_value": value * row["counter"], **self.times(row)},
        }

    def schedule(self, row: Mapping[str, Any]) -> Row:
        return {
            **kept(row, "id", "name", "message"),
            **coded("status", row["status"], SCHEDULE_STATUS),
            "scheduled_at": self.at(row["scheduled_at"]),
            "completed_at": self.at(row["completed_at"]),
            **{"published_at": None, "meta": None},
            **self.times(row),
        }

    def subscriber(self, row: Mapping[str, Any]) -> Row:
        # Cachet 2 tells the day only.
        day = row["verified_at"] and f"{row['verified_at'][:10]} 00:00:00"
        return {
            **kept(row, "id", "email", "phone_number"),
            **{"global": bool(row["global"]), "verified": day is not None, "verified_at": self.at(day)},
            "meta": None,
            **self.times(row),
        }

    def link(self, parent: str, parent_id: int, component_id: int) -> Row:
        return {
            f"{parent}_id": parent_id,
            "component_id": component_id,
            "component_name": self.names.get(component_id),
        }


def kept(row: Mapping[str, Any], *names: str) -> Row:
    """Return columns that are loaded as they are."""
    return {name: row[name] for name in names}


def coded(name: str, source: int, codes: Mapping[int, tuple[int, str]]) -> Row:
    """Return a translated code, its label and the original."""
    code, label = codes[source]
    return {name: code, f"{name}_label": label, f"{name}_source": source}
