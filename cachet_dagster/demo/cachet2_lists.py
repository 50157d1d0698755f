"""What a list of Cachet 2's API does with its query: filters, sort, pages.

The decision that shapes it: the order of rows is the database's, since that is where naive paging loses rows,
so each of the three databases has its own here, and the same request always gets the same answer:

- `sqlite`: one fixed order, ties included.
- `mysql` (MariaDB): the incidents of a caller with a token come from the index on `visible` while the end of the
  page lies before the end of the table, and in the order of the primary key after that: the last page belongs to
  another order than those before it. Points with the same `created_at` come in an order that depends on where
  the page ends. (There, that is the size of the sort's heap; here, it goes into a checksum with the id.)
- `pgsql`: ties of any sort as MariaDB's points; without a sort, the order of the ids.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl, quote

from .cachet2_world import TABLES
from .world import Row

PHP_INT_MAX = 2**63 - 1

_TEXT_COLUMNS = {"name", "message", "description", "link", "meta"} | {
    column for columns in TABLES.values() for column in columns if column.endswith("_at")
}
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")


class HttpError(Exception):
    """An answer other than 200: its status, and a detail where it is not that of the status."""

    def __init__(self, status: int, detail: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.detail, self.headers = status, detail, headers or {}


@dataclass(frozen=True)
class ListRule:
    """What a list reads, and which columns its `sort` and its filters know.

    Of `indexed` columns, SQLite gives ties by descending id, since it walks the index backwards.
    """

    table: str
    model: str
    sort: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()
    obeys_order: bool = False
    fails_on_sort: bool = False


_COMPONENT = ("id", "name", "status", "order", "group_id", "enabled")
_GROUP = ("id", "name", "order", "collapsed", "visible")

LISTS: dict[str, ListRule] = {
    "components": ListRule(
        "components", "Component", _COMPONENT, _COMPONENT, indexed=("status", "order", "group_id")
    ),
    "components/groups": ListRule("component_groups", "ComponentGroup", _GROUP, _GROUP, obeys_order=True),
    "incidents": ListRule(
        "incidents",
        "Incident",
        sort=("id", "user_id", "name", "message", "status", "visible", "stickied", "occurred_at"),
        search=("id", "user_id", "component_id", "name", "status", "visible", "stickied"),
        indexed=("visible",),
    ),
    "incidents/templates": ListRule("incident_templates", "IncidentTemplate", fails_on_sort=True),
    "incidents/{id}/updates": ListRule("incident_updates", "IncidentUpdate", ("id", "status", "user_id")),
    "metrics": ListRule(
        "metrics",
        "Metric",
        sort=("id", "name", "display_chart", "default_value", "calc_type", "order", "visible"),
    ),
    "metrics/{id}/points": ListRule("metric_points", "MetricPoint"),
    "schedules": ListRule(
        "schedules",
        "Schedule",
        sort=("id", "name", "status", "scheduled_at", "completed_at", "created_at", "updated_at"),
    ),
    "subscribers": ListRule("subscribers", "Subscriber"),
}


def parse_query(raw: str) -> Row:
    """Return a query string as PHP reads it: `a[]=1&a[]=2` is {"a": {"0": "1", "1": "2"}}."""
    query: Row = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        array = re.fullmatch(r"([^\[]+)\[([^\]]*)\].*", name)
        if not array:
            query[name] = value
            continue
        base, key = array.groups()
        if not isinstance(query.get(base), dict):
            query[base] = {}
        query[base][key or str(len(query[base]))] = value
    return query


def build_query(query: Mapping[str, Any]) -> str:
    """Return the query string that Laravel's links carry."""
    pairs: list[tuple[str, Any]] = []
    for name, value in query.items():
        if isinstance(value, dict):
            pairs += [(f"{name}[{key}]", item) for key, item in value.items()]
        else:
            pairs.append((name, value))
    return "&".join(f"{quote(name, safe='')}={quote(str(value), safe='')}" for name, value in pairs)


@dataclass(frozen=True)
class Page:
    """Which page is asked for, and how many rows it has (`size`; `raw_size` as written, such as 2.5)."""

    number: int
    raw_size: float

    @classmethod
    def of(cls, query: Row, database: str) -> Page:
        """Return the page a query asks for; 500 for a size that is not a number, or is negative."""
        raw_size = _size(query.get("per_page", "20"))
        if raw_size < 0 and database != "pgsql":
            raise HttpError(500)
        return cls(_number(query.get("page")), raw_size)

    @property
    def size(self) -> int:
        """Rows per page; negative: all of them."""
        return int(self.raw_size)

    def bounds(self, total: int) -> tuple[int, int]:
        """Return the places of the page's first row and of the row after its last."""
        if self.size < 0:
            return 0, total
        return min((self.number - 1) * self.size, total), min(self.number * self.size, total)

    def pages(self, total: int) -> int:
        """Return the number of pages; an empty list has one."""
        return max(1, math.ceil(total / self.raw_size))

    def shuffled(self, row: Row) -> int:
        """Return the place of a row among its equals, for pages with this end only."""
        return zlib.crc32(f"{row['id']}/{self.number * self.size}".encode())


