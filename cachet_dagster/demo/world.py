"""The rows of a status page: what Cachet keeps in its database, as plain dicts in memory.

One decision shapes it: a `World` is the truth that a load is compared with, so it holds rows exactly as
Cachet's own tables have them (names, columns, 0 and 1 for booleans, times as UTC text), and knows of the API
only what the database knows: which rows belong together, which deletes are soft, and what posting a point, an
incident or an update changes. Lookups go through indexes that every change keeps right, so 200,000 points of
one metric and 1,000 metrics of 100 points are served without sorting anything twice.
"""

from __future__ import annotations

import json
import random
import threading
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

Row = dict[str, Any]

TABLES = (
    "users",
    "component_groups",
    "components",
    "incidents",
    "incident_components",
    "updates",
    "incident_templates",
    "metrics",
    "metric_points",
    "schedules",
    "schedule_components",
    "subscribers",
    "subscriptions",
    "meta",
)

SOFT_DELETED = frozenset({"components", "incidents", "incident_templates", "schedules"})

INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "components": (("component_group_id",),),
    "incident_components": (("incident_id",), ("component_id",)),
    "updates": (("updateable_type", "updateable_id"),),
    "incident_updates": (("incident_id",),),
    "metric_points": (("metric_id",),),
    "schedule_components": (("schedule_id",), ("component_id",)),
    "subscriptions": (("subscriber_id",), ("component_id",)),
    "meta": (("meta_type", "meta_id"),),
}

# What goes with a row that is really deleted, and what is set to null: (table, column) per parent.
_CASCADES = {
    "metrics": ("metric_points", "metric_id"),
    "subscribers": ("subscriptions", "subscriber_id"),
}
_NULLED = {"component_groups": ("components", "component_group_id")}

_DEFAULTS: dict[str, Row] = {
    "users": {"name": "", "email": ""},
    "component_groups": {
        "name": "",
        "order": 0,
        "collapsed": 0,
        "visible": 1,
        "order_column": None,
        "order_direction": None,
    },
    "components": {
        "name": "",
        "description": None,
        "link": None,
        "status": 1,
        "order": None,
        "component_group_id": None,
        "deleted_at": None,
        "enabled": 1,
        "checked": 0,
        "checked_at": None,
    },
    "incidents": {
        "component_id": None,
        "name": "",
        "status": 1,
        "message": "",
        "deleted_at": None,
        "visible": 1,
        "stickied": 0,
        "occurred_at": None,
        "user_id": None,
        "notifications": 0,
        "guid": None,
        "external_provider": None,
        "external_id": None,
        "long_running_notified_at": None,
        "published_at": None,
        "published_notified_at": None,
    },
    "incident_components": {"component_status": None},
    "updates": {"status": None, "message": "", "user_id": None},
    "incident_templates": {"name": "", "slug": "", "template": "", "deleted_at": None, "engine": "twig"},
    "metrics": {
        "name": "",
        "suffix": "",
        "description": None,
        "default_value": 0,
        "calc_type": 0,
        "display_chart": 1,
        "places": 2,
        "default_view": 0,
        "threshold": 5,
        "order": 0,
        "visible": 1,
        "show_when_empty": 0,
    },
    "metric_points": {"value": 0.0, "counter": 1},
    "schedules": {
        "name": "",
        "message": None,
        "scheduled_at": None,
        "completed_at": None,
        "deleted_at": None,
        "notifications": 0,
        "completed_notified_at": None,
        "published_at": None,
        "published_notified_at": None,
    },
    "schedule_components": {"component_status": None},
    "subscribers": {"email": "", "email_verified_at": None, "global": 0},
    "subscriptions": {},
    "meta": {},
}


