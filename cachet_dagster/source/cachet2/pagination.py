"""Reading a paged list of Cachet 2 completely, on every database behind it.

Without `sort` Cachet 2 has no ORDER BY, so that pages lose and repeat rows even on a quiet server. A list
that obeys `sort=id`, always descending, is read by pages of 100; any other in one page, which nothing can
slip out of. Both are believed only if the distinct ids are as many as the `total` that every page names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cachet_dagster.source.errors import NotCachet
from cachet_dagster.source.event_loop import gather_bounded
from cachet_dagster.source.pagination import SCANS, ListChanged, ListPage, PageReader, Paging

BIG_PAGE = 10_000
"""Rows of the one page: Cachet 2 has no maximum, but its memory has (20,000 points took it 0.75 s)."""


async def newest_first(read: PageReader, *, rows: int = 0) -> list[ListPage]:
    """Return the pages of a list that obeys `sort=id`, in ⌈N/100⌉ + 1 requests, or 1 for a single page.

    A row added meanwhile pushes others down onto the next page, one that is deleted pulls them up. Either
    changes `total`, the first page, which is read again last, or how many distinct ids there are. Rows that are
    added have the highest ids, and are left to the next load; from the second scan on pages are read one after
    the other, so that no row can be pushed past the reading. What would pass unseen is one row beyond the first
    page vanishing and another there appearing between the same two answers, as when one is hidden and another
    shown in the same tenth of a second.

    Args:
        read: Reads a page.
        rows: Not needed here: the first page tells how many there are.

    Raises:
        ListChanged: Rows kept being deleted in each of three scans.
    """
    for scan in range(SCANS):
        first = await read(1, descending=True)
        pages = [first]
        if scan == 0:
            pages += await gather_bounded(
                *(read(number, descending=True) for number in range(2, first.pages + 1))
            )
        while scan and pages[-1].more:
            pages.append(await read(len(pages) + 1, descending=True))
        again = await read(1, descending=True) if len(pages) > 1 else first
        if _complete([*pages, again]) or _only_added(pages, again):
            return pages
    raise ListChanged("rows kept coming and going while they were read, three scans in a row")


async def one_page(read: PageReader, *, rows: int = 0) -> list[ListPage]:
    """Return the pages of a list that obeys no sort: one request for up to 10,000 rows.

    Of a longer list each scan ends its pages elsewhere, so that other rows fall between them, and goes on
    gathering until it has them all.

    Args:
        read: Reads a page.
        rows: Not needed here.

    Raises:
        ListChanged: Three scans together still did not hold as many rows as the server names.
    """
    gathered: list[ListPage] = []
    for scan in range(SCANS):
        size = BIG_PAGE - scan * (BIG_PAGE // 7)
        first = await read(1, per_page=size)
        rest = await gather_bounded(*(read(number, per_page=size) for number in range(2, first.pages + 1)))
        scanned = [first, *rest]
        gathered = gathered + scanned if _agree([*gathered, *scanned]) else scanned
        if _complete(gathered):
            return gathered
    found, named = len(ids_on(gathered)), gathered[-1].total
    if found == named:
        raise ListChanged("rows kept coming and going while they were read, three scans in a row")
    raise ListChanged(f"its pages hold {found:,} different rows where the server names {named:,}")


def _agree(pages: Sequence[ListPage]) -> bool:
    """Return whether pages may be of the same list: one total, and not more rows than that."""
    totals = {page.total for page in pages}
    return len(totals) == 1 and len(ids_on(pages)) <= max(totals)


def _complete(pages: Sequence[ListPage]) -> bool:
    return {page.total for page in pages} == {len(ids_on(pages))}


def _only_added(pages: Sequence[ListPage], again: ListPage) -> bool:
    """Return whether pages hold all rows that the first one names, and that, read again, only has more above them."""
    first = pages[0]
    highest = max(first.ids, default=0)
    held = sum(number <= highest for number in ids_on(pages))
    added = sum(number > highest for number in again.ids)
    unmoved = again.ids[added:] == first.ids[: len(again.ids) - added]
    return unmoved and held == first.total and again.total - first.total == added


def ids_on(pages: Sequence[ListPage]) -> set[int]:
    """Return the different ids on pages."""
    return {row_id for page in pages for row_id in page.ids}


def _sorted(number: int, descending: bool, per_page: int) -> Mapping[str, str]:
    # Only groups obey `order`; everything else is descending whatever it says.
    return {"per_page": str(per_page), "sort": "id", "order": "desc", "page": str(number)}


def _unsorted(number: int, descending: bool, per_page: int) -> Mapping[str, str]:
    return {"per_page": str(per_page), "page": str(number)}


def _envelope(document: Any) -> tuple[bool, int, int]:
    pagination = (document.get("meta") or {}).get("pagination") or {}
    try:
        total, pages, number = (int(pagination[name]) for name in ("total", "total_pages", "current_page"))
    except (KeyError, TypeError, ValueError) as error:
        raise NotCachet("the answer does not tell how many rows there are, as Cachet 2's lists do") from error
    return number < pages, total, pages


SORTED = Paging(_sorted, _envelope, newest_first)
"""Cachet 2's lists that obey `sort=id`."""

UNSORTED = Paging(_unsorted, _envelope, one_page, ordered=False)
"""Cachet 2's lists that do not: points, templates, subscribers."""
