"""An embedded Cachet 2.4: its API v1 as an ASGI app over rows in memory, traps included.

The one decision that shapes it: every answer is computed at the request from database rows in Cachet 2's own
tables (`Cachet2World`), as the real server does it, so whatever a test or the living demo page does to the rows
shows everywhere. The behaviour is that of recordings of a real Cachet 2.4.1; what is deliberately left out is
listed by name in `NOT_IMITATED`. How rows are filtered, ordered and lost between pages: `cachet2_lists`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cached_property, lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo

import orjson

from . import cachet2_texts as texts
from .answers import App, Clock, Receive, Scope, Send, Settings, respond
from .cachet2_lists import (
    LISTS,
    HttpError,
    ListRule,
    Page,
    build_query,
    filtered,
    leading_integer,
    ordered,
    parse_query,
    window,
)
from .cachet2_world import TABLES, Cachet2World, from_cachet3
from .throttle import Throttle
from .world import Row, World

__all__ = ["NOT_IMITATED", "Cachet2Settings", "Cachet2World", "create_app", "from_cachet3"]

NOT_IMITATED: dict[str, str] = {
    "params:cors-preflight": "OPTIONS, and the headers for browsers of other origins",
    "params:options-components": "OPTIONS",
    "locale-de:400": "writing: 401 without a token as recorded, but 501 with one",
}
"""Recorded and deliberately not imitated: `dataset:name` of an exchange → what it is.

