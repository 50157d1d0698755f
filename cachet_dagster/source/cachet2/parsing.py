"""A document of Cachet 2's API → the rows that Cachet 3's gives: the same tables, columns, types and meaning.

Codes and words go through one table, `TRANSLATED`, and the original stays in `<name>_source`. Cachet 2
prints a null time as the current one, so a time within moments of the answer's own `Date` is read as a null, which
`ambiguous_times.py` may still resolve to a time; but not where Cachet's own tables allow no null.
What it works out at the request, or says in the server's language, is dropped (`_DROPPED` lists it all).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from cachet_dagster.source.listing import AmbiguousTime, Parsed, TableMapping
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

_NEVER_NULL = {("schedules", "scheduled_at")} | {
    (name, at) for name in TABLES for at in ("created_at", "updated_at")
}
_PERSONAL = ("email", "phone_number")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d+)?")
_CLOCK = re.compile(r"(?<!\d)\d{1,2}:\d\d:\d\d(?!\d)")
_DAY = re.compile(r"\S+ (?P<day>\d{1,2})\D{0,3} (?P<month>\S+) (?P<year>\d{4}) (?P<time>\d\d:\d\d:\d\d)")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def parse(document: Any, mapping: TableMapping, context: RowContext) -> Parsed:
    """Return the rows of a page or of a single answer; deleted rows, which only templates show, are left out.

    Links carry no names here: Cachet 2 gives only ids.

    Raises:
        NotCachet: The document is not one of Cachet's API, or a row has no usable id.
    """
    data = data_of(document, context.endpoint)
    parsed = Parsed({table: [] for table in (mapping.table, mapping.updates, mapping.links) if table})
    for resource in data if isinstance(data, list) else [data]:
        row = flatten(resource, mapping.table, context)
        if resource.get("deleted_at"):
            continue
        parent = {f"{mapping.parent}_id": row["id"]}
        parsed.rows[mapping.table].append(row)
        if ambiguous := [*_ambiguous(resource, mapping.table, context)]:
            parsed.ambiguous[row["id"]] = ambiguous
        if mapping.updates:
            updates = resource.get("updates") or []
            parsed.rows[mapping.updates] += [
                {**flatten(update, mapping.updates, context), **parent} for update in updates
            ]
        if mapping.links:
            parsed.rows[mapping.links] += [{**parent, **link} for link in _links(resource, mapping, context)]
    return parsed


def observation(document: Any, mapping: TableMapping, context: RowContext) -> Parsed:
    """Return the one row of `version`, whose data is a text, or of `status`."""
    data = document.get("data") if isinstance(document, dict) else None
    if isinstance(data, str):
        data = {"version": data}
    if not isinstance(data, dict):
        data = data_of({"data": None}, context.endpoint)
    return Parsed({mapping.table: [_columns(data, mapping.table, context)]})


def flatten(resource: Any, table: str, context: RowContext) -> Row:
    """Return one object as one row of a table, attributes nobody foresaw included."""
    return {"id": row_id(resource, context.endpoint), **_columns(resource, table, context)}


def _columns(resource: Mapping[str, Any], table: str, context: RowContext) -> Row:
    row: Row = {}
    for name, value in resource.items():
        if name != "id" and not _DROPPED.fullmatch(name):
            row.update(_column(name, value, table, context))
    if table == "components" and "status" in row:
        # In Cachet 2 an incident sets its component's status: there is no other one to show.
        row["latest_status"], row["latest_status_label"] = row["status"], row["status_label"]
    return row


def _column(name: str, value: Any, table: str, context: RowContext) -> Iterable[tuple[str, Any]]:
    value = _typed("component_group_id" if name == "group_id" else name, storable(value), table)
    if translation := TRANSLATED.get(table, {}).get(name):
        code = translation.get(value) if isinstance(value, (int, str)) else None
        yield name, code
        if labels := _DECLARED[table][name].codes:
            yield f"{name}_label", None if code is None else labels.get(code)
        yield f"{name}_source", value
    elif name == "calc_type" and name in _DECLARED[table]:
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
        verified, at = _verified(value, context)
        null = verified and _verified_now(value, at, context)
        yield "verified", False if null else verified
        yield "verified_at", None if null else at
    elif name.endswith("_at"):
        yield name, _moment(name, value, table, context)
    elif name in _PERSONAL:
        yield name, personal(value, context)
    else:
        yield name, value


def _ambiguous(resource: Mapping[str, Any], table: str, context: RowContext) -> Iterable[AmbiguousTime]:
    """Yield the times of a row that may stand for a null, and were read as one."""
    for name, value in resource.items():
        if not (name.endswith("_at") and isinstance(value, str)) or _DROPPED.fullmatch(name):
            continue
        if name == "verified_at":
            verified, at = _verified(value, context)
            if verified and _verified_now(value, at, context):
                yield AmbiguousTime(name, value, context.at, {"verified": True, "verified_at": at})
        elif _moment(name, value, table, context) is None:
            yield AmbiguousTime(name, value, context.at, {name: _time(value, table, context)})


def _moment(name: str, value: Any, table: str, context: RowContext) -> Any:
    """Return a time as UTC, the current time as a null."""
    at = _time(value, table, context)
    if isinstance(at, datetime) and (table, name) not in _NEVER_NULL and _is_now(at, context):
        return None
    return at


def _time(value: Any, table: str, context: RowContext) -> Any:
    """Return a time as UTC; a template's is printed as it is stored, in the server's own zone."""
    if table != "incident_templates":
        return timestamp(value, context.zone)
    at = timestamp(value, context.server_zone)
    if isinstance(at, datetime):
        local = at.astimezone(context.server_zone)
        if (local.utcoffset() or timedelta(0)) > timedelta(0):
            # As the server's PHP reads all other times: an ambiguous hour is the second one east of Greenwich.
            at = local.replace(fold=1).astimezone(at.tzinfo)
    return at


def _is_now(at: datetime, context: RowContext) -> bool:
    return -_BEFORE <= at - context.at <= _AFTER


def _verified(text: Any, context: RowContext) -> tuple[bool | None, datetime | None]:
    """Return whether a subscriber is verified, if no null is printed, and since when, as far as the text tells.

    Cachet 2 prints it in the page's language and date format, "Monday 4th May 2026 00:00:00" as it comes, with
    the day's first moment as its time. A text without a time of day is the same for a null: unless it is
    another day's, nothing is known.
    """
    if not isinstance(text, str):
        return (False if text is None else None), None
    found = _DAY.fullmatch(text)
    at = timestamp(text, context.zone)
    if found and found["month"] in _MONTHS:
        at = _day(found, _MONTHS.index(found["month"]) + 1, context)
    known = at if isinstance(at, datetime) else None
    if _CLOCK.search(text):
        return True, known
    other = known is not None and abs(known - context.at) > timedelta(days=2)
    return (True, known) if other else (None, None)


def _verified_now(text: str, at: datetime | None, context: RowContext) -> bool:
    """Return whether a text that has a time of day may be the current time, by that alone if its day is not known.

    The hours of a page's date format may go to twelve, whether or not it says which half of the day is meant.
    """
    clock = _CLOCK.search(text)
    if clock is None:
        return False
    hours, minutes, seconds = map(int, clock[0].split(":"))
    half_days = 1 <= hours <= 12
    if at is not None:
        half = timedelta(hours=12)
        return any(
            _is_now(moment, context) for moment in ((at, at - half, at + half) if half_days else (at,))
        )
    now = context.at.astimezone(context.zone)
    apart = (hours - now.hour) * 3600 + (minutes - now.minute) * 60 + seconds - now.second
    # Across midnight too.
    period = 43_200 if half_days else 86_400
    apart = (apart + period // 2) % period - period // 2
    return -_BEFORE.total_seconds() <= apart <= _AFTER.total_seconds()


def _day(found: re.Match[str], month: int, context: RowContext) -> datetime | None:
    at = timestamp(f"{found['year']}-{month:02d}-{int(found['day']):02d} {found['time']}", context.zone)
    return at if isinstance(at, datetime) else None


def _typed(name: str, value: Any, table: str) -> Any:
    """Return a value in the declared type of its column.

    2.x gives some flags as numbers and others as bools, and on old servers numbers as texts.
    """
    column = _DECLARED[table].get(name)
    declared = column.data_type if column else ""
    if declared in ("bigint", "bool", "double") and isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
        value = number if declared == "double" else int(number) if "." in value else int(value)
    if declared == "bigint" and isinstance(value, bool):
        return int(value)
    if declared == "bool" and isinstance(value, int):
        return bool(value)
    if declared == "double" and isinstance(value, int):
        return float(value)
    return value


def _links(resource: Mapping[str, Any], mapping: TableMapping, context: RowContext) -> Iterable[Row]:
    """Yield a row's links to components, each once: an incident has one at most, and no status of its own."""
    if mapping.table == "incidents":
        component_id = row_id({"id": resource.get("component_id") or 0}, context.endpoint)
        if component_id:
            yield {
                "component_id": component_id,
                "component_name": None,
                "component_status": None,
                "component_status_label": None,
            }
        return
    found = resource.get("components" if mapping.table == "schedules" else "subscriptions") or []
    for link in {link.get("component_id"): link for link in found}.values():
        row = {
            "component_id": row_id({"id": link.get("component_id")}, context.endpoint),
            "component_name": None,
        }
        if "component_status" in link:
            row.update(_column("component_status", link["component_status"], mapping.links, context))
        yield row
