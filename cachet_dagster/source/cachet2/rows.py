"""A document of Cachet 2's API → the rows that Cachet 3's gives: the same tables, columns, types and meaning.

Codes and words go through one table, `TRANSLATED`, and the original stays in `<name>_source`. Cachet 2
prints a null time as the current one, so a time within moments of the answer's own `Date` is read as a null.
What it works out at the request, or says in the server's language, is dropped (`_DROPPED` lists it all).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from cachet_dagster.source.listing import Parsed, Shape
from cachet_dagster.source.rows import Row, RowContext, data_of, personal, row_id, storable, timestamp
from cachet_dagster.source.tables import TABLES

_COMPONENT = {0: 5, 1: 1, 2: 2, 3: 3, 4: 4}
_INCIDENT = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}

TRANSLATED: Mapping[str, Mapping[str, Mapping[Any, Any]]] = {
    "components": {"status": _COMPONENT},
    "incidents": {"status": _INCIDENT},
    "incident_updates": {"status": _INCIDENT},
    "schedules": {"status": {0: 0, 1: 1, 2: 2}},
    "schedule_components": {"component_status": _COMPONENT},
    "system_status": {
        "status": {"success": "operational", "info": "partial_outage", "danger": "major_outage"}
    },
}
"""Table → column → Cachet 2's code or word → Cachet 3's; one that is not here becomes null. Other codes
(`visible`, `collapsed`, `calc_type`) mean the same in both."""

# Not stored: secrets; what Cachet 2 works out from rows that are loaded anyway, or from the present time;
# texts in the server's language; what becomes rows of its own; and deleted_at, as deleted rows are left out.
_DROPPED = re.compile(
    r"verify_code|slack_webhook_url"
    r"|is_resolved|latest_\w+|duration|enabled_components(_lowest)?"
    r"|human_\w+|lowest_human_status|status_name|default_view_name"
    r"|updates|components|subscriptions|deleted_at"
)

# PHP prints a row's "now" before the web server dates the answer, and its clock may be another's.
_BEFORE = timedelta(seconds=30)
_AFTER = timedelta(seconds=5)

_DECLARED = {name: {column.name: column for column in table.columns} for name, table in TABLES.items()}

_NEVER_NULL = ("created_at", "updated_at")
_PERSONAL = ("email", "phone_number")
_DAY = re.compile(r"\S+ (?P<day>\d{1,2})\D{0,3} (?P<month>\S+) (?P<year>\d{4}) (?P<time>\d\d:\d\d:\d\d)")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def parse(document: Any, shape: Shape, context: RowContext) -> Parsed:
    """Return the rows of a page or of a single answer; deleted rows, which only templates show, are left out.

    Links carry no names here: Cachet 2 gives only ids.

    Raises:
        NotCachet: The document is not one of Cachet's API, or a row has no usable id.
    """
    data = data_of(document, context.endpoint)
    parsed = Parsed({table: [] for table in (shape.table, shape.updates, shape.links) if table})
    for resource in data if isinstance(data, list) else [data]:
        row = flatten(resource, shape.table, context)
        if resource.get("deleted_at"):
            continue
        parent = {f"{shape.parent}_id": row["id"]}
        parsed.rows[shape.table].append(row)
        if shape.updates:
            updates = resource.get("updates") or []
            parsed.rows[shape.updates] += [
                {**flatten(update, shape.updates, context), **parent} for update in updates
            ]
        if shape.links:
            parsed.rows[shape.links] += [{**parent, **link} for link in _links(resource, shape, context)]
    return parsed


def observation(document: Any, shape: Shape, context: RowContext) -> Parsed:
    """Return the one row of `version`, whose data is a text, or of `status`."""
    data = document.get("data") if isinstance(document, dict) else None
    if isinstance(data, str):
        data = {"version": data}
    if not isinstance(data, dict):
        data = data_of({"data": None}, context.endpoint)
    return Parsed({shape.table: [_columns(data, shape.table, context)]})


def flatten(resource: Any, table: str, context: RowContext) -> Row:
    """Return one object as one row of a table, attributes nobody foresaw included."""
    return {"id": row_id(resource, context.endpoint), **_columns(resource, table, context)}


def _columns(resource: Mapping[str, Any], table: str, context: RowContext) -> Row:
    declared = _DECLARED[table]
    row: Row = {}
    for name, value in resource.items():
        if name != "id" and not _DROPPED.fullmatch(name):
            row.update(_column(name, value, table, context))
    if table == "components" and "status" in row:
        # In Cachet 2 an incident sets its component's status: there is no other one to show.
        row["latest_status"], row["latest_status_label"] = row["status"], row["status_label"]
    # dlt warns of a column that is not declared and holds nulls only.
    return {name: value for name, value in row.items() if value is not None or name in declared}


def _column(name: str, value: Any, table: str, context: RowContext) -> Iterable[tuple[str, Any]]:
    value = storable(value)
    if translation := TRANSLATED.get(table, {}).get(name):
        code = translation.get(value) if isinstance(value, (int, str)) else None
        yield name, code
        if labels := _DECLARED[table][name].codes:
            yield f"{name}_label", None if code is None else labels.get(code)
        yield f"{name}_source", value
    elif name == "calc_type":
        yield name, value
        yield f"{name}_label", (_DECLARED[table][name].codes or {}).get(value)
    elif name == "group_id":
        # 0 is nothing, here and in an incident's component_id, which becomes a link.
        yield "component_group_id", value or None
    elif name == "component_id" and table == "incidents":
        return
    elif name in ("meta", "tags"):
        # PHP prints an empty object as an empty list.
        yield name, value or {}
    elif name == "verified_at":
        yield from _verified(value, context)
    elif name.endswith("_at"):
        yield name, _moment(name, value, table, context)
    elif name in _PERSONAL:
        yield name, personal(value, context)
    else:
        yield name, _typed(name, value, table)


def _moment(name: str, value: Any, table: str, context: RowContext) -> Any:
    """Return a time as UTC, the current time as a null; a template's are in the server's own zone."""
    at = timestamp(value, context.server_zone if table == "incident_templates" else context.zone)
    if isinstance(at, datetime) and name not in _NEVER_NULL and _is_now(at, context):
        return None
    return at


def _is_now(at: datetime, context: RowContext) -> bool:
    return -_BEFORE <= at - context.at <= _AFTER


def _verified(text: Any, context: RowContext) -> Iterable[tuple[str, Any]]:
    """Yield whether a subscriber is verified, and since when, of "Monday 4th May 2026 00:00:00".

    Cachet 2 tells the day only: the time is its first moment in the server's zone. Month and weekday are in
    the server's language. The digits alone tell a null, which is printed as the current time; where the
    month is not English the subscriber is verified at an unknown time.
    """
    found = _DAY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        at = timestamp(text, context.zone)
        known = at if isinstance(at, datetime) and not _is_now(at, context) else None
        yield "verified", known is not None if isinstance(at, datetime) or text is None else None
        yield "verified_at", known
        return
    now = context.at.astimezone(context.zone)
    months = {(now - _BEFORE).month, (now + _AFTER).month}
    never = any(at and _is_now(at, context) for at in (_day(found, month, context) for month in months))
    yield "verified", not never
    month = _MONTHS.index(found["month"]) + 1 if found["month"] in _MONTHS else None
    yield "verified_at", _day(found, month, context) if month and not never else None


def _day(found: re.Match[str], month: int, context: RowContext) -> datetime | None:
    at = timestamp(f"{found['year']}-{month:02d}-{int(found['day']):02d} {found['time']}", context.zone)
    return at if isinstance(at, datetime) else None


def _typed(name: str, value: Any, table: str) -> Any:
    """Return a value in the declared type of its column: 2.x gives some flags as numbers, others as bools."""
    column = _DECLARED[table].get(name)
    declared = column.data_type if column else ""
    if declared == "bigint" and isinstance(value, bool):
        return int(value)
    if declared == "bool" and isinstance(value, int):
        return bool(value)
    if declared == "double" and isinstance(value, int):
        return float(value)
    return value


def _links(resource: Mapping[str, Any], shape: Shape, context: RowContext) -> Iterable[Row]:
    """Yield a row's links to components, each once: an incident has one at most, and no status of its own."""
    if shape.table == "incidents":
        if resource.get("component_id"):
            yield {
                "component_id": row_id({"id": resource["component_id"]}, context.endpoint),
                "component_name": None,
                "component_status": None,
                "component_status_label": None,
            }
        return
    found = resource.get("components" if shape.table == "schedules" else "subscriptions") or []
    for link in {link.get("component_id"): link for link in found}.values():
        row = {
            "component_id": row_id({"id": link.get("component_id")}, context.endpoint),
            "component_name": None,
        }
        if "component_status" in link:
            row.update(_column("component_status", link["component_status"], shape.links, context))
        yield row
