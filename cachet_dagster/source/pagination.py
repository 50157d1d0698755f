"""A list in pages: what a page holds, and how an API cuts a list and reads it completely.

An API cuts pages by position, so rows that come or go meanwhile shift the others. How a list is nevertheless read
completely depends on the order that the API offers: `cachet3/pagination.py`, `cachet2/pagination.py`. How points are
read on from where the destination ends is in the `metric_points.py` beside each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

PER_PAGE = 100

# A list that is deleted from faster than it can be read is given up after this many scans.
SCANS = 3


@dataclass(frozen=True)
class ListPage:
    """One page of a list.

    Attributes:
        number: Its number in its order, from 1.
        ids: The ids on it.
        more: Whether more pages follow.
        rows: What the endpoint's parser made of it.
        total: How many rows the list has, where the API tells; else -1.
        pages: How many pages the list has, where the API tells; else -1.
        descending: Whether it was asked for in descending order of id.
        per_page: Rows a page that it was asked for with.
        at: The server's clock at the answer.
    """

    number: int
    ids: list[int]
    more: bool
    rows: Any = None
    total: int = -1
    pages: int = -1
    descending: bool = False
    per_page: int = PER_PAGE
    at: datetime | None = None


class PageReader(Protocol):
    """Reads page `number` (from 1) in ascending order of id, or in descending order."""

    def __call__(
        self, number: int, *, descending: bool = False, per_page: int = PER_PAGE
    ) -> Coroutine[Any, Any, ListPage]:
        """Return the page; past the end it has no ids."""
        ...


class ListChanged(Exception):
    """Rows moved between pages while they were read: what was read cannot be trusted."""


class ListReader(Protocol):
    """Reads a list whole."""

    def __call__(self, read: PageReader, *, rows: int = 0) -> Awaitable[list[ListPage]]:
        """Return pages that together hold every row of the list, which is expected to have `rows` rows."""
        ...


@dataclass(frozen=True)
class Cursor:
    """How far a metric's points are loaded: how many rows, the highest id, and the first and last time."""

    rows: int = 0
    last_id: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None


class ReadBounds(NamedTuple):
    """Bounds of reading points on: newest pages to read again, and pages to read before they are handed over."""

    overlap: int
    step_pages: int


class NewPages(NamedTuple):
    """Pages of a metric's points that the destination lacks, in the order in which to load them.

    Attributes:
        pages: Pages to hand over at once, ascending by id.
        tail: Pages that end the metric, newest first.
        whole: Whether `tail` holds every point that the metric has.
        left: Ids on `tail` of points that are left to the next load.
    """

    pages: list[ListPage]
    tail: list[ListPage]
    whole: bool = False
    left: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Paging:
    """How an API cuts a list into pages, and how the list is then read completely.

    Attributes:
        query: Page number, whether descending, and rows per page → the query parameters.
        envelope: A page's document → whether more follow, and the `total` and `pages` of `ListPage`.
        whole: Reads the list.
        ordered: Whether the pages come in the order of their ids.
        since: For points, reads on from a cursor.
    """

    query: Callable[[int, bool, int], Mapping[str, str]]
    envelope: Callable[[Any], tuple[bool, int, int]]
    whole: ListReader
    ordered: bool = True
    since: Callable[[PageReader, Cursor, ReadBounds], AsyncIterator[NewPages]] | None = None
