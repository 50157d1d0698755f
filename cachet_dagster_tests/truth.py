"""What every table must hold, from the database rows behind the recordings: the truth that a load is compared with.

It is derived from what is known of Cachet alone (who sees what, which column is shown as what), and shares
no code with the source that it judges. `differences` compares cell by cell: times as instants, floats
exactly, JSON as objects, and types too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, Literal

from cachet_dagster_tests import recordings

Row = dict[str, Any]
Caller = Literal["admin", "guest"]

RECORDED_AT = datetime(2026, 11, 23, 8, 6, 20, tzinfo=timezone.utc)
"""When the world was recorded: whether a maintenance is running depends on it."""

INCIDENT = {0: "Unknown", 1: "Investigating", 2: "Identified", 3: "Watching", 4: "Fixed"}
COMPONENT = {
    1: "Operational",
    2: "Performance issues",
    3: "Partial outage",
    4: "Major outage",
    5: "Unknown",
    6: "Under maintenance",
}
SCHEDULE = {0: "Upcoming", 1: "In progress", 2: "Complete"}
CALC_TYPE = {0: "Sum", 1: "Average"}
# From the best to the worst.
SEVERITY = (1, 5, 6, 2, 3, 4)

_TIMES = ("created_at", "updated_at")
SHOWN: dict[str, tuple[str, ...]] = {
    "component_groups": (
        "id",
        "name",
        "order",
        "order_column",
        "order_direction",
        "collapsed",
        "visible",
        *_TIMES,
    ),
    "components": (
        "id",
        "name",
        "description",
        "link",
        "order",
        "status",
        "enabled",
        "component_group_id",
        *_TIMES,
    ),
    "incidents": (
        "id",
        "guid",
        "name",
        "message",
        "visible",
        "stickied",
        "notifications",
        "status",
        "occurred_at",
        "published_at",
        "user_id",
        *_TIMES,
    ),
    "incident_components": ("incident_id", "component_id", "component_status"),
    "updates": ("id", "message", "status", "updateable_type", "updateable_id", *_TIMES),
    "incident_templates": ("id", "name", "slug", "template", "engine", *_TIMES),
    "metrics": (
        "id",
        "name",
        "suffix",
        "description",
        "default_value",
        "calc_type",
        "display_chart",
        "places",
        "default_view",
        "threshold",
        "order",
        "visible",
        *_TIMES,
    ),
    "metric_points": ("id", "metric_id", "value", "counter", *_TIMES),
    "schedules": ("id", "name", "message", "scheduled_at", "completed_at", "published_at", *_TIMES),
    "schedule_components": ("schedule_id", "component_id", "component_status"),
    "subscribers": ("id", "email", "global", "email_verified_at", *_TIMES),
    "subscriptions": ("subscriber_id", "component_id"),
    "meta": ("key", "value", "meta_type", "meta_id"),
}
"""Columns of the database that the API shows, and that are therefore compared."""

HIDDEN: dict[str, tuple[str, ...]] = {
    "components": ("deleted_at", "checked", "checked_at"),
    "incidents": (
        "component_id",
        "deleted_at",
        "external_provider",
        "external_id",
        "long_running_notified_at",
        "published_notified_at",
    ),
    "incident_components": ("id", *_TIMES),
    "updates": ("user_id",),
    "incident_templates": ("deleted_at",),
    "metrics": ("show_when_empty",),
    "schedules": ("deleted_at", "notifications", "completed_notified_at", "published_notified_at"),
    "schedule_components": ("id", *_TIMES),
    "subscriptions": ("id", *_TIMES),
    "meta": ("id", *_TIMES),
}
"""Columns of the database that the API does not show, and that no table therefore has."""

COUNTS: dict[Caller, dict[str, int]] = {
    "admin": {
        "incidents": 222,
        "incident_updates": 666,
        "incident_components": 370,
        "incidents_by_id": 222,
        "components": 97,
        "components_by_id": 97,
        "components_groups": 9,
        "metrics": 5,
        "metric_points": 1250,
        "schedules": 43,
        "schedule_updates": 23,
        "schedule_components": 29,
        "subscribers": 130,
        "subscriber_components": 43,
        "incident_templates": 25,
        "system_status": 1,
        "versions": 1,
        "dashboards": 0,
    },
    "guest": {
        "incidents": 198,
        "incidents_by_id": 198,
        "components": 61,
        "components_by_id": 61,
        "components_groups": 6,
        "metrics": 4,
        "metric_points": 1000,
        "schedules": 40,
        "subscribers": 0,
        "subscriber_components": 0,
        "incident_templates": 25,
        "system_status": 1,
        "versions": 1,
        "dashboards": 0,
    },
}
"""How many rows the recorded world has for a caller, counted on the real server."""

KEYS: dict[str, tuple[str, ...]] = {
    "incident_components": ("incident_id", "component_id"),
    "schedule_components": ("schedule_id", "component_id"),
    "subscriber_components": ("subscriber_id", "component_id"),
    "system_status": (),
    "versions": (),
}
"""Keys that are not `id`; observations are told apart by when they were made, which is no part of the truth."""

UNTOLD = {"system_status": {"observed_at"}, "versions": {"observed_at"}}
"""Columns that no world can tell."""

ONLY_CACHET_2: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("incidents", "incidents_by_id"), ("status_source", "permalink", "scheduled_at")),
    "incident_updates": ("status_source", "permalink", "user_id"),
    **dict.fromkeys(("components", "components_by_id"), ("status_source", "tags")),
    "schedules": ("status_source",),
    **dict.fromkeys(("incident_components", "schedule_components"), ("component_status_source",)),
    "subscribers": ("phone_number",),
    "system_status": ("status_source",),
}
"""Columns that a Cachet 3 leaves null."""

_FLAGS = {"stickied", "enabled", "display_chart", "global"}


def tables(caller: Caller, world: dict[str, list[Row]] | None = None) -> dict[str, list[Row]]:
    """Return every table's rows as a load by the caller must leave them; the recorded world by default."""
    found = _Truth(caller, world or recordings.world("v3")).tables()
    return {
        table: [{**row, **dict.fromkeys(ONLY_CACHET_2.get(table, ()))} for row in rows]
        for table, rows in found.items()
    }


