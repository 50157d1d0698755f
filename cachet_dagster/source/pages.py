"""A list in pages: what a page tells, and how an API cuts a list and reads it completely.

Pages are cut by position, so rows that come or go meanwhile shift the others. How a list is nevertheless read
completely depends on the order that an API offers: `cachet3/pages.py`, `cachet2/pages.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

PER_PAGE = 100

# A list that is deleted from faster than it can be read is given up after this many scans.
SCANS = 3


@dataclass(frozen=True)
class Page:
    """One page: its number in its order, the ids on it, whether more follow, and what was made of its rows.

    `total` and `pages` count the list's rows and pages, where the API tells them. `descending` and `per_page` are what
    it was asked for with, beside its number. `at` is the server's clock at the answer.
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
    ) -> Coroutine[Any, Any, Page]:
        """Return the page; past the end it has no ids."""
        ...


class Moved(Exception):
    """Rows moved between pages while they were read: what was read cannot be trusted."""


class Reading(Protocol):
    """Reads a list whole; see `whole_list`."""

    def __call__(self, read: PageReader, *, rows: int = 0) -> Awaitable[list[Page]]:
        """Return pages that together hold every row of the list."""
        ...


@dataclass(frozen=True)
class Paging:
    """How an API cuts a list into pages, and how the list is then read completely.

    Attributes:
        query: Page number, whether descending, and rows per page → the query parameters.
        envelope: A page's document → whether more follow, and the `total` and `pages` of `Page`.
        whole: Reads the list.
        ordered: Whether the pages come in the order of their ids.
    """

    query: Callable[[int, bool, int], Mapping[str, str]]
    envelope: Callable[[Any], tuple[bool, int, int]]
    whole: Reading
    ordered: bool = True