def _size(text: Any) -> float:
    if text == "":
        return 15
    if not isinstance(text, str) or not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.I):
        raise HttpError(500)
    size = int(text) if _INTEGER.fullmatch(text) else float(text)
    return min(size, PHP_INT_MAX) or 15


def _number(text: Any) -> int:
    if not isinstance(text, str) or not re.fullmatch(r"\s*\+?[1-9]\d*\s*", text):
        return 1
    number = int(text)
    return number if number <= PHP_INT_MAX else 1


def filtered(rule: ListRule, rows: list[Row], query: Row, database: str) -> list[Row]:
    """Return the rows that match a query, the trap included.

    Once one searchable column is in the query, every parameter but sort, order and per_page is taken for a
    column: SQLite reads the name of one that is not there as a text, the others fail.
    """
    search = {name: value for name, value in query.items() if name not in ("sort", "order", "per_page")}
    if not search.keys() & set(rule.search):
        return rows
    for column, value in search.items():
        rows = _where(rule.table, rows, column, value, database)
    return rows


def _where(table: str, rows: list[Row], column: str, value: Any, database: str) -> list[Row]:
    if isinstance(value, dict):
        if database != "mysql":
            raise HttpError(500)
        value = next(iter(value.values()), "")
    if column not in TABLES[table]:
        if database != "sqlite":
            raise HttpError(500)
        return rows if column == value else []
    if column in _TEXT_COLUMNS:
        if database == "mysql":
            return [row for row in rows if str(row[column]).casefold() == value.casefold()]
        return [row for row in rows if row[column] == value]
    if not _INTEGER.fullmatch(value):
        if database == "pgsql":
            raise HttpError(500)
        if database == "sqlite":
            return []
    number = leading_integer(value) or 0
    return [row for row in rows if row[column] == number]


def leading_integer(text: str) -> int | None:
    """Return the number that a text begins with, as MariaDB compares it; None if there is none."""
    match = re.match(r"\s*[+-]?\d+", text)
    return int(match[0]) if match else None


def ordered(
    rule: ListRule, rows: list[Row], query: Row, page: Page, database: str, *, guest: bool, table_size: int
) -> list[Row]:
    """Return the rows, given by id, in the database's order for this page; `sort` is always descending."""
    column = query.get("sort")
    if rule.fails_on_sort and column is not None:
        raise HttpError(500)
    by_visible = rule.table == "incidents" and not guest
    if not isinstance(column, str) or column not in rule.sort:
        through_index = database == "sqlite" or (
            database == "mysql" and 0 <= page.number * page.size < table_size
        )
        return sorted(rows, key=_visible) if by_visible and through_index else rows

    descending = not (rule.obeys_order and query.get("order", "asc").lower() == "asc")
    if database == "pgsql":
        rows = sorted(rows, key=page.shuffled)
    elif database == "sqlite" and descending and column in rule.indexed:
        rows = rows[::-1]
    elif database == "sqlite" and by_visible:
        rows = sorted(rows, key=_visible)

    def key(row: Row) -> tuple[bool, Any]:
        # Null is the smallest value, to PostgreSQL the largest.
        value = row[column]
        return (value is None) == (database == "pgsql"), "" if value is None else value

    return sorted(rows, key=key, reverse=descending)


def _visible(row: Row) -> int:
    return row["visible"]


def window(rows: list[Row], page: Page, tie: Callable[[Row], Any]) -> list[Row]:
    """Return a page of ordered rows whose ties stand in an order of this page only.

    Only ties that reach into the page are put in order, so that a page of a long list stays cheap.
    """
    start, stop = page.bounds(len(rows))
    first, last = start, stop
    while 0 < first < len(rows) and tie(rows[first - 1]) == tie(rows[first]):
        first -= 1
    while 0 < last < len(rows) and tie(rows[last]) == tie(rows[last - 1]):
        last += 1
    shuffled: list[Row] = []
    for _, tied in groupby(rows[first:last], key=tie):
        shuffled += sorted(tied, key=page.shuffled)
    return shuffled[start - first : stop - first]
