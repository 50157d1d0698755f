"""Cachet 3: who sees which row, and what a row looks like in an answer.

Split off by what it needs: a row, its world, the caller and the time; nothing of pages or queries. Attributes
stand in Cachet's order. `extra` are `meta` and counts, where they were asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from .answers import Settings
from .world import Row, World, text

COMPONENT_STATUS = {
    1: "Operational",
    2: "Performance issues",
    3: "Partial outage",
    4: "Major outage",
    5: "Unknown",
    6: "Under maintenance",
}
INCIDENT_STATUS = {0: "Unknown", 1: "Investigating", 2: "Identified", 3: "Watching", 4: "Fixed"}
SCHEDULE_STATUS = {0: "Upcoming", 1: "In progress", 2: "Complete"}
# How bad a status is, for the worst of several; the numbers alone do not say it.
_SEVERITY = {None: -1, 1: 0, 5: 1, 6: 2, 2: 3, 3: 4, 4: 5}


@dataclass(frozen=True)
class Caller:
    """Who asks: a guest, or a token with abilities."""

    abilities: frozenset[str] | None

    @property
    def known(self) -> bool:
        """Whether the token is a good one."""
        return self.abilities is not None

    def can(self, ability: str) -> bool:
        """Whether the token has an ability."""
        return self.abilities is not None and not self.abilities.isdisjoint({"*", ability})


@dataclass
class Request:
    """One request and what is needed to answer it."""

    world: World
    now: datetime
    settings: Settings
    caller: Caller
    origin: str
    path: str
    query: dict[str, Any]

    def __post_init__(self) -> None:
        self.now_text = text(self.now)
        self.zone = self.settings.timezone
        self.passed = math.floor(self.now.timestamp())
        self.begun = math.ceil(self.now.timestamp())

    def moment(self, value: str | None) -> Row:
        """Print a time: in words, in whole units that have passed or are ahead, and as the local time."""
        if value is None:
            return {"human": None, "string": None}
        epoch, local = _local(value, self.zone)
        return {"human": _human(epoch, self.begun if epoch > self.passed else self.passed), "string": local}


@lru_cache(maxsize=65536)
def _local(value: str, zone: str) -> tuple[int, str]:
    moment = datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    if zone == "UTC":
        return int(moment.timestamp()), value
    return int(moment.timestamp()), moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=65536)
def _human(epoch: int, now: int) -> str:
    seconds = abs(now - epoch)
    word = "from now" if epoch > now else "ago"
    if seconds < 28 * 86400:
        for unit, size in (("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
            if seconds >= size or unit == "second":
                return f"{seconds // size} {unit}{'' if seconds // size == 1 else 's'} {word}"
    early, late = sorted((epoch, now))
    a, b = datetime.fromtimestamp(early, timezone.utc), datetime.fromtimestamp(late, timezone.utc)
    months = (b.year - a.year) * 12 + b.month - a.month
    if (b.day, b.time()) < (a.day, a.time()):
        months -= 1
    number, unit = (months // 12, "year") if months >= 12 else (months, "month")
    if months < 1:
        number, unit = seconds // 604800, "week"
    return f"{number} {unit}{'' if number == 1 else 's'} {word}"


def label(value: int | None, labels: Mapping[int, str]) -> Row | None:
    """Print a value of an enumeration with its words."""
    return None if value is None else {"human": labels.get(value, ""), "value": value}


def _number(value: float | None) -> float | int | None:
    # PHP prints a whole float as an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def print_incident(request: Request, row: Row, extra: Row) -> Row:
    """Print an incident."""
    return {
        "id": row["id"],
        "guid": row["guid"],
        "name": row["name"],
        "message": row["message"],
        "visible": row["visible"],
        "stickied": bool(row["stickied"]),
        "notifications": row["notifications"],
        **extra,
        "status": label(row["status"], INCIDENT_STATUS),
        "occurred": request.moment(row["occurred_at"]),
        "published": request.moment(row["published_at"]),
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_component(request: Request, row: Row, extra: Row) -> Row:
    """Print a component."""
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "link": row["link"],
        "order": row["order"],
        "status": label(row["status"], COMPONENT_STATUS),
        "latest_status": label(latest_status(request, row), COMPONENT_STATUS),
        "enabled": bool(row["enabled"]),
        **extra,
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_group(request: Request, row: Row, extra: Row) -> Row:
    """Print a component group."""
    return {
        "id": row["id"],
        "name": row["name"],
        "order": row["order"],
        "order_column": row["order_column"],
        "order_direction": row["order_direction"],
        "collapsed": row["collapsed"],
        "visible": row["visible"],
        **extra,
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_template(request: Request, row: Row, extra: Row) -> Row:
    """Print an incident template."""
    return {
        "id": row["id"],
        "name": row["name"],
        "slug": row["slug"],
        "template": row["template"],
        "engine": row["engine"],
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_metric(request: Request, row: Row, extra: Row) -> Row:
    """Print a metric."""
    return {
        "id": row["id"],
        "name": row["name"],
        "suffix": row["suffix"],
        "description": row["description"],
        "default_value": _number(row["default_value"]),
        "calc_type": row["calc_type"],
        "display_chart": bool(row["display_chart"]),
        "places": row["places"],
        "default_view": row["default_view"],
        "threshold": row["threshold"],
        "order": row["order"],
        "visible": row["visible"],
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_point(request: Request, row: Row, extra: Row) -> Row:
    """Print a metric point; its calculated value is the value times the counter."""
    return {
        "id": row["id"],
        "metric_id": row["metric_id"],
        "calculated_value": _number(row["value"] * row["counter"]),
        "value": _number(row["value"]),
        "counter": row["counter"],
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_schedule(request: Request, row: Row, extra: Row) -> Row:
    """Print a schedule."""
    return {
        "id": row["id"],
        "name": row["name"],
        "message": row["message"],
        **extra,
        "status": label(schedule_status(request, row), SCHEDULE_STATUS),
        "scheduled": request.moment(row["scheduled_at"]),
        "completed": request.moment(row["completed_at"]),
        "published": request.moment(row["published_at"]),
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_subscriber(request: Request, row: Row, extra: Row) -> Row:
    """Print a subscriber."""
    return {
        "id": row["id"],
        "email": row["email"],
        "global": bool(row["global"]),
        "verified": row["email_verified_at"] is not None,
        "verified_at": request.moment(row["email_verified_at"]),
        **extra,
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_update(request: Request, row: Row, extra: Row) -> Row:
    """Print an update; only those of incidents have a status."""
    status = {"status": label(row["status"], INCIDENT_STATUS)} if row["updateable_type"] == "incident" else {}
    return {
        "id": row["id"],
        "updateable_id": row["updateable_id"],
        "updateable_type": row["updateable_type"],
        "message": row["message"],
        **status,
        "created": request.moment(row["created_at"]),
        "updated": request.moment(row["updated_at"]),
    }


def print_user(request: Request, row: Row, extra: Row) -> Row:
    """Print a user: the real server hides names and addresses."""
    return {"id": row["id"]}


def schedule_status(request: Request, row: Row) -> int:
    """Return 0 (upcoming), 1 (in progress) or 2 (complete): a matter of the time."""
    if row["completed_at"] is not None and row["completed_at"] <= request.now_text:
        return 2
    return 1 if row["scheduled_at"] is not None and row["scheduled_at"] <= request.now_text else 0


# By world: the versions it was counted for, and the worst status within incidents by component.
_in_incidents: WeakKeyDictionary[World, tuple[tuple[int, ...], dict[int, int | None]]] = WeakKeyDictionary()


def _worst_in_incidents(world: World, component_id: int) -> int | None:
    """Return the worst status of a component within visible, unresolved incidents, if any."""
    versions = tuple(world.versions[name] for name in ("incidents", "incident_components"))
    counted, known = _in_incidents.get(world, ((), {}))
    if counted != versions:
        known = {}
        _in_incidents[world] = (versions, known)
    if component_id not in known:
        statuses = []
        for link in world.where("incident_components", component_id=component_id):
            incident = world.get("incidents", link["incident_id"])
            if link["component_status"] is None or incident is None:
                continue
            if incident["status"] != 4 and not incident["deleted_at"] and incident["visible"] == 1:
                statuses.append(link["component_status"])
        known[component_id] = max(statuses, key=_severity, default=None)
    return known[component_id]


def _severity(status: int | None) -> int:
    return _SEVERITY.get(status, -1)


def _without_incidents(request: Request, component: Row) -> int:
    """Return what running maintenance makes of a component, else its own status."""
    for link in request.world.where("schedule_components", component_id=component["id"]):
        schedule = request.world.get("schedules", link["schedule_id"])
        if schedule is None or schedule["deleted_at"] is not None or link["component_status"] is None:
            continue
        if published(request, schedule) and schedule_status(request, schedule) == 1:
            return link["component_status"]
    return component["status"]


def latest_status(request: Request, component: Row) -> int:
    """Return the worst of what incidents make of a component, and running maintenance or else its own status."""
    without, within = (
        _without_incidents(request, component),
        _worst_in_incidents(request.world, component["id"]),
    )
    return without if within is None else max(without, within, key=_severity)


# Who sees what.


def _levels(caller: Caller) -> tuple[int, ...]:
    # visible: 0 needs a token, 1 is for everyone, 2 for nobody through the API.
    return (0, 1) if caller.known else (1,)


def published(request: Request, row: Row) -> bool:
    """Whether a row is out of its embargo."""
    return row["published_at"] is None or row["published_at"] <= request.now_text


def sees_incident(request: Request, row: Row) -> bool:
    """Embargoed incidents need `incidents.manage`."""
    return (
        row["deleted_at"] is None
        and row["visible"] in _levels(request.caller)
        and (published(request, row) or request.caller.can("incidents.manage"))
    )


def sees_schedule(request: Request, row: Row) -> bool:
    """Embargoed schedules need `schedules.manage`."""
    return row["deleted_at"] is None and (published(request, row) or request.caller.can("schedules.manage"))


def sees_level(request: Request, row: Row) -> bool:
    """What `visible` alone decides."""
    return row["visible"] in _levels(request.caller)


def sees_component(request: Request, row: Row) -> bool:
    """Disabled ones and those of hidden groups need a token; a group of level 2 hides from all."""
    if row["deleted_at"] is not None or not (row["enabled"] or request.caller.known):
        return False
    if row["component_group_id"] is None:
        return True
    group = request.world.get("component_groups", row["component_group_id"])
    return group is not None and group["visible"] in _levels(request.caller)


def not_deleted(request: Request, row: Row) -> bool:
    """Everyone sees what is not deleted."""
    return row.get("deleted_at") is None