def text(moment: datetime) -> str:
    """Return an instant as the database has it: UTC, whole seconds, no offset."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return moment.isoformat(sep=" ", timespec="seconds")


def instant(value: str) -> datetime:
    """Return the instant that a text of the database means."""
    return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)


class World:
    """The tables of one status page; safe to change while a server answers from it.

    Rows are dicts, kept by id. Change them through `add`, `update` and `delete` only: a row that was changed
    in place is not found by the lookups. Methods take the lock; hold `lock` to change several rows at once.
    """

    def __init__(self, tables: Mapping[str, Iterable[Mapping[str, Any]]] | None = None) -> None:
        self.lock = threading.RLock()
        # Counts the changes of each table, so that whoever keeps a sorted view knows when it is stale.
        self.versions: Counter[str] = Counter()
        # The first instant at which the same recipe would give another world; None for one that stands still.
        self.valid_until: datetime | None = None
        self._rows: dict[str, dict[int, Row]] = {table: {} for table in TABLES}
        self._ids: dict[str, list[int]] = {table: [] for table in TABLES}
        self._last_id: Counter[str] = Counter()
        self._indexes: dict[str, dict[tuple[str, ...], dict[tuple, list[int]]]] = {}
        self._latest_points: dict[int, Row] = {}
        for table, rows in (tables or {}).items():
            self._fill(table, rows)
        if not self._rows["users"]:
            self.add("users", id=1, name="Admin", email="admin@example.com")

    @classmethod
    def load(cls, path: str | Path) -> World:
        """Read a `world.json`: an object of table name → list of rows."""
        return cls(json.loads(Path(path).read_bytes()))

    def _fill(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        # In bulk: sorting once instead of keeping a million rows sorted one by one.
        by_id = {row["id"]: dict(row) for row in rows}
        ids = sorted(by_id)
        self._rows[table] = {key: by_id[key] for key in ids}
        self._ids[table] = ids
        self._last_id[table] = ids[-1] if ids else 0
        self._indexes.pop(table, None)
        self.versions[table] += 1

    def _index(self, table: str, columns: tuple[str, ...]) -> dict[tuple, list[int]]:
        indexes = self._indexes.setdefault(table, {})
        if columns not in indexes:
            index: dict[tuple, list[int]] = {}
            rows = self._rows[table]
            for row_id in self._ids[table]:
                row = rows[row_id]
                index.setdefault(tuple(row.get(column) for column in columns), []).append(row_id)
            indexes[columns] = index
        return indexes[columns]

    def _put_into_indexes(self, table: str, row: Row) -> None:
        for columns, index in self._indexes.get(table, {}).items():
            insort(index.setdefault(tuple(row.get(column) for column in columns), []), row["id"])

    def _take_from_indexes(self, table: str, row: Row) -> None:
        for columns, index in self._indexes.get(table, {}).items():
            key = tuple(row.get(column) for column in columns)
            ids = index[key]
            del ids[bisect_left(ids, row["id"])]
            if not ids:
                del index[key]

    def rows(self, table: str) -> list[Row]:
        """Return every row of a table by id, softly deleted ones too."""
        with self.lock:
            return self.take(table)

    def ids(self, table: str, **columns: Any) -> list[int]:
        """Return the ids, ascending, of the rows with these values. Not a copy: do not change it."""
        with self.lock:
            if not columns:
                return self._ids.get(table, [])
            names = tuple(columns)
            if names in INDEXES.get(table, ()):
                return self._index(table, names).get(tuple(columns.values()), [])
            rows = self._rows.get(table, {})
            return [
                row_id
                for row_id in self._ids.get(table, [])
                if all(rows[row_id].get(name) == value for name, value in columns.items())
            ]

    def take(self, table: str, ids: Iterable[int] | None = None) -> list[Row]:
        """Return the rows of these ids (all when None), in that order."""
        rows = self._rows.get(table, {})
        return [rows[row_id] for row_id in (self._ids.get(table, []) if ids is None else ids)]

    def where(self, table: str, **columns: Any) -> list[Row]:
        """Return the rows with these values by id; quick for the columns in `INDEXES`."""
        with self.lock:
            return self.take(table, self.ids(table, **columns))

    def get(self, table: str, row_id: int) -> Row | None:
        """Return one row, softly deleted or not; None if there is none."""
        return self._rows.get(table, {}).get(row_id)

    def count(self, table: str) -> int:
        """Return the number of rows of a table, softly deleted ones too."""
        return len(self._rows.get(table, {}))

    @property
    def tables(self) -> list[str]:
        """The names of the tables."""
        return list(self._rows)

    def dump(self) -> dict[str, list[Row]]:
        """Return all rows as `world.json` has them: table name → list of copies."""
        with self.lock:
            return {table: [dict(row) for row in self.take(table)] for table in self._rows}

    def add(self, table: str, **row: Any) -> Row:
        """Insert a row and return it.

        Columns left out get the database's default, the id the next one that was never used, `created_at`
        and `updated_at` the present time. Raises ValueError if the id is taken.
        """
        with self.lock:
            if table not in self._rows:
                self._rows[table], self._ids[table] = {}, []
            now = text(datetime.now(timezone.utc))
            full: Row = {"id": row.get("id") or self._last_id[table] + 1, **_DEFAULTS.get(table, {})}
            full |= {"created_at": row.get("created_at", now)}
            full |= {"updated_at": full["created_at"]} | row
            row_id = full["id"]
            if row_id in self._rows[table]:
                raise ValueError(f"{table} has a row with id {row_id} already")
            self._rows[table][row_id] = full
            insort(self._ids[table], row_id)
            self._last_id[table] = max(self._last_id[table], row_id)
            self._put_into_indexes(table, full)
            if table == "metric_points":
                latest = self._latest_points.get(full["metric_id"])
                if latest is not None and full["created_at"] >= latest["created_at"]:
                    self._latest_points[full["metric_id"]] = full
            self.versions[table] += 1
            return full

    def update(self, table: str, row_id: int, **changes: Any) -> Row:
        """Change columns of a row and return it; `updated_at` only changes if it is among them.

        Raises KeyError if there is no such row.
        """
        with self.lock:
            row = self._rows[table][row_id]
            self._take_from_indexes(table, row)
            row.update(changes)
            self._put_into_indexes(table, row)
            if table == "metric_points":
                self._latest_points.pop(row["metric_id"], None)
            self.versions[table] += 1
            return row

    def delete(self, table: str, row_id: int, *, at: datetime | None = None, hard: bool = False) -> None:
        """Delete a row as Cachet does.

        Components, incidents, templates and schedules keep their row with `deleted_at` set (to `at`, or the
        present time); a metric takes its points along, a subscriber its subscriptions; the components of a
        group lose it. `hard` removes the row itself in any case. Raises KeyError if there is no such row.
        """
        with self.lock:
            if table in SOFT_DELETED and not hard:
                self.update(table, row_id, deleted_at=text(at or datetime.now(timezone.utc)))
                return
            row = self._rows[table].pop(row_id)
            del self._ids[table][bisect_left(self._ids[table], row_id)]
            self._take_from_indexes(table, row)
            if table == "metric_points":
                self._latest_points.pop(row["metric_id"], None)
            self.versions[table] += 1
            if table in _CASCADES:
                child, column = _CASCADES[table]
                for child_id in list(self.ids(child, **{column: row_id})):
                    self.delete(child, child_id, hard=True)
            if table in _NULLED:
                child, column = _NULLED[table]
                for child_id in list(self.ids(child, **{column: row_id})):
                    self.update(child, child_id, **{column: None})

    def post_point(
        self, metric_id: int, value: float, *, at: datetime, created_at: datetime | None = None
    ) -> Row:
        """Post a metric point as Cachet does, and return the row that was added or changed.

        `at` is the time of the request, `created_at` the time that the request claims for the point (default
        `at`), rounded to 30 s. Within the metric's `threshold` (minutes) of the latest point no row is added:
        that point's `counter` grows by one, and its value and times stay.
        """
        with self.lock:
            metric = self._rows["metrics"][metric_id]
            moment = created_at or at
            latest = self.latest_point(metric_id)
            if latest is not None:
                distance = abs(moment - instant(latest["created_at"]))
                if distance < timedelta(minutes=metric["threshold"] or 0):
                    latest["counter"] += 1
                    self.versions["metric_points"] += 1
                    return latest
            rounded = datetime.fromtimestamp((moment.timestamp() + 15) // 30 * 30, timezone.utc)
            return self.add(
                "metric_points",
                metric_id=metric_id,
                value=value,
                created_at=text(rounded),
                updated_at=text(at if created_at else rounded),
            )

    def latest_point(self, metric_id: int) -> Row | None:
        """Return a metric's latest point by time, which back-dated points with higher ids are not; None without any."""
        # Remembered, so that posting stays quick.
        row = self._latest_points.get(metric_id)
        if row is None:
            points = self.where("metric_points", metric_id=metric_id)
            row = max(points, key=lambda row: (row["created_at"], row["id"]), default=None)
            if row is not None:
                self._latest_points[metric_id] = row
        return row

    def post_incident(
        self,
        name: str,
        message: str = "",
        *,
        at: datetime,
        status: int = 1,
        components: Mapping[int, int | None] | None = None,
        **columns: Any,
    ) -> Row:
        """Post an incident, linked to components (id → status within the incident), and return its row."""
        with self.lock:
            row = self.add(
                "incidents",
                **{
                    "name": name,
                    "message": message,
                    "status": status,
                    "created_at": text(at),
                    "published_at": text(at),
                    "guid": str(_uuid(random.Random(f"{name}:{text(at)}:{self._last_id['incidents']}"))),  # noqa: S311
                    **columns,
                },
            )
            for component_id, component_status in (components or {}).items():
                self.add(
                    "incident_components",
                    incident_id=row["id"],
                    component_id=component_id,
                    component_status=component_status,
                    created_at=text(at),
                )
            return row

    def post_update(self, incident_id: int, status: int, message: str = "", *, at: datetime) -> Row:
        """Post an update of an incident, whose status follows it, and return the update's row."""
        with self.lock:
            row = self.add(
                "updates",
                updateable_type="incident",
                updateable_id=incident_id,
                status=status,
                message=message,
                user_id=1,
                created_at=text(at),
            )
            self.update("incidents", incident_id, status=status, updated_at=text(at))
            return row

    @classmethod
    def generate(
        cls,
        *,
        incidents: int = 0,
        components: int = 0,
        groups: int = 0,
        metrics: int = 0,
        points: int = 0,
        subscribers: int = 0,
        schedules: int = 0,
        templates: int = 0,
        updates: int = 3,
        seed: int = 0,
        end: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc),
    ) -> World:
        """Make a world of the given sizes, all of it visible to guests; the same seed gives the same rows.

        `points` are per metric, 5 minutes apart and ending at `end`; `updates` per incident. Incidents are an
        hour apart, each linked to up to two components.
        """
        rng = random.Random(seed)  # noqa: S311
        rows: dict[str, list[Row]] = {table: [] for table in TABLES}

        def make(table: str, created: str, **columns: Any) -> Row:
            row = {
                "id": len(rows[table]) + 1,
                **_DEFAULTS[table],
                "created_at": created,
                "updated_at": created,
            } | columns
            rows[table].append(row)
            return row

        start = text(end - timedelta(days=400))
        make("users", start, name="Admin", email="admin@example.com")
        for n in range(1, groups + 1):
            make("component_groups", start, name=f"Group {n}", order=n)
        for n in range(1, components + 1):
            make(
                "components",
                start,
                name=f"Component {n}",
                description=f"What component {n} is for.",
                link=f"https://example.com/components/{n}",
                order=n,
                component_group_id=rng.randint(1, groups) if groups else None,
                status=rng.choice((1, 1, 1, 1, 2, 3, 4)),
            )
        for n in range(1, incidents + 1):
            begun = end - timedelta(hours=incidents - n + 1)
            solved = n % 20 != 0
            last = begun + timedelta(minutes=10 * updates)
            make(
                "incidents",
                text(begun),
                name=f"Incident {n}",
                message=f"We are looking into trouble number {n}.",
                status=4 if solved else 1,
                guid=str(_uuid(rng)),
                occurred_at=text(begun - timedelta(minutes=10)),
                published_at=text(begun),
                user_id=1,
                updated_at=text(last),
            )
            for k in range(1, updates + 1):
                make(
                    "updates",
                    text(begun + timedelta(minutes=10 * k)),
                    status=4 if solved and k == updates else min(k, 3),
                    message=f"Update {k} of incident {n}.",
                    user_id=1,
                    updateable_type="incident",
                    updateable_id=n,
                )
            for component_id in rng.sample(range(1, components + 1), min(2, components)):
                make(
                    "incident_components",
                    text(begun),
                    incident_id=n,
                    component_id=component_id,
                    component_status=rng.choice((2, 3, 4)),
                )
        for n in range(1, templates + 1):
            make(
                "incident_templates",
                start,
                name=f"Template {n}",
                slug=f"template-{n}",
                template=f"Hello {{{{ name }}}}, this is template {n}.",
            )
        for n in range(1, metrics + 1):
            make("metrics", start, name=f"Metric {n}", suffix="ms", calc_type=n % 2, order=n)
        times = [text(end - timedelta(minutes=5 * (points - k))) for k in range(points)]
        values = rng.random
        table, point_id = rows["metric_points"], 0
        for n in range(1, metrics + 1):
            for moment in times:
                point_id += 1
                table.append(
                    {
                        "id": point_id,
                        "metric_id": n,
                        "value": round(values() * 1000, 3),
                        "created_at": moment,
                        "updated_at": moment,
                        "counter": 1,
                    }
                )
        for n in range(1, schedules + 1):
            begin = end + timedelta(days=n - schedules, hours=2)
            announced = text(begin - timedelta(days=14))
            over = begin + timedelta(hours=2) < end
            make(
                "schedules",
                announced,
                name=f"Maintenance {n}",
                message=f"Planned work number {n}.",
                scheduled_at=text(begin),
                completed_at=text(begin + timedelta(hours=2)) if over else None,
                published_at=announced,
            )
            make(
                "updates",
                announced,
                message=f"Update of schedule {n}.",
                user_id=1,
                updateable_type="schedule",
                updateable_id=n,
            )
            if components:
                component_id = rng.randint(1, components)
                make(
                    "schedule_components",
                    announced,
                    schedule_id=n,
                    component_id=component_id,
                    component_status=6,
                )
        for n in range(1, subscribers + 1):
            make(
                "subscribers",
                start,
                **{"email": f"subscriber{n}@example.com", "email_verified_at": start, "global": n % 2},
            )
            if components and not n % 2:
                make("subscriptions", start, subscriber_id=n, component_id=rng.randint(1, components))
        return cls(rows)


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
