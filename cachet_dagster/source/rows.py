"""A document of Cachet 3's API → flat, typed rows, the same for a page of a list and for a single answer.

`{human, value}` becomes the value and its label, `{human, string}` a UTC timestamp named `<name>_at`;
the relative human text of a time is dropped, since it changes at every request. What is included for a
row (its updates, its links to components) comes with the page, so it costs no request of its own. One
thing a page cannot tell: `included` is de-duplicated by type and id, so a component's status within an
incident is right only for the first incident on the page that names it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from .errors import NotCachet
from .settings import Emails
from .tables import CALC_TYPE, TABLES, Table

Row = dict[str, Any]

_DROPPED = re.compile(r"pivot|updateable_(id|type)|\w+_(count|exists)")
_INT64 = range(-(2**63), 2**63)
_EPOCH_SECONDS = range(-62_135_596_800, 253_402_300_800)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class RowContext:
    """What reading a value takes beside the value.

    Attributes:
        zone: Zone in which the answer's times are printed.
        emails: What becomes of personal addresses.
        at: When the server says that it gave the answer.
        endpoint: Whom an error concerns.
        server_zone: The server's own zone, in which Cachet 2 prints some times all the same.
    """

    zone: ZoneInfo
    emails: Emails
    at: datetime
    endpoint: str
    server_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


@dataclass(frozen=True)
class Shape:
    """Which tables the documents of an endpoint fill.

    Attributes:
        table: Table of the rows themselves.
        parent: Name of a row in its children's columns, as in `<parent>_id`.
        updates: Table of their updates, if they have any.
        links: Table of their links to components, if they have any.
        final_status: Status after which a row is not expected to change, if it has one.
    """

    table: str
    parent: str = ""
    updates: str = ""
    links: str = ""
    final_status: int | None = None


@dataclass
class Parsed:
    """Rows by table; the status in an `uncertain` row's links is right only if it is asked for by id."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)


def merged(pages: Iterable[Parsed], shape: Shape) -> Parsed:
    """Return the rows of several pages, each row once, with its children from the page that tells them best."""
    chosen: dict[int, Parsed] = {}
    for page in pages:
        for row in page.rows[shape.table]:
            before = chosen.get(row["id"])
            if before is None or (row["id"] in before.uncertain and row["id"] not in page.uncertain):
                chosen[row["id"]] = page
    whole = Parsed({table: [] for table in (shape.table, shape.updates, shape.links) if table})
    for page in {id(page): page for page in chosen.values()}.values():
        for table, rows in page.rows.items():
            key = "id" if table == shape.table else f"{shape.parent}_id"
            whole.rows[table].extend(row for row in rows if chosen[row[key]] is page)
        whole.uncertain.update(number for number in page.uncertain if chosen[number] is page)
    for table, rows in whole.rows.items():
        rows.sort(key=lambda row, key=TABLES[table].key: tuple(row[column] for column in key))
    return whole


def parse(document: Any, shape: Shape, context: RowContext) -> Parsed:
    """Return the rows of a page or of a single answer.

    Raises:
        NotCachet: The document is not one of Cachet's API, or a row has no usable id.
    """
    resources = data_of(document, context.endpoint)
    included = _included(document)
    parsed = Parsed({table: [] for table in (shape.table, shape.updates, shape.links) if table})
    seen: set[Any] = set()
    for resource in resources if isinstance(resources, list) else [resources]:
        row = flatten(resource, context)
        parsed.rows[shape.table].append(row)
        if shape.updates:
            for update in _related(resource, "updates", included):
                child = flatten(update, context)
                parsed.rows[shape.updates].append({**child, f"{shape.parent}_id": row["id"]})
        if shape.links:
            components = _related(resource, "components", included)
            keys = [component.get("id") for component in components]
            if "component_status" in {c.name for c in TABLES[shape.links].columns} and seen.intersection(
                keys
            ):
                parsed.uncertain.add(row["id"])
            seen.update(keys)
            parsed.rows[shape.links].extend(
                _link(component, f"{shape.parent}_id", row["id"], context) for component in components
            )
    return parsed


def observation(document: Any, shape: Shape, context: RowContext) -> Parsed:
    """Return the one row of an answer that is no list and has no id, such as `version`."""
    data = data_of(document, context.endpoint)
    return Parsed({shape.table: [{name: storable(value) for name, value in data.items()}]})


def data_of(document: Any, endpoint: str) -> Any:
    """Return what stands under `data`, a list or one object. Raises NotCachet where there is none."""
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, (list, dict)):
        raise NotCachet(
            "the answer has no `data`, as Cachet's answers have",
            "Check that CACHET_BASE_URL is the status page's address.",
            endpoint,
        )
    return data


