"""Cachet 3's JSON:API documents: from a query and a resource to a page, or to one row with what it includes.

The decision that shapes it: sorted lists of visible rows are kept until something changes, so that reading a
list to its end costs a slice per page, as it would on a database with an index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

import orjson

from .cachet3_resources import RESOURCES, SCHEDULE_UPDATE_SORTS, Predicate, Resource
from .cachet3_rows import COMPONENT_STATUS, Request, label
from .world import Row, World


class Refusal(Exception):
    """An answer that is an error: its status, message and headers."""

    def __init__(self, status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = list(headers)


# The query: includes, filters, sorts, fields, page.


def parse_query(raw: bytes) -> dict[str, Any]:
    """Read a query as PHP does: `a[b][c]=1` nests, a repeated name is the last one's."""
    query: dict[str, Any] = {}
    for name, value in parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True):
        parts = re.findall(r"\[([^\]]*)\]", name)
        head = name.split("[", 1)[0]
        if not parts:
            query[head] = value
            continue
        place = query
        for part in [head, *parts[:-1]]:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = place[part] = {}
            place = inner
        last = parts[-1]
        place[last if last else str(len(place))] = value
    return query


def _read_includes(resource: Resource, query: Mapping[str, Any]) -> list[str]:
    value = query.get("include")
    if not resource.includes or not value:
        return []
    if not isinstance(value, str):
        raise Refusal(400, "The include parameter must be a comma seperated list of relationship paths.")
    wanted = list(dict.fromkeys(part for part in value.split(",") if part))
    unknown = [name for name in wanted if name not in resource.includes]
    if unknown:
        raise Refusal(
            400,
            f"Requested include(s) `{', '.join(unknown)}` are not allowed. "
            f"Allowed include(s) are `{', '.join(resource.includes)}`.",
        )
    if resource.table == "schedules" and "user" in wanted:
        raise Refusal(
            500, "Server Error"
        )  # a bug of the real server, which looks for a column that is not there
    return wanted


def _read_filters(resource: Resource, request: Request) -> list[Predicate]:
    given = request.query.get("filter")
    if resource.filters is None:
        return []
    if not isinstance(given, dict):
        given = {}
    unknown = [name for name in given if name not in resource.filters]
    if unknown:
        raise Refusal(
            400,
            f"Requested filter(s) `{', '.join(unknown)}` are not allowed. "
            f"Allowed filter(s) are `{', '.join(resource.filters)}`.",
        )
    predicates: list[Predicate] = []
    if resource.table == "components" and "enabled" not in given:
        predicates.append(lambda _, row: bool(row["enabled"]))
    for name, value in given.items():
        build = resource.filters[name]
        if build is None:
            nested = value if isinstance(value, dict) else {}
            predicates += [_has_meta(resource, key, str(wanted)) for key, wanted in nested.items()]
        elif isinstance(value, str) and value != "":
            predicates.append(build(value.split(",")))
    return predicates


def _has_meta(resource: Resource, key: str, wanted: str) -> Predicate:
    def has(request: Request, row: Row) -> bool:
        value = meta_of(request.world, resource, row)
        return isinstance(value, dict) and key in value and str(value[key]) in wanted.split(",")

    return has


def _read_sorts(allowed: Sequence[str], default: str, query: Mapping[str, Any]) -> list[tuple[str, bool]]:
    value = query.get("sort")
    if isinstance(value, dict):
        value = ",".join(str(part) for part in value.values())
    names = [part for part in (value or "").split(",") if part] or ([default] if default else [])
    wanted = [(name.lstrip("-"), name.startswith("-")) for name in names]
    if value:
        unknown = [name for name, _ in wanted if name not in allowed]
        if unknown:
            raise Refusal(
                400,
                f"Requested sort(s) `{', '.join(unknown)}` is not allowed. "
                f"Allowed sort(s) are `{', '.join(allowed)}`.",
            )
    return wanted


def _read_fields(
    resource: Resource, includes: Sequence[str], query: Mapping[str, Any]
) -> dict[str, set[str]]:
    given = query.get("fields")
    if not isinstance(given, dict):
        return {}
    fields = {name: set(str(value).split(",")) for name, value in given.items()}
    for relation in includes:
        if relation in fields:
            raise Refusal(
                400,
                f"Requested field(s) `{', '.join(sorted(fields[relation]))}` are not allowed (yet). If you want to "
                "allow these fields, please make sure to call the QueryBuilder's `allowedFields` method before the "
                "`allowedIncludes` method.",
            )
    return fields


def _integer(value: Any) -> int:
    """Read a number as PHP's cast does: leading digits, else 0."""
    match = re.match(r"\s*[+-]?\d+", value) if isinstance(value, str) else None
    return int(match.group()) if match else 0