def differences(
    connection: Any,
    caller: Caller,
    *,
    world: dict[str, list[Row]] | None = None,
    schema: str = "cachet_data",
    limit: int = 50,
) -> list[str]:
    """Compare a dataset with the truth; return one line for each thing that differs.

    Args:
        connection: A DuckDB connection.
        caller: As whom the world was loaded.
        world: Its rows, as the server's database has them; the recorded world by default.
        schema: The dataset.
        limit: Lines after which the rest is only counted.
    """
    present = {
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", [schema]
        ).fetchall()
    }
    found: list[str] = []
    for table, expected in tables(caller, world).items():
        if table in present:
            found += _table_differences(connection, schema, table, expected)
        elif expected:
            found.append(f"{table} is missing")
    if len(found) > limit:
        found = [*found[:limit], f"… and {len(found) - limit} more"]
    return found


def _table_differences(connection: Any, schema: str, table: str, expected: list[Row]) -> Iterable[str]:
    cursor = connection.execute(f'SELECT * FROM "{schema}"."{table}"')
    names = [column[0] for column in cursor.description if not column[0].startswith("_dlt_")]
    at = [position for position, column in enumerate(cursor.description) if column[0] in names]
    rows = [dict(zip(names, (row[i] for i in at), strict=True)) for row in cursor.fetchall()]
    key = KEYS.get(table, ("id",))
    loaded = {tuple(row.get(name) for name in key): row for row in rows}
    wanted = {tuple(row[name] for name in key): row for row in expected}
    if len(rows) != len(expected):
        yield f"{table} has {len(rows)} rows instead of {len(expected)}"
    if expected:
        untold = UNTOLD.get(table, set())
        yield from (f"{table}.{name} is missing" for name in expected[0].keys() - {*names})
        yield from (f"{table}.{name} is unexpected" for name in {*names} - expected[0].keys() - untold)
        yield from (
            f"{table}.{name} is null" for name in untold if any(row.get(name) is None for row in rows)
        )
    for number in sorted(wanted.keys() - loaded.keys()):
        yield f"{table} {number} is missing"
    for number in sorted(loaded.keys() - wanted.keys(), key=str):
        yield f"{table} {number} is unexpected"
    for number in sorted(wanted.keys() & loaded.keys()):
        for name, value in wanted[number].items():
            cell = loaded[number].get(name)
            if name == "meta" and isinstance(cell, str):
                cell = json.loads(cell)
            if type(cell) is not type(value) or cell != value:
                yield f"{table} {number} {name}: {cell!r} instead of {value!r}"


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def _passed(text: str | None) -> bool:
    """Whether a time had come when the world was recorded."""
    return text is not None and datetime.fromisoformat(text).replace(tzinfo=timezone.utc) <= RECORDED_AT


