"""Cachet 3's resources as one table: what differs between incidents, components and the others is data.

Each entry says which rows a caller sees and in which order they come when nobody sorts them, what may be sorted,
filtered and included, and what prints a row. How a page is cut, sorted and included is written once, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .cachet3_rows import (
    Request,
    not_deleted,
    print_component,
    print_group,
    print_incident,
    print_metric,
    print_point,
    print_schedule,
    print_subscriber,
    print_template,
    print_update,
    print_user,
    schedule_status,
    sees_component,
    sees_incident,
    sees_level,
    sees_schedule,
)
from .world import Row

# Filters: each takes the values of the query and gives a predicate.

Predicate = Callable[[Request, Row], bool]


def _partial(column: str) -> Callable[[list[str]], Predicate]:
    def build(values: list[str]) -> Predicate:
        wanted = [value.lower() for value in values]
        return lambda _, row: any(value in str(row[column] or "").lower() for value in wanted)

    return build


def _exact(column: str) -> Callable[[list[str]], Predicate]:
    def build(values: list[str]) -> Predicate:
        wanted = {{"true": "1", "false": "0"}.get(value, value) for value in values}
        return lambda _, row: str(row[column]) in wanted

    return build


def _schedule_has_status(values: list[str]) -> Predicate:
    return lambda request, row: str(schedule_status(request, row)) in values


def _occurred(compare: Callable[[str, str], bool]) -> Callable[[list[str]], Predicate]:
    def build(values: list[str]) -> Predicate:
        return lambda _, row: (
            row["occurred_at"] is not None and compare(row["occurred_at"][:10], values[0][:10])
        )

    return build


@dataclass(frozen=True)
class Relation:
    """How a row leads to related rows, each with the link's own row if there is one.

    With `one` the relation prints null or a single reference, else a list.
    """

    name: str
    resource: str
    rows: Callable[[Request, Row], Iterable[tuple[Row, Row | None]]]
    one: bool = False


@dataclass(frozen=True)
class Resource:
    """Everything that makes one resource different from the others."""

    table: str
    type: str
    model: str
    print: Callable[[Request, Row, Row], Row]
    sees: Predicate
    base_order: Callable[[Row], Any] = field(default=lambda row: row["id"])
    default_sort: str = ""
    sorts: tuple[str, ...] = ()
    # None for `meta`, which nests: filter[meta][key]=value.
    filters: Mapping[str, Callable[[list[str]], Predicate] | None] | None = None
    relations: tuple[Relation, ...] = ()
    includes: tuple[str, ...] = ()
    meta_type: str | None = None
    versions: tuple[str, ...] = ()


def _linked(table: str, column: str, key: str = "component_id") -> Callable[[Request, Row], Any]:
    def rows(request: Request, row: Row) -> Iterable[tuple[Row, Row | None]]:
        target = "components" if key == "component_id" else "incidents"
        for link in request.world.where(table, **{column: row["id"]}):
            related = request.world.get(target, link[key])
            # A component is shown whatever its group, an incident only to who may see it.
            if related is None or related["deleted_at"] is not None:
                continue
            if target == "components" or sees_incident(request, related):
                yield related, link

    return rows


def _updates_of(kind: str) -> Callable[[Request, Row], Any]:
    def rows(request: Request, row: Row) -> Iterable[tuple[Row, Row | None]]:
        for update in request.world.where("updates", updateable_type=kind, updateable_id=row["id"]):
            yield update, None

    return rows


def _one(table: str, column: str) -> Callable[[Request, Row], Any]:
    def rows(request: Request, row: Row) -> Iterable[tuple[Row, Row | None]]:
        related = request.world.get(table, row.get(column) or 0)
        if related is not None:
            yield related, None

    return rows


def _group_of(request: Request, row: Row) -> Iterable[tuple[Row, Row | None]]:
    group = request.world.get("component_groups", row["component_group_id"] or 0)
    if group is not None and sees_level(request, group):
        yield group, None


def _members(request: Request, row: Row) -> Iterable[tuple[Row, Row | None]]:
    for component in request.world.where("components", component_group_id=row["id"]):
        if component["deleted_at"] is None:
            yield component, None


def _points_of(request: Request, row: Row) -> Iterable[tuple[Row, Row | None]]:
    for point in request.world.where("metric_points", metric_id=row["id"]):
        yield point, None


def _includes(*names: str) -> tuple[str, ...]:
    """Return the allowed includes: a plain relation brings its Count and Exists along."""
    allowed: list[str] = []
    for name in names:
        allowed += (
            [name.rstrip("!")]
            if "." in name or name.endswith("!")
            else [name, f"{name}Count", f"{name}Exists"]
        )
    return tuple(allowed)


_visible_first = lambda row: (row["visible"], row["id"])  # noqa: E731 SQLite reads these tables through an index

RESOURCES: dict[str, Resource] = {
    "incidents": Resource(
        table="incidents",
        type="incidents",
        model="Incident",
        print=print_incident,
        sees=sees_incident,
        base_order=_visible_first,
        default_sort="-created_at",
        sorts=("name", "status", "id", "created_at"),
        filters={
            "name": _partial("name"),
            "status": _exact("status"),
            "occurs_after": _occurred(lambda a, b: a >= b),
            "occurs_before": _occurred(lambda a, b: a <= b),
            "occurs_on": _occurred(lambda a, b: a == b),
            "meta": None,
        },
        relations=(
            Relation("components", "components", _linked("incident_components", "incident_id")),
            Relation("updates", "updates", _updates_of("incident")),
            Relation("user", "users", _one("users", "user_id"), one=True),
        ),
        includes=_includes("components", "components.group", "updates", "user", "meta"),
        meta_type="incident",
        versions=("incidents",),
    ),
    "components": Resource(
        table="components",
        type="components",
        model="Component",
        print=print_component,
        sees=sees_component,
        base_order=lambda row: (row["component_group_id"] is not None, row["component_group_id"], row["id"]),
        sorts=("name", "order", "id"),
        filters={
            "name": _partial("name"),
            "status": _exact("status"),
            "enabled": _exact("enabled"),
            "meta": None,
        },
        relations=(
            Relation("group", "component-groups", _group_of, one=True),
            Relation("incidents", "incidents", _linked("incident_components", "component_id", "incident_id")),
        ),
        includes=_includes("group", "incidents!", "meta"),
        meta_type="component",
        versions=("components", "component_groups"),
    ),
    "component-groups": Resource(
        table="component_groups",
        type="componentGroups",
        model="ComponentGroup",
        print=print_group,
        sees=sees_level,
        base_order=_visible_first,
        sorts=("name", "id"),
        filters={"meta": None},
        relations=(Relation("components", "components", _members),),
        includes=_includes("components!", "meta"),
        meta_type="component_group",
        versions=("component_groups",),
    ),
    "incident-templates": Resource(
        table="incident_templates",
        type="incidentTemplates",
        model="IncidentTemplate",
        print=print_template,
        sees=not_deleted,
        sorts=("name", "slug", "id"),
        filters={"name": _partial("name"), "slug": _partial("slug")},
        versions=("incident_templates",),
    ),
    "metrics": Resource(
        table="metrics",
        type="metrics",
        model="Metric",
        print=print_metric,
        sees=sees_level,
        base_order=_visible_first,
        default_sort="-created_at",
        sorts=("name", "order", "id"),
        filters={"name": _partial("name"), "calc_type": _exact("calc_type")},
        relations=(Relation("points", "points", _points_of),),
        includes=_includes("points"),
        versions=("metrics",),
    ),
    "points": Resource(
        table="metric_points",
        type="metricPoints",
        model="MetricPoint",
        print=print_point,
        sees=not_deleted,
        sorts=("id", "value", "created_at"),
        versions=("metric_points",),
    ),
    "schedules": Resource(
        table="schedules",
        type="schedules",
        model="Schedule",
        print=print_schedule,
        sees=sees_schedule,
        sorts=("name", "id", "scheduled_at", "completed_at"),
        filters={"name": _partial("name"), "status": _schedule_has_status, "meta": None},
        relations=(
            Relation("components", "components", _linked("schedule_components", "schedule_id")),
            Relation("updates", "updates", _updates_of("schedule")),
        ),
        includes=_includes("components", "components.group", "updates", "user", "meta"),
        meta_type="schedule",
        versions=("schedules",),
    ),
    "subscribers": Resource(
        table="subscribers",
        type="subscribers",
        model="Subscriber",
        print=print_subscriber,
        sees=not_deleted,
        sorts=("email", "id"),
        filters={"email": _partial("email"), "global": _exact("global"), "meta": None},
        relations=(Relation("components", "components", _linked("subscriptions", "subscriber_id")),),
        includes=_includes("components", "meta"),
        meta_type="subscriber",
        versions=("subscribers",),
    ),
    "updates": Resource(
        table="updates",
        type="updates",
        model="Update",
        print=print_update,
        sees=not_deleted,
        sorts=("status", "created_at"),
        versions=("updates",),
    ),
    "users": Resource(
        table="users", type="users", model="User", print=print_user, sees=not_deleted, versions=("users",)
    ),
}
SCHEDULE_UPDATE_SORTS = ("created_at",)