def flatten(resource: Any, context: RowContext) -> Row:
    """Return one JSON:API resource as one flat row, its id as an integer, attributes nobody foresaw included."""
    attributes = resource.get("attributes") if isinstance(resource, dict) else None
    if not isinstance(attributes, dict):
        raise NotCachet("a row has no `attributes`, as Cachet's rows have", "", context.endpoint)
    row: Row = {"id": row_id(resource, context.endpoint)}
    for name, value in attributes.items():
        if name != "id" and not _DROPPED.fullmatch(name):
            row.update(_columns(name, value, context))
    for name, relation in (resource.get("relationships") or {}).items():
        data = relation.get("data") if isinstance(relation, dict) else None
        if not isinstance(data, list):
            row["component_group_id" if name == "group" else f"{name}_id"] = (
                row_id(data, context.endpoint) if data else None
            )
    if "email" in row:
        row["email"] = personal(row["email"], context.emails)
    return row


def row_id(resource: Any, endpoint: str) -> int:
    """Return a resource's id as an integer. Raises NotCachet where it is none, so that nothing loads askew."""
    try:
        number = int(resource["id"])
    except (KeyError, TypeError, ValueError):
        number = None
    if number is None or number not in _INT64:
        raise NotCachet("a row has no whole number as its id", "", endpoint)
    return number


def timestamp(text: Any, zone: ZoneInfo) -> Any:
    """Return a server's local time as UTC, an ambiguous hour read as the first; other values as they are."""
    if not isinstance(text, str):
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    try:
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(timezone.utc)
    except OverflowError:
        return text


def storable(value: Any) -> Any:
    """Return a value that every database can hold: no NUL, no lone surrogate, no integer beyond 64 bits."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64:
        return str(value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


def _columns(name: str, value: Any, context: RowContext) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict) and value.keys() == {"human", "value"}:
        yield name, storable(value["value"])
        yield f"{name}_label", storable(value["human"])
    elif isinstance(value, dict) and value.keys() == {"human", "string"}:
        yield (
            (name if name.endswith("_at") else f"{name}_at"),
            timestamp(storable(value["string"]), context.zone),
        )
    elif name == "calc_type":
        # The only enumeration that Cachet 3 prints without its words.
        yield name, storable(value)
        yield f"{name}_label", CALC_TYPE.get(value) if isinstance(value, int) else None
    elif name == "meta":
        # PHP prints an empty object as an empty list.
        yield name, storable(value) or {}
    else:
        yield name, storable(value)


def _included(document: Any) -> dict[tuple[Any, Any], Any]:
    included = document.get("included") or [] if isinstance(document, dict) else []
    return {(item.get("type"), item.get("id")): item for item in included if isinstance(item, dict)}


def _related(resource: Mapping[str, Any], name: str, included: Mapping[tuple[Any, Any], Any]) -> list[Any]:
    """Return the resources that a relation names, each once, with what is included of them."""
    relation = (resource.get("relationships") or {}).get(name) or {}
    references = {(item.get("type"), item.get("id")): item for item in relation.get("data") or []}
    return [included.get(key, reference) for key, reference in references.items()]


def _link(component: Any, parent: str, parent_id: int, context: RowContext) -> Row:
    attributes = component.get("attributes") or {}
    row: Row = {
        parent: parent_id,
        "component_id": row_id(component, context.endpoint),
        "component_name": storable(attributes.get("name")),
    }
    pivot = attributes.get("pivot")
    if isinstance(pivot, dict) and "component_status" in pivot:
        status = pivot["component_status"]
        if isinstance(status, dict):
            row.update(_columns("component_status", status, context))
        else:
            row.update({"component_status": status, "component_status_label": None})
    return row


def fitted(row: Row, table: Table) -> Row:
    """Return a row whose numbers fit their columns; one that does not stands as text in `<column>__v_text`.

    There dlt puts values of another type, too. A number beyond the column's range would pass it and then end
    the whole load, the other tables' included.
    """
    odd = [column.name for column in table.columns if _beyond(row.get(column.name), column.data_type)]
    if not odd:
        return row
    return {
        f"{name}__v_text" if name in odd else name: str(value) if name in odd else value
        for name, value in row.items()
    }


def _beyond(value: Any, data_type: str) -> bool:
    if value is None or (type(value) is int and data_type == "bigint"):
        return False
    if data_type == "timestamp":
        return isinstance(value, (int, float)) and value not in _EPOCH_SECONDS
    try:
        return data_type == "bigint" and int(value) not in _INT64
    except (ValueError, TypeError, OverflowError):
        return False


def personal(address: Any, emails: Emails) -> Any:
    """Return an address as the setting for personal data has it: itself, its SHA-256, or nothing."""
    if emails == "keep" or not isinstance(address, str):
        return address
    return hashlib.sha256(address.strip().lower().encode()).hexdigest() if emails == "hash" else None
