"""How an API is asked for an endpoint, and which rows its documents hold: the vocabulary of both APIs' tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from .cover import Link
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
        unproven: Links whose status may be another's, since the component does not stand first on its page.
        unreadable: Ids of rows whose links could not be read, so that their status is unknown.
        ambiguous: By id, the row's times that may stand for a null; see `cachet2/ambiguous_times.py`.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    unproven: set[Link] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    ambiguous: dict[int, list[AmbiguousTime]] = field(default_factory=dict)

    def proven(self, mapping: TableMapping) -> dict[Link, Row]:
        """Return the links whose status is right."""
        links = {(row[f"{mapping.parent}_id"], row["component_id"]): row for row in self.rows[mapping.links]}
        return {link: row for link, row in links.items() if link not in self.unproven}


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


def merged(pages: Sequence[Parsed], mapping: TableMapping) -> Parsed:
    """Return the rows of several pages, each key once, and each link from a page that proves it, if one does."""
    chosen: dict[int, Parsed] = {}
    for page in pages:
        for row in page.rows[mapping.table]:
            chosen.setdefault(row["id"], page)
    proven = (
        {link: row for page in pages for link, row in page.proven(mapping).items()} if mapping.links else {}
    )
    whole = Parsed({table: [] for table in (mapping.table, mapping.updates, mapping.links) if table})
    for table, rows in whole.rows.items():
        parent = "id" if table == mapping.table else f"{mapping.parent}_id"
        unique: dict[Any, Row] = {}
        for page in pages:
            for row in page.rows[table]:
                if chosen[row[parent]] is page:
                    key = tuple(row[column] for column in TABLES[table].key)
                    unique.setdefault(key, proven.get(key, row) if table == mapping.links else row)
        rows += (unique[key] for key in sorted(unique))
    for page in pages:
        whole.unproven |= page.unproven - proven.keys()
        whole.ambiguous |= {
            number: found for number, found in page.ambiguous.items() if chosen[number] is page
        }
    if mapping.links:
        whole.unproven &= {
            (row[f"{mapping.parent}_id"], row["component_id"]) for row in whole.rows[mapping.links]
        }
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