def _page_number(value: Any) -> int:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"[1-9]\d*", value) else 1
    return number if number < 2**63 else 1


def _sorted(rows: list[Row], sorts: Sequence[tuple[str, bool]]) -> list[Row]:
    # Stable sorts from the last key to the first; SQLite puts nulls first when ascending.
    for column, descending in reversed(sorts):
        if descending:
            rows = sorted(rows, key=lambda row: (row[column] is None, _reverse(row[column])), reverse=False)
        else:
            rows = sorted(rows, key=lambda row: (row[column] is not None, row[column]))
    return rows


class _Reverse:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Reverse) -> bool:
        return other.value < self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reverse) and other.value == self.value


def _reverse(value: Any) -> Any:
    return -value if isinstance(value, int | float) else _Reverse(value)


# Documents.


def meta_of(world: World, resource: Resource, row: Row) -> Any:
    """Return a row's meta as an object, or [] when it has none."""
    rows = world.where("meta", meta_type=resource.meta_type, meta_id=row["id"])
    return {item["key"]: orjson.loads(item["value"]) for item in rows} or []


def _document(
    request: Request,
    resource: Resource,
    row: Row,
    includes: Sequence[str],
    fields: Mapping[str, set[str]],
    included: dict[tuple[str, int], Row],
    link: Row | None = None,
) -> Row:
    """Print a row, and put what it includes into `included`, where the first of a type and id stays.

    The real server does the same, which is why a component on a list page carries the pivot of the first
    incident that it belongs to.
    """
    extra: Row = {}
    if "meta" in includes and resource.meta_type:
        extra["meta"] = meta_of(request.world, resource, row)
    if "componentsCount" in includes and resource.table == "incidents":
        extra["components_count"] = sum(1 for _ in resource.relations[0].rows(request, row))
    attributes = resource.print(request, row, extra)
    if link is not None and resource.table == "components" and link.get("component_status") is not None:
        attributes["pivot"] = {"component_status": label(link["component_status"], COMPONENT_STATUS)}
    if resource.type in fields:
        attributes = {name: value for name, value in attributes.items() if name in fields[resource.type]}
    document: Row = {"id": str(row["id"]), "type": resource.type}
    if attributes:
        document["attributes"] = attributes
    relationships: Row = {}
    for relation in resource.relations:
        nested = [name.split(".", 1)[1] for name in includes if name.startswith(f"{relation.name}.")]
        if relation.name not in includes and not nested:
            continue
        target = RESOURCES[relation.resource]
        references = []
        deeper: dict[tuple[str, int], Row] = {}
        for related, its_link in relation.rows(request, row):
            references.append({"type": target.type, "id": str(related["id"])})
            key = (target.type, related["id"])
            printed = _document(request, target, related, nested, fields, deeper, its_link)
            included.setdefault(key, printed)
        for key, printed in deeper.items():
            included.setdefault(key, printed)
        relationships[relation.name] = {
            "data": (references[0] if references else None) if relation.one else references
        }
    if relationships:
        document["relationships"] = relationships
    return document


def single_document(request: Request, resource: Resource, row: Row) -> Row:
    """Answer with one row."""
    includes = _read_includes(resource, request.query)
    fields = _read_fields(resource, includes, request.query)
    included: dict[tuple[str, int], Row] = {}
    body: Row = {"data": _document(request, resource, row, includes, fields, included)}
    if included:
        body["included"] = list(included.values())
    return body


@dataclass(frozen=True)
class _View:
    """Rows in order, right for these versions of the tables from `since` until an embargo ends."""

    rows: list[Row]
    versions: tuple[int, ...]
    since: str
    until: str