class _Truth:
    def __init__(self, caller: Caller, world: dict[str, list[Row]]):
        self._admin = caller == "admin"
        self._world = world
        self._by_id = {table: {row["id"]: row for row in rows} for table, rows in world.items()}

    def tables(self) -> dict[str, list[Row]]:
        incidents = [self._incident(row) for row in self._visible("incidents")]
        components = [self._component(row) for row in self._visible("components")]
        schedules = [self._schedule(row) for row in self._visible("schedules")]
        metrics = [self._metric(row) for row in self._visible("metrics")]
        subscribers = self._world["subscribers"] if self._admin else []
        return {
            "incidents": incidents,
            "incident_updates": [
                {
                    **self._shown("updates", row, without=("updateable_type", "updateable_id")),
                    "incident_id": row["updateable_id"],
                    "status_label": INCIDENT[row["status"]],
                }
                for row in self._updates("incident", incidents)
            ],
            "incident_components": self._links("incident_components", "incident_id", incidents),
            "incidents_by_id": incidents,
            "components": components,
            "components_by_id": components,
            "components_groups": [
                {**self._shown("component_groups", row), "meta": self._meta("component_group", row)}
                for row in self._visible("component_groups")
            ],
            "metrics": metrics,
            "metric_points": [
                {
                    **self._shown("metric_points", row),
                    "value": float(row["value"]),
                    "calculated_value": float(row["value"] * row["counter"]),
                }
                for row in self._world["metric_points"]
                if row["metric_id"] in {metric["id"] for metric in metrics}
            ],
            "schedules": schedules,
            "schedule_updates": [
                {
                    **self._shown("updates", row, without=("updateable_type", "updateable_id", "status")),
                    "schedule_id": row["updateable_id"],
                }
                for row in self._updates("schedule", schedules)
            ],
            "schedule_components": self._links("schedule_components", "schedule_id", schedules),
            "subscribers": [
                {
                    **self._shown("subscribers", row, without=("email_verified_at",)),
                    "verified": row["email_verified_at"] is not None,
                    "verified_at": _instant(row["email_verified_at"]),
                    "meta": self._meta("subscriber", row),
                }
                for row in subscribers
            ],
            "subscriber_components": self._links("subscriptions", "subscriber_id", subscribers),
            "incident_templates": [
                self._shown("incident_templates", row) for row in self._visible("incident_templates")
            ],
            # As the real server answered.
            "system_status": [
                {"status": "major_outage", "message": "Some systems are experiencing major issues."}
            ],
            "versions": [{"version": "3.x-dev", "api_version": 3}],
            "dashboards": [],
        }

    def _visible(self, table: str) -> list[Row]:
        return [row for row in self._world[table] if self._sees(table, row)]

    def _sees(self, table: str, row: Row) -> bool:
        levels = (0, 1) if self._admin else (1,)
        if row.get("deleted_at"):
            return False
        if table == "components":
            group = self._by_id["component_groups"].get(row["component_group_id"])
            return (self._admin or bool(row["enabled"])) and (group is None or group["visible"] in levels)
        published = row.get("published_at") is None or _passed(row["published_at"])
        return row.get("visible", 1) in levels and (published or self._admin)

    def _shown(self, table: str, row: Row, *, without: tuple[str, ...] = ()) -> Row:
        shown: Row = {}
        for name in SHOWN[table]:
            if name in without:
                continue
            value = row[name]
            if name.endswith("_at"):
                value = _instant(value)
            elif name in _FLAGS:
                value = bool(value)
            shown[name] = value
        return shown

    def _meta(self, kind: str, row: Row) -> Row:
        return {
            item["key"]: json.loads(item["value"])
            for item in self._world["meta"]
            if (item["meta_type"], item["meta_id"]) == (kind, row["id"])
        }

    def _incident(self, row: Row) -> Row:
        return {
            **self._shown("incidents", row),
            "status_label": INCIDENT[row["status"]],
            "meta": self._meta("incident", row),
        }

    def _component(self, row: Row) -> Row:
        latest = self._latest_status(row)
        return {
            **self._shown("components", row),
            "status_label": COMPONENT[row["status"]],
            "latest_status": latest,
            "latest_status_label": COMPONENT[latest],
            "meta": self._meta("component", row),
        }

    def _latest_status(self, component: Row) -> int:
        """The worst of running maintenance, else its own status, and of unresolved, visible incidents."""
        statuses = [self._without_incidents(component)]
        for link in self._world["incident_components"]:
            incident = self._by_id["incidents"][link["incident_id"]]
            unresolved = incident["status"] != 4 and not incident["deleted_at"] and incident["visible"] == 1
            if link["component_id"] == component["id"] and unresolved and link["component_status"]:
                statuses.append(link["component_status"])
        return max(statuses, key=SEVERITY.index)

    def _without_incidents(self, component: Row) -> int:
        """Return the status of running maintenance; else the component's own."""
        for link in self._world["schedule_components"]:
            schedule = self._by_id["schedules"][link["schedule_id"]]
            if (
                link["component_id"] == component["id"]
                and link["component_status"]
                and not schedule["deleted_at"]
                and (schedule["published_at"] is None or _passed(schedule["published_at"]))
                and self._schedule_status(schedule) == 1
            ):
                return link["component_status"]
        return component["status"]

    def _schedule(self, row: Row) -> Row:
        status = self._schedule_status(row)
        return {
            **self._shown("schedules", row),
            "status": status,
            "status_label": SCHEDULE[status],
            "meta": self._meta("schedule", row),
        }

    @staticmethod
    def _schedule_status(row: Row) -> int:
        return 2 if _passed(row["completed_at"]) else int(_passed(row["scheduled_at"]))

    def _metric(self, row: Row) -> Row:
        default = row["default_value"]
        return {
            **self._shown("metrics", row),
            "default_value": None if default is None else float(default),
            "calc_type_label": CALC_TYPE[row["calc_type"]],
        }

    def _updates(self, kind: str, parents: list[Row]) -> list[Row]:
        shown = {parent["id"] for parent in parents}
        return [
            row
            for row in self._world["updates"]
            if row["updateable_type"] == kind and row["updateable_id"] in shown
        ]

    def _links(self, table: str, parent: str, parents: list[Row]) -> list[Row]:
        """Links of shown parents to any component that is not deleted, whether the API lists it or not."""
        shown = {row["id"] for row in parents}
        links = []
        for row in self._world[table]:
            component = self._by_id["components"].get(row["component_id"])
            if row[parent] not in shown or component is None or component["deleted_at"]:
                continue
            link = {**self._shown(table, row), "component_name": component["name"]}
            if "component_status" in row:
                link["component_status_label"] = COMPONENT.get(row["component_status"])
            links.append(link)
        return links