Of the datasets `mysql` and `pgsql`, ties are ordered in kind, not row by row; see `cachet2_lists`.
"""

_FORMAT = "%Y-%m-%d %H:%M:%S"


@dataclass
class Cachet2Settings(Settings):
    """What an administrator sets on a Cachet 2; may be changed while it runs.

    Of `Settings`, `protected` is Cachet 2's `always_authenticate`, `timezone` the page's, in which dates are
    printed, and abilities of a token mean nothing. `app_timezone` is the zone of the stored dates; `database`
    is `"sqlite"`, `"mysql"` or `"pgsql"`; `locale` is `"en"` or `"de"`; `latest_release` is what GitHub calls
    Cachet's newest version, None if it does not answer (`/version` is then 500).
    """

    app_version: str = "2.4.1"
    app_timezone: str = "UTC"
    locale: str = "en"
    maintenance: bool = False
    latest_release: str | None = "v2.4.1"


_READ = "GET, HEAD"
_CHANGE = f"{_READ}, PUT, DELETE"
_ROUTES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile("/api/v1/" + path.replace("{id}", "([^/]+)") + "/?"), path, methods)
    for path, methods in (
        ("ping", _READ),
        ("version", _READ),
        ("status", _READ),
        ("components", f"{_READ}, POST"),
        ("components/groups", f"{_READ}, POST"),
        ("components/groups/{id}", _CHANGE),
        ("components/{id}", _CHANGE),
        ("incidents", f"{_READ}, POST"),
        ("incidents/templates", _READ),
        ("incidents/templates/{id}", _READ),
        ("incidents/{id}", _CHANGE),
        ("incidents/{id}/updates", f"{_READ}, POST"),
        ("incidents/{id}/updates/{id}", _CHANGE),
        ("metrics", f"{_READ}, POST"),
        ("metrics/{id}", _CHANGE),
        ("metrics/{id}/points", f"{_READ}, POST"),
        ("metrics/{id}/points/{id}", "PUT, DELETE"),
        ("schedules", f"{_READ}, POST"),
        ("schedules/{id}", _CHANGE),
        ("subscribers", f"{_READ}, POST"),
        ("subscribers/{id}", "DELETE"),
        ("subscriptions/{id}", "DELETE"),
    )
)
# The lists whose rows the ids of a path name.
_BOUND = {
    "incidents/{id}/updates": ("incidents",),
    "incidents/{id}/updates/{id}": ("incidents", "incidents/{id}/updates"),
    "metrics/{id}/points": ("metrics",),
}
_OPEN = ("ping", "version", "status")


def create_app(
    current: Callable[[datetime], World], *, clock: Clock, settings: Settings, throttle: Throttle
) -> App:
    """Return the ASGI app that answers `/api/v1`.

    `current` returns the world at an instant; one in Cachet 3's tables is expressed in Cachet 2's. Settings
    that are no `Cachet2Settings` get its further attributes, with their defaults.
    """
    for name, value in vars(Cachet2Settings()).items():
        if not hasattr(settings, name):
            setattr(settings, name, value)
    own = cast(Cachet2Settings, settings)
    expressed = _Expressed(current)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(scope)
        now = clock()
        headers = {"cache-control": "no-cache, private"}
        try:
            status, kind = 200, "application/json"
            body = _answer(request, expressed(now), now, own, throttle, headers)
        except HttpError as error:
            status = error.status
            headers |= error.headers
            kind, body = _error(error, request.accept)
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await respond(send, status, body, kind.encode(), encoded, head=request.method == "HEAD")

    return app


class _Expressed:
    """The current world in Cachet 2's tables; one in Cachet 3's is expressed again only when it must be."""

    def __init__(self, current: Callable[[datetime], World]) -> None:
        self.current = current
        self.source: tuple[World, dict[str, int]] | None = None
        self.made = Cachet2World()
        self.made_at = datetime.max.replace(tzinfo=timezone.utc)

    def __call__(self, now: datetime) -> Cachet2World:
        world = self.current(now)
        if isinstance(world, Cachet2World):
            return world
        with world.lock:
            source = (world, dict(world.versions))
            until = self.made.valid_until
            if self.source != source or now < self.made_at or (until is not None and now >= until):
                self.source, self.made, self.made_at = source, from_cachet3(world, now), now
        return self.made


class _Request:
    """What the app reads of an ASGI scope."""

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: Row = parse_query(scope["query_string"].decode("latin-1"))
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.accept: str = self.headers.get("accept", "*/*")
        self.scheme: str = scope.get("scheme", "http")

    @property
    def origin(self) -> str:
        """Scheme and host as the request names them; X-Forwarded headers win."""
        scheme = self.headers.get("x-forwarded-proto", self.scheme)
        host = self.headers.get("x-forwarded-host") or self.headers.get("host", "localhost")
        port = self.headers.get("x-forwarded-port")
        if port and ":" not in host and port != {"http": "80", "https": "443"}.get(scheme):
            host = f"{host}:{port}"
        return f"{scheme}://{host}"


def _answer(
    request: _Request,
    world: Cachet2World,
    now: datetime,
    settings: Cachet2Settings,
    throttle: Throttle,
    headers: dict[str, str],
) -> bytes:
    if settings.maintenance:
        raise HttpError(503)
    path, parts, methods = _route(request.path)
    if request.method not in methods.split(", "):
        raise HttpError(405, headers={"allow": methods})
    allowed, limits = throttle.take(request.path)
    headers |= {name.decode(): value.decode() for name, value in limits}
    if not allowed:
        raise HttpError(429)
    if path == "status":
        headers["cache-control"] = f"max-age={int(now.timestamp()) + 30}, public"
    with world.lock:
        return orjson.dumps(_Call(request, world, now, settings).answer(path, parts))


def _route(path: str) -> tuple[str, tuple[str, ...], str]:
    for pattern, name, methods in _ROUTES:
        if match := pattern.fullmatch(path):
            return name, match.groups(), methods
    raise HttpError(404)


def _error(error: HttpError, accept: str) -> tuple[str, bytes]:
    """Return content type and body of an error, as the Accept header wants it."""
    title, detail = texts.ERRORS[error.status]
    if not re.search(r"application/(vnd\.api\+)?json|\*/\*", accept):
        kind = "text/html;charset=UTF-8" if error.status == 503 else "text/html; charset=UTF-8"
        page = (
            '<!doctype html>\n<html lang="en-GB">\n<head>\n    <meta charset="utf-8">\n'
            f"    <title>{title}</title>\n</head>\n<body><h1>{title}</h1><p>{detail}</p></body>\n</html>\n"
        )
        return kind, page.encode()
    kind = "application/vnd.api+json" if "vnd.api+json" in accept else "application/json"
    body = {
        "id": str(uuid.uuid4()),
        "status": error.status,
        "title": title,
        "detail": error.detail or detail,
    }
    return kind, orjson.dumps({"errors": [body]})


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    """Return the zone of an IANA name or an offset such as `+02:00`; 500 for anything else."""
    if offset := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        sign, hours, minutes = offset.groups()
        return timezone(timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1))
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise HttpError(500) from error


@lru_cache(maxsize=200_000)
def _moved(stored: str, source: tzinfo, target: tzinfo) -> datetime:
    moment = datetime.strptime(stored, _FORMAT).replace(tzinfo=source)
    if (moment.utcoffset() or timedelta(0)) > timedelta(0):
        # PHP 7.4 reads an ambiguous hour as the second one east of Greenwich, as the first one west of it.
        moment = moment.replace(fold=1)
    return moment.astimezone(target)


def _printed(value: float) -> float:
    """Return a number as PHP's json_encode prints it: without a fraction when it is whole."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Call:
    """One request: who asks, in which zone, and the rows as that caller sees them. Holds the world's lock."""

    def __init__(
        self, request: _Request, world: Cachet2World, now: datetime, settings: Cachet2Settings
    ) -> None:
        self.request, self.world, self.now, self.settings = request, world, now, settings
        self.query = request.query
        self.guest = request.headers.get("x-cachet-token") not in settings.tokens
        self.origin = settings.app_url or request.origin
        self.locale = settings.locale

    def answer(self, path: str, parts: tuple[str, ...]) -> Row:
        """Return the JSON document of a route and the ids in its path."""
        writes = self.request.method not in ("GET", "HEAD")
        if self.guest and path not in _OPEN and (self.settings.protected or writes or path == "subscribers"):
            raise HttpError(401)
        bound = self._bound(path, parts)
        if not re.search(r"application/(json|\*)|\*/\*", self.request.accept):
            raise HttpError(406)
        if writes:
            raise HttpError(501)
        if path in _OPEN:
            return {"ping": self._ping, "version": self._version, "status": self._status}[path]()
        if path == "metrics/{id}/points":
            return self._points(bound[0]["id"])
        if path == "incidents/{id}/updates":
            return self._list(path, self._updates(bound[0]["id"]))
        if not bound:
            return self._list(path, self._visible(path))
        return {"data": self._print(LISTS[path.removesuffix("/{id}")].table, bound[-1])}

    # Rows

    def _bound(self, path: str, parts: tuple[str, ...]) -> list[Row]:
        """Return the rows that the ids of a path name; an update is found under any incident."""
        names = _BOUND.get(path, (path.removesuffix("/{id}"),))
        return [self._find(LISTS[name], part) for name, part in zip(names, parts, strict=False)]

    def _find(self, rule: ListRule, part: str) -> Row:
        database = self.settings.database
        number = leading_integer(part)
        if database != "mysql" and not re.fullmatch(r"\s*[+-]?\d+\s*", part):
            number = None
        if database == "pgsql" and (number is None or not -(2**31) <= number < 2**31):
            raise HttpError(500)
        row = None if number is None else self.world.get(rule.table, number)
        if row is None or (row.get("deleted_at") and rule.table != "incident_templates"):
            raise HttpError(404, f"No query results for model [CachetHQ\\Cachet\\Models\\{rule.model}].")
        return row

    def _visible(self, path: str) -> list[Row]:
        """Return the rows of a list that the caller may see, by id."""
        table = LISTS[path].table
        rows = self.world.rows(table)
        if table in ("components", "incidents", "schedules"):
            rows = [row for row in rows if row["deleted_at"] is None]
        if self.guest and table == "components":
            return [row for row in rows if row["enabled"]]
        if self.guest and table in ("incidents", "component_groups"):
            return [row for row in rows if row["visible"] == 1]
        return rows

    def _list(self, path: str, rows: list[Row]) -> Row:
        rule, database = LISTS[path], self.settings.database
        page = Page.of(self.query, database)
        if rule.table == "components" and "tags" in self.query:
            rows = self._tagged(rows, self.query["tags"])
        rows = filtered(rule, rows, self.query, database)
        size = self.world.count(rule.table)
        rows = ordered(rule, rows, self.query, page, database, guest=self.guest, table_size=size)
        start, stop = page.bounds(len(rows))
        return self._paginated(rule.table, page, len(rows), rows[start:stop])

    def _tagged(self, rows: list[Row], wanted: Any) -> list[Row]:
        slugs = set(wanted.values()) if isinstance(wanted, dict) else {wanted}
        return [row for row in rows if slugs & {tag["slug"] for tag in self._tags(row["id"])}]

    def _points(self, metric_id: int) -> Row:
        page = Page.of(self.query, self.settings.database)

        def newest_first() -> list[Row]:
            points = self.world.where("metric_points", metric_id=metric_id)
            return sorted(points, key=lambda point: point["created_at"], reverse=True)

        points = self.world.derived(f"points of {metric_id}", "metric_points", newest_first)
        if self.settings.database == "sqlite":
            start, stop = page.bounds(len(points))
            shown = points[start:stop]
        else:
            shown = window(points, page, lambda point: point["created_at"])
        return self._paginated("metric_points", page, len(points), shown)

    def _paginated(self, table: str, page: Page, total: int, rows: list[Row]) -> Row:
        pages = page.pages(total)
        links = {
            "next_page": self._link(page.number + 1) if page.number < pages else None,
            "previous_page": self._link(page.number - 1) if page.number > 1 else None,
        }
        pagination = {
            "total": total,
            "count": len(rows),
            "per_page": page.size,
            "current_page": page.number,
            "total_pages": pages,
            "links": links,
        }
        return {"meta": {"pagination": pagination}, "data": [self._print(table, row) for row in rows]}

    def _link(self, number: int) -> str:
        query = {name: value for name, value in self.query.items() if name != "page"}
        return f"{self.origin}{self.request.path.rstrip('/')}?{build_query({**query, 'page': number})}"

    # Dates

    @cached_property
    def _app_zone(self) -> tzinfo:
        return _zone(self.settings.app_timezone)

    @cached_property
    def _page_zone(self) -> tzinfo:
        """The zone dates are printed in. Read only where a date is, as a wrong one fails only there."""
        return _zone(self.request.headers.get("time-zone") or self.settings.timezone)

    def _date(self, stored: str | None) -> str | None:
        zone = self._page_zone
        if stored is None or zone is self._app_zone:
            return stored
        return _moved(stored, self._app_zone, zone).strftime(_FORMAT)

    def _date_or_now(self, stored: str | None) -> str:
        return self._date(stored) or self.now.astimezone(self._page_zone).strftime(_FORMAT)

    def _day_in_words(self, stored: str | None) -> str:
        """Return `Monday 4th May 2026 00:00:00`: where it is stored the day begins; null is now."""
        if stored is None:
            moment = self.now.astimezone(self._page_zone)
        else:
            moment = _moved(f"{stored[:10]} 00:00:00", self._app_zone, self._page_zone)
        teens = 11 <= moment.day <= 13
        suffix = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(moment.day % 10, "th")
        day = texts.DAYS[self.locale][moment.weekday()]
        month = texts.MONTHS[self.locale][moment.month - 1]
        return f"{day} {moment.day}{suffix} {month} {moment.year} {moment:%H:%M:%S}"

    # Rows as printed

    def _print(self, table: str, row: Row) -> Row:
        printed = {column: row[column] for column in TABLES[table]}
        if table == "incident_templates":
            # A template's dates are printed as they are stored.
            return printed
        printed["created_at"] = self._date(row["created_at"])
        printed["updated_at"] = self._date(row["updated_at"])
        return printed | getattr(self, f"_{table}")(row)

    def _tags(self, component_id: int) -> list[Row]:
        links = self.world.grouped("taggables", "taggable_id").get(component_id, [])
        tags = [
            self.world.get("tags", link["tag_id"]) for link in links if link["taggable_type"] == "components"
        ]
        return [tag for tag in tags if tag is not None]

    def _components(self, row: Row) -> Row:
        return {
            "enabled": bool(row["enabled"]),
            "meta": None if row["meta"] is None else json.loads(row["meta"]),
            "status_name": texts.COMPONENT_STATUS[self.locale][row["status"]],
            "tags": {tag["slug"]: tag["name"] for tag in self._tags(row["id"])} or [],
        }

    def _component_groups(self, row: Row) -> Row:
        members = self.world.grouped("components", "group_id").get(row["id"], [])
        members = [member for member in members if member["enabled"] and member["deleted_at"] is None]
        by_order = sorted(members, key=lambda member: member["order"])
        worst_first = sorted(members, key=lambda member: member["status"], reverse=True)
        names = texts.COMPONENT_STATUS[self.locale]
        return {
            "enabled_components": [self._print("components", member) for member in by_order],
            "enabled_components_lowest": [self._print("components", member) for member in worst_first],
            "lowest_human_status": names[worst_first[0]["status"]] if worst_first else None,
        }

    def _updates(self, incident_id: int) -> list[Row]:
        updates = self.world.grouped("incident_updates", "incident_id").get(incident_id, [])
        return sorted(updates, key=lambda update: update["created_at"], reverse=True)

    def _incident_updates(self, row: Row) -> Row:
        return {
            "human_status": texts.INCIDENT_STATUS[self.locale][row["status"]],
            "permalink": f"{self.origin}/incidents/{row['incident_id']}#update-{row['id']}",
        }

    def _incidents(self, row: Row) -> Row:
        updates = self._updates(row["id"])
        latest = updates[0] if updates else None
        latest_status = latest["status"] if latest else row["status"]
        names = texts.INCIDENT_STATUS[self.locale]
        meta = self.world.where("meta", meta_type="incidents", meta_id=row["id"])
        # Cachet subtracts local times: across a change of the clocks, the hour is missing.
        local_now = self.now.astimezone(self._app_zone).replace(tzinfo=None)
        age = local_now - datetime.strptime(row["created_at"], _FORMAT)
        return {
            "stickied": bool(row["stickied"]),
            "occurred_at": self._date_or_now(row["occurred_at"]),
            "notifications": bool(row["notifications"]),
            "is_resolved": latest_status == 4,
            "meta": {entry["key"]: json.loads(entry["value"]) for entry in meta} or [],
            "updates": [self._print("incident_updates", update) for update in updates],
            "human_status": names[row["status"]],
            "latest_update_id": latest["id"] if latest else None,
            "latest_status": latest_status,
            "latest_human_status": names[latest_status],
            "latest_icon": texts.INCIDENT_ICON[latest_status],
            "permalink": f"{self.origin}/incidents/{row['id']}",
            "duration": int(age.total_seconds()) if latest else 0,
        }

    def _metrics(self, row: Row) -> Row:
        return {
            "default_value": int(row["default_value"] or 0),
            "display_chart": bool(row["display_chart"]),
            "default_view_name": texts.DEFAULT_VIEW[self.locale][row["default_view"]],
        }

    def _metric_points(self, row: Row) -> Row:
        return {
            "value": _printed(row["value"]),
            "calculated_value": _printed(row["value"] * row["counter"]),
        }

    def _schedules(self, row: Row) -> Row:
        return {
            "scheduled_at": self._date_or_now(row["scheduled_at"]),
            "completed_at": self._date_or_now(row["completed_at"]),
            "components": self.world.where("schedule_components", schedule_id=row["id"]),
            "human_status": texts.SCHEDULE_STATUS[row["status"]],
        }

    def _subscribers(self, row: Row) -> Row:
        return {
            "verified_at": self._day_in_words(row["verified_at"]),
            "global": bool(row["global"]),
            "subscriptions": self.world.where("subscriptions", subscriber_id=row["id"]),
        }

    # What is no list

    def _ping(self) -> Row:
        return {"data": "Pong!"}

    def _version(self) -> Row:
        version, latest = self.settings.app_version, self.settings.latest_release
        if latest is None:
            raise HttpError(500)
        release = {"tag_name": latest, "prelease": False, "draft": False}
        return {"meta": {"on_latest": latest.lstrip("v") == version, "latest": release}, "data": version}

    def _status(self) -> Row:
        """Return the page's status: danger once half of the components are down, success if all is well."""
        components = self.world.rows("components")
        statuses = [row["status"] for row in components if row["enabled"] and row["deleted_at"] is None]
        status = "info"
        if statuses and statuses.count(4) * 2 >= len(statuses):
            status = "danger"
        elif all(code == 1 for code in statuses) and self._all_resolved():
            status = "success"
        message = texts.SYSTEM[status][len(statuses) > 1]
        if self.locale == "de":
            message = texts.SYSTEM_DE.get(message, message)
        return {"data": {"status": status, "message": message}}

    def _all_resolved(self) -> bool:
        for row in self.world.rows("incidents"):
            if row["status"] != 0 and row["deleted_at"] is None:
                updates = self._updates(row["id"])
                if (updates[0] if updates else row)["status"] != 4:
                    return False
        return True