class Views:
    """Sorted lists of visible rows, kept until a row changes or an embargo ends, so that paging is slicing."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[World, dict[Any, _View]] = WeakKeyDictionary()

    def get(self, request: Request, resource: Resource, key: Any) -> list[Row] | None:
        """Return the rows kept under a key, if they are still right."""
        view = self._kept.get(request.world, {}).get((resource.table, request.caller, key))
        if view is None or view.versions != _versions(request, resource):
            return None
        return view.rows if view.since <= request.now_text < view.until else None

    def put(self, request: Request, resource: Resource, key: Any, rows: list[Row]) -> None:
        """Keep rows under a key."""
        embargoes = (
            row["published_at"]
            for row in request.world.take(resource.table)
            if row.get("published_at") and row["published_at"] > request.now_text
        )
        until = min(embargoes, default="9999")
        view = _View(rows, _versions(request, resource), request.now_text, until)
        views = self._kept.setdefault(request.world, {})
        if len(views) > 256:
            views.clear()
        views[resource.table, request.caller, key] = view


def _versions(request: Request, resource: Resource) -> tuple[int, ...]:
    return tuple(request.world.versions[name] for name in resource.versions)


def list_document(request: Request, resource: Resource, views: Views) -> Row:
    """Answer with a page of a list."""
    filters = _read_filters(resource, request)
    sorts = _read_sorts(resource.sorts, resource.default_sort, request.query)
    given = request.query.get("filter")
    # Filters on the state of a schedule depend on the time, so only plain lists are kept.
    plain = "all" if not given else "enabled" + given.get("enabled", "") if _only_enabled(given) else None
    key = (tuple(sorts), plain)
    rows = views.get(request, resource, key) if plain else None
    if rows is None:
        rows = [
            row
            for row in request.world.take(resource.table)
            if resource.sees(request, row) and all(allows(request, row) for allows in filters)
        ]
        if sorts[:1] not in ([("id", False)], [("id", True)]):
            rows.sort(key=lambda row: _orderable(resource.base_order(row)))
        rows = _sorted(rows, sorts)
        if plain:
            views.put(request, resource, key, rows)
    return _page(request, resource, rows)


def _orderable(key: Any) -> Any:
    return tuple(-1 if part is None else part for part in key) if isinstance(key, tuple) else key


def _only_enabled(given: Any) -> bool:
    return isinstance(given, dict) and set(given) == {"enabled"} and isinstance(given["enabled"], str)


def _page(
    request: Request, resource: Resource, rows: Sequence[Any], take: Callable[[Any], Row] = lambda r: r
) -> Row:
    """Cut a page out of rows (or of what `take` turns into rows)."""
    includes = _read_includes(resource, request.query)
    fields = _read_fields(resource, includes, request.query)
    per_page = request.query.get("per_page")
    size = 15 if per_page is None else min(max(_integer(per_page), 1), 100)
    number = _page_number(request.query.get("page"))
    begin = (number - 1) * size
    cut = rows[begin : begin + size]
    included: dict[tuple[str, int], Row] = {}
    data = [_document(request, resource, take(row), includes, fields, included) for row in cut]
    path = f"{request.origin}{request.path}"
    links = {"first": f"{path}?page=1"}
    if number > 1:
        links["prev"] = f"{path}?page={number - 1}"
    if len(rows) > begin + size:
        links["next"] = f"{path}?page={number + 1}"
    body: Row = {
        "data": data,
        "links": links,
        "meta": {
            "current_page": number,
            "current_page_url": f"{path}?page={number}",
            "from": begin + 1 if data else None,
            "path": path,
            "per_page": size,
            "to": begin + len(data) if data else None,
        },
    }
    if included:
        body["included"] = list(included.values())
    return body


def find(request: Request, resource: Resource, row_id: str, *, seen: bool = True) -> Row:
    """Return the row of an id in the path; a row that the caller may not see does not exist for him."""
    row = request.world.get(resource.table, int(row_id)) if re.fullmatch(r"\d{1,18}", row_id) else None
    if row is None or row.get("deleted_at") is not None or (seen and not resource.sees(request, row)):
        raise Refusal(404, f"No query results for model [Cachet\\Models\\{resource.model}] {row_id}")
    return row


def children_document(request: Request, parent: str, parent_id: str, child: str, child_id: str | None) -> Row:
    """Answer with a page of, or one of, the updates or points of a row."""
    resource, children = RESOURCES[parent], RESOURCES[child]
    row = find(request, resource, parent_id, seen=False)
    # The real server forgets the embargo of a schedule here, and hides the others without a word.
    if parent != "schedules" and not resource.sees(request, row):
        raise Refusal(404, "")
    if child == "points":
        ids = request.world.ids("metric_points", metric_id=row["id"])
    else:
        ids = request.world.ids("updates", updateable_type=resource.meta_type, updateable_id=row["id"])
    if child_id is not None:
        found = find(request, children, child_id)
        if found["id"] not in set(ids):
            raise Refusal(404, f"No query results for model [Cachet\\Models\\{children.model}] {child_id}")
        return single_document(request, children, found)
    allowed = SCHEDULE_UPDATE_SORTS if parent == "schedules" else children.sorts
    sorts = _read_sorts(allowed, "", request.query)
    # Points by id, the way to read them all, are a slice of the index: nothing is sorted or copied.
    if sorts in ([], [("id", False)]):
        return _page(request, children, ids, lambda key: request.world.take(children.table, [key])[0])
    if sorts == [("id", True)]:
        return _page(
            request, children, _Reversed(ids), lambda key: request.world.take(children.table, [key])[0]
        )
    return _page(request, children, _sorted(request.world.take(children.table, ids), sorts))


class _Reversed(Sequence[int]):
    """A list seen from its end, without copying it."""

    def __init__(self, ids: list[int]) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self._ids))
            end = len(self._ids)
            return self._ids[max(end - stop, 0) : end - start][::-1]
        return self._ids[-1 - index]
