"""How an API is asked for an endpoint, and which rows its documents hold: the vocabulary of both APIs' tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from .pagination import ListPage, PageReader, Paging
from .rows import Row, RowContext
from .tables import TABLES


@dataclass(frozen=True)
class TableMapping:
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


@dataclass(frozen=True)
class AmbiguousTime:
    """A time that may stand for a null; the row itself is as for a null.

    Attributes:
        name: The attribute.
        printed: As the server printed it.
        at: When the server says that it gave the answer.
        columns: What the row holds instead if it is a time.
    """

    name: str
    printed: str
    at: datetime
    columns: Row


@dataclass
class Parsed:
    """Rows by table, and what of them is in doubt.

    Attributes:
        rows: Rows by table.
        needs_detail: Ids of rows whose links have the right status only if they are asked for by id.
        ambiguous: By id, the row's times that may stand for a null; see `cachet2/ambiguous_times.py`.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    needs_detail: set[int] = field(default_factory=set)
    ambiguous: dict[int, list[AmbiguousTime]] = field(default_factory=dict)


class Resolver(Protocol):
    """Resolves ambiguous times."""

    def __call__(
        self,
        parsed: Parsed,
        mapping: TableMapping,
        pages: Sequence[ListPage],
        read: PageReader,
        stored: Sequence[Row],
        sleep: Callable[[float], Awaitable[None]],
    ) -> Awaitable[None]:
        """Resolve those of a whole list, read from pages, by its stored rows or by reading again after a while."""
        ...


def merged(pages: Iterable[Parsed], mapping: TableMapping) -> Parsed:
    """Return the rows of several pages, each row once, with its children from the page that tells them best."""
    chosen: dict[int, Parsed] = {}
    for page in pages:
        for row in page.rows[mapping.table]:
            before = chosen.get(row["id"])
            if before is None or (row["id"] in before.needs_detail and row["id"] not in page.needs_detail):
                chosen[row["id"]] = page
    whole = Parsed({table: [] for table in (mapping.table, mapping.updates, mapping.links) if table})
    for page in {id(page): page for page in chosen.values()}.values():
        for table, rows in page.rows.items():
            key = "id" if table == mapping.table else f"{mapping.parent}_id"
            whole.rows[table].extend(row for row in rows if chosen[row[key]] is page)
        whole.needs_detail.update(number for number in page.needs_detail if chosen[number] is page)
        whole.ambiguous |= {
            number: found for number, found in page.ambiguous.items() if chosen[number] is page
        }
    for table, rows in whole.rows.items():
        rows.sort(key=lambda row, key=TABLES[table].key: tuple(row[column] for column in key))
    return whole


@dataclass(frozen=True)
class Listing:
    """How one API version is asked for an endpoint.

    Attributes:
        path: Path below the API's root; `{id}` stands for a metric's id.
        paging: How its list is paged, and so how points are read on.
        parse: A document → its rows.
        include: What comes with the rows.
        params: Query parameters beside those of paging and `include`.
        by_id: Path of a single row of the list; empty where that tells no more than the list.
        bucket: Which rate limit counts it.
        resolve: Resolves the ambiguous times of what was read, asking again where need be.
        private: Whether guests are refused.
        optional: Whether a Cachet of this version may lack it without anything being wrong.
        links_lack_names: Whether links lack the components' names, which then come from the list of components.
        flaky: Whether it fails at times though all else works.
    """

    path: str
    paging: Paging
    parse: Callable[[Any, TableMapping, RowContext], Any]
    include: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    by_id: str = ""
    bucket: str = "api"
    resolve: Resolver | None = None
    private: bool = False
    optional: bool = False
    links_lack_names: bool = False
    flaky: bool = False

    @property
    def query(self) -> dict[str, str]:
        """The query parameters beside those of paging."""
        return {**self.params, **self.included}

    @property
    def included(self) -> dict[str, str]:
        """The query parameter that asks for what comes with the rows."""
        return {"include": self.include} if self.include else {}
