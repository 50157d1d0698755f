"""The rows of a Cachet 2 database, and how a Cachet 3 world is expressed in them.

One decision shapes it: it is the same `World` as Cachet 3's, with Cachet 2's tables and columns, so that a
server, a test or the living demo page handles both alike.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .world import Row, World, instant, text

TABLES: dict[str, tuple[str, ...]] = {
    "users": ("id", "username", "email", "created_at", "updated_at"),
    "component_groups": ("id", "name", "created_at", "updated_at", "order", "collapsed", "visible"),
    "components": (
        *("id", "name", "description", "status", "order", "group_id", "created_at", "updated_at"),
        *("deleted_at", "enabled", "meta", "link"),
    ),
    "tags": ("id", "name", "slug", "created_at", "updated_at"),
    "taggables": ("id", "tag_id", "taggable_type", "taggable_id", "created_at", "updated_at"),
    "incidents": (
        *("id", "component_id", "name", "status", "message", "created_at", "updated_at", "deleted_at"),
        *("visible", "stickied", "occurred_at", "user_id", "notifications"),
    ),
    "incident_updates": ("id", "incident_id", "status", "message", "user_id", "created_at", "updated_at"),
    "incident_components": (*("id", "incident_id", "component_id", "status_id", "created_at", "updated_at"),),
    "incident_templates": ("id", "name", "slug", "template", "created_at", "updated_at", "deleted_at"),
    "metrics": (
        *("id", "name", "suffix", "description", "default_value", "calc_type", "display_chart"),
        *("created_at", "updated_at", "places", "default_view", "threshold", "order", "visible"),
    ),
    "metric_points": ("id", "metric_id", "created_at", "updated_at", "value", "counter"),
    "schedules": (
        *("id", "name", "message", "status", "scheduled_at", "completed_at", "created_at", "updated_at"),
        "deleted_at",
    ),
    "schedule_components": (
        *("id", "schedule_id", "component_id", "component_status", "created_at", "updated_at"),
    ),
    "subscribers": (
        *("id", "verify_code", "verified_at", "created_at", "updated_at", "global", "email"),
        *("phone_number", "slack_webhook_url"),
    ),
    "subscriptions": ("id", "subscriber_id", "component_id", "created_at", "updated_at"),
    "meta": ("id", "key", "value", "meta_id", "meta_type", "created_at", "updated_at"),
}
"""Cachet 2's tables and columns, as in the recorded world."""

_DEFAULTS: dict[str, Row] = {
    "component_groups": {"order": 0, "collapsed": 0, "visible": 1},
    "components": {"description": "", "status": 1, "order": 0, "group_id": 0, "enabled": 1},
    "incidents": {
        **{"component_id": 0, "status": 1, "message": "", "visible": 1},
        **{"stickied": 0, "notifications": 0},
    },
    "incident_updates": {"status": 1, "message": ""},
    "metrics": {
        **{"suffix": "", "description": "", "default_value": 0, "calc_type": 0, "display_chart": 1},
        **{"places": 2, "default_view": 1, "threshold": 5, "order": 0, "visible": 1},
    },
    "metric_points": {"counter": 1},
    "schedules": {"status": 0},
    "subscribers": {"global": 0, "verify_code": ""},
}

_FILLED_BY_WORLD = ("id", "created_at", "updated_at")


class Cachet2World(World):
    """The tables of one Cachet 2 page: those of `TABLES`, with its columns; else as `World`.

    Values are as the database holds them: dates are text (`YYYY-MM-DD HH:MM:SS`, in the zone of the setting
    `app_timezone`), booleans 0 or 1, a component's `meta` is JSON text, 0 is "none" in `incidents.component_id`
    and `components.group_id`.
    """

    def __init__(self, tables: Mapping[str, Iterable[Mapping[str, Any]]] | None = None) -> None:
        self._derived: dict[str, tuple[int, Any]] = {}
        super().__init__({**dict.fromkeys(TABLES, ()), **(tables or {})})

    @classmethod
    def load(cls, path: str | Path | Mapping[str, Iterable[Mapping[str, Any]]]) -> Cachet2World:
        """Read a `world.json`, or take what it holds: table name → list of rows."""
        if isinstance(path, Mapping):
            return cls(path)
        return cls(json.loads(Path(path).read_bytes()))

    def add(self, table: str, **row: Any) -> Row:
        """Insert a row and return it; see `World.add`. Columns left out get Cachet 2's defaults."""
        columns = {column: None for column in TABLES[table] if column not in _FILLED_BY_WORLD}
        with self.lock:
            full = super().add(table, **{**columns, **_DEFAULTS.get(table, {}), **row})
            # World.add knows Cachet 3's columns.
            for column in full.keys() - set(TABLES[table]):
                del full[column]
            return full

    def delete(self, table: str, row_id: int, *, at: datetime | None = None, hard: bool = False) -> None:
        """Delete a row as Cachet does; see `World.delete`."""
        with self.lock:
            super().delete(table, row_id, at=at, hard=hard)
            if table == "component_groups":
                for component in list(self.grouped("components", "group_id").get(row_id, [])):
                    self.update("components", component["id"], group_id=0)

    def grouped(self, table: str, column: str) -> dict[Any, list[Row]]:
        """Return a table's rows by the value of a column, each list by id; for tables that change seldom."""

        def build() -> dict[Any, list[Row]]:
            groups = defaultdict(list)
            for row in self.rows(table):
                groups[row[column]].append(row)
            return dict(groups)

        return self.derived(f"{table} by {column}", table, build)

    def derived(self, name: str, table: str, build: Callable[[], Any]) -> Any:
        """Return what `build` makes of a table, made again only after the table has changed."""
        with self.lock:
            version, known = self.versions[table], self._derived.get(name)
            if known is None or known[0] != version:
                known = self._derived[name] = (version, build())
            return known[1]


