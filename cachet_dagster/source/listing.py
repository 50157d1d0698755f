"""How an API is asked for an endpoint, and which rows its documents hold: the vocabulary of both APIs' tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .pages import Paging
from .rows import Row, RowContext
from .tables import TABLES


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


@dataclass(frozen=True)
class Suspect:
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
        uncertain: Ids of rows whose links have the right status only if they are asked for by id.
        suspects: By id, the row's times that may stand for a null; see `suspects.py`.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)
    suspects: dict[int, list[Suspect]] = field(default_factory=dict)


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
        whole.suspects |= {number: found for number, found in page.suspects.items() if chosen[number] is page}
    for table, rows in whole.rows.items():
        rows.sort(key=lambda row, key=TABLES[table].key: tuple(row[column] for column in key))
    return whole


@dataclass(frozen=True)
class Listing:
    """How one API version is asked for an endpoint.

    Attributes:
        path: Path below the API's root; `{id}` stands for a row's id.
        shape: Which tables its documents fill.
        paging: How its list is paged, and so how points are read on.
        parse: A document → its rows.
        params: Query parameters beside those of paging.
        bucket: Which rate limit counts it.
        single: How it is asked for a single row of a list.
        private: Whether guests are refused.
        optional: Whether a Cachet of this version may lack it without anything being wrong.
        unnamed: Whether its links lack the components' names, which then come from the list of components.
        flaky: Whether it fails at times though all else works.
        redundant: For a single row, whether its answer equals the row of the list, so that none is asked for unless
            it is named.
    """

    path: str
    shape: Shape
    paging: Paging
    parse: Callable[[Any, Shape, RowContext], Parsed]
    params: Mapping[str, str] = field(default_factory=dict)
    bucket: str = "api"
    single: Listing | None = None
    private: bool = False
    optional: bool = False
    unnamed: bool = False
    flaky: bool = False
    redundant: bool = False
