"""Reading a paged list completely while rows come and go, in as few requests as can prove it.

Pages are cut by position, so a row deleted on the server shifts every later row, and one that slips onto
a page already read would be lost in silence. Reading by ascending id makes insertions harmless. Against
deletions a late page is read before the pages below it and again after them: if it has not changed,
nothing below it has moved. The newest page, read first and downwards, tells where the list ends. What
this does not see is a row that appears among the others (an embargo that ends) while another is deleted,
both below the late page and within one scan.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

from cachet_dagster.source.event_loop import gather_bounded
from cachet_dagster.source.pagination import PER_PAGE, SCANS, ListChanged, ListPage, PageReader, Paging


async def upwards(
    read: PageReader, newest: ListPage, *, start: ListPage | None = None, rows: int = 0, limit: int = 2_500
) -> AsyncIterator[list[ListPage]]:
    """Yield ascending pages until they meet the newest one, in steps that are each proven complete.

    A step costs two requests more than its pages: one to confirm the page that it began behind, one to
    confirm its own last page. With `rows` known and no `start`, only the latter.

    Args:
        read: Reads a page.
        newest: ListPage 1 in descending order, read before.
        start: The page to begin at, read before and yielded first; None begins at page 1.
        rows: How many rows the list is expected to have; 0 where nothing is known.
        limit: Pages a step may have.

    Raises:
        ListChanged: Rows moved during a step; the steps yielded before it stand.
    """
    anchor = start
    step: list[ListPage] = [start] if start else []
    if anchor is None and not rows:
        anchor = await read(1)
        step = [anchor]
    if anchor and not anchor.ids:
        # There were rows a moment ago, or the newest page would not have been full.
        raise ListChanged
    while anchor is None or not reaches(anchor, newest):
        begin = anchor.number + 1 if anchor else 1
        wanted = _pages_between(anchor, newest) if anchor else math.ceil(rows / PER_PAGE) - 1
        late = await _last_filled(read, begin, begin + min(max(wanted, 1), limit - len(step)) - 1)
        between = await gather_bounded(*(read(number) for number in range(begin, late.number)))
        moving = [page for page in (anchor, late if between else None) if page]
        await gather_bounded(*(_confirm(read, page) for page in moving))
        yield [*step, *between, late]
        # What the caller has dropped is not to be kept here while the next step is read.
        anchor, step, between = late, [], []
    if step:
        yield step


async def whole_list(read: PageReader, *, rows: int = 0) -> list[ListPage]:
    """Return pages that together hold every row of a list, each row perhaps on two of them.

    Takes ⌈N/100⌉ + 1 requests for N rows where `rows` is about right and there are several pages, 1
    where there is one, and at most 1 more, plus the logarithm of a wrong guess, where nothing is known.

    Args:
        read: Reads a page.
        rows: How many rows the list is expected to have; 0 where nothing is known.

    Raises:
        ListChanged: Rows kept moving in each of three scans.
    """
    for scan in range(SCANS):
        newest = await read(1, descending=True)
        if not newest.more:
            return [newest]
        try:
            pages = [page async for step in upwards(read, newest, rows=rows) for page in step]
        except ListChanged:
            if scan == SCANS - 1:
                raise
        else:
            return [*pages, newest]
    raise AssertionError("unreachable")


async def page_with(read: PageReader, cursor: int, *, near: int = 1) -> ListPage:
    """Return an ascending page that holds an id at or below `cursor`, as late a one as bisection finds.

    Counting rows would not do, since rows may have been deleted. Where the ids seen are all below the
    cursor the search gallops. Takes about 2·log₂ of the distance from `near` requests.

    Args:
        read: Reads a page.
        cursor: An id.
        near: ListPage to look at first.
    """
    page = await read(max(1, near))
    low, high = 0, math.inf
    best: ListPage | None = None
    while True:
        if page.ids and page.ids[0] <= cursor:
            low, best = page.number, page
            if page.ids[-1] >= cursor or not page.more:
                return page
        else:
            high = page.number
        if high - low <= 1:
            return best or page
        step = low * 2 if math.isinf(high) else (low + int(high)) // 2
        page = await read(max(1, step))


def reaches(page: ListPage, newest: ListPage) -> bool:
    """Return whether an ascending page leaves no gap below the newest one."""
    # Ids are whole numbers: nothing lies between a page's last id and the one right after it.
    return not page.more or page.ids[-1] >= min(newest.ids) - 1


def _pages_between(anchor: ListPage, newest: ListPage) -> int:
    """Guess how many pages lie between an ascending page and the newest one, from how dense their ids are."""
    spans = (anchor.ids[-1] - anchor.ids[0], max(newest.ids) - min(newest.ids))
    spacing = max(1.0, sum(spans) / max(1, len(anchor.ids) + len(newest.ids) - 2))
    gap = min(newest.ids) - 1 - anchor.ids[-1]
    return math.ceil(gap / spacing / PER_PAGE)


async def _last_filled(read: PageReader, begin: int, guess: int) -> ListPage:
    """Return the guessed page, or where it is past the end a filled one nearer to `begin`."""
    page = await read(guess)
    while not page.ids:
        if page.number <= begin:
            raise ListChanged
        page = await read((begin + page.number) // 2)
    return page


async def _confirm(read: PageReader, page: ListPage) -> None:
    """Raise ListChanged unless the page still holds what it held, but for rows added behind."""
    again = await read(page.number)
    if again.ids[: len(page.ids)] != page.ids:
        raise ListChanged


def _query(number: int, descending: bool, per_page: int) -> Mapping[str, str]:
    return {"per_page": str(per_page), "sort": "-id" if descending else "id", "page": str(number)}


def _envelope(document: Any) -> tuple[bool, int, int]:
    links = document.get("links")
    return bool(isinstance(links, dict) and links.get("next")), -1, -1


BY_ID = Paging(_query, _envelope, whole_list)
"""Cachet 3's lists: any order of ids, no total."""