_COMPONENT_STATUS_FROM_3 = {5: 0, 6: 0}


def from_cachet3(world: Any, now: datetime | None = None) -> Cachet2World:
    """Express a Cachet 3 world in Cachet 2's tables.

    `world` is a mapping of table name → rows (the recorded `world.json`), or an object with a method
    `rows(table)`. `now` decides what of an embargo or a schedule's status lies in the past (default: the
    current time); `valid_until` of the result is when that changes. Ids and times stay.
    What has no counterpart in Cachet 2:

    - an incident has one component at most: the first of its links; the link's status is lost;
    - component status 5 (unknown) is 0, and so is 6 (under maintenance), which Cachet 2 does not know;
    - `visible` = 2 (nobody): such groups (with their components), incidents and metrics (with their points)
      are left out. Cachet 2 shows every metric to everyone;
    - an incident's embargo (`published_at` ahead of `now`) becomes `visible` = 0; a schedule's is lost;
    - a schedule's status, which Cachet 3 computes, is stored; its updates are lost;
    - guid, published_at, external_*, order_column, order_direction, engine, show_when_empty, checked_*, and
      meta of anything but components and incidents are lost;
    - a metric's or a component's missing number (default_value, order, component_group_id) is 0.
    """
    rows = world.rows if hasattr(world, "rows") else lambda table: world.get(table, [])
    now = now or datetime.now(timezone.utc)
    now_text = text(now)
    ahead: list[datetime] = []

    def past(moment: str | None) -> bool:
        if moment is not None and moment > now_text:
            ahead.append(instant(moment))
        return moment is not None and moment <= now_text

    def status(value: int | None) -> int | None:
        return value if value is None else _COMPONENT_STATUS_FROM_3.get(value, value)

    meta: dict[tuple[str, int], Row] = defaultdict(dict)
    for row in rows("meta"):
        kind = row["meta_type"].rsplit("\\", 1)[-1].lower()
        meta[kind, row["meta_id"]][row["key"]] = row["value"]

    tables: dict[str, list[Row]] = {name: [] for name in TABLES}

    def put(table: str, source: Mapping[str, Any], **values: Any) -> None:
        columns = {column: source.get(column) for column in TABLES[table]}
        tables[table].append({**columns, **values})

    for row in rows("users"):
        put("users", row, username=row["name"])
    hidden_groups = {row["id"] for row in rows("component_groups") if row["visible"] == 2}
    for row in rows("component_groups"):
        if row["id"] not in hidden_groups:
            put("component_groups", row, order=row["order"] or 0, collapsed=row["collapsed"] or 0)
    for row in rows("components"):
        if row["component_group_id"] in hidden_groups:
            continue
        own_meta = meta.get(("component", row["id"]))
        put(
            *("components", row),
            status=status(row["status"]),
            order=row["order"] or 0,
            group_id=row["component_group_id"] or 0,
            meta=own_meta and "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in own_meta.items()) + "}",
        )

    first_component: dict[int, int] = {}
    for row in sorted(rows("incident_components"), key=lambda row: row["id"]):
        first_component.setdefault(row["incident_id"], row["component_id"])
    shown_incidents = set()
    for row in rows("incidents"):
        if row["visible"] == 2:
            continue
        shown_incidents.add(row["id"])
        embargoed = row["published_at"] is not None and not past(row["published_at"])
        put(
            *("incidents", row),
            component_id=first_component.get(row["id"], row.get("component_id") or 0),
            visible=0 if embargoed else row["visible"],
        )
    for row in rows("updates"):
        kind = row["updateable_type"].rsplit("\\", 1)[-1].lower()
        if kind == "incident" and row["updateable_id"] in shown_incidents:
            put("incident_updates", row, incident_id=row["updateable_id"])
    for row in rows("meta"):
        kind = row["meta_type"].rsplit("\\", 1)[-1].lower()
        if kind == "incident" and row["meta_id"] in shown_incidents:
            put("meta", row, meta_type="incidents")

    for row in rows("incident_templates"):
        put("incident_templates", row)
    shown_metrics = {row["id"] for row in rows("metrics") if row["visible"] != 2}
    for row in rows("metrics"):
        if row["id"] in shown_metrics:
            put("metrics", row, default_value=row["default_value"] or 0, order=row["order"] or 0)
    for row in rows("metric_points"):
        if row["metric_id"] in shown_metrics:
            put("metric_points", row)
    for row in rows("schedules"):
        done = past(row["completed_at"])
        started = past(row["scheduled_at"])
        put("schedules", row, status=2 if done else 1 if started else 0)
    for row in rows("schedule_components"):
        put("schedule_components", row, component_status=status(row["component_status"]))
    for row in rows("subscribers"):
        code = f"{zlib.crc32(str(row['id']).encode()):042d}"
        put("subscribers", row, verify_code=code, verified_at=row["email_verified_at"])
    for row in rows("subscriptions"):
        put("subscriptions", row)
    expressed = Cachet2World(tables)
    if getattr(world, "valid_until", None) is not None:
        ahead.append(world.valid_until)
    expressed.valid_until = min(ahead, default=None)
    return expressed
