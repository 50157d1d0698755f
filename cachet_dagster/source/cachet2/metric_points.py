"""Points of Cachet 2's metrics, which come newest first and obey no sort: what is new is told by time, count and id.

There is no filter either, but every answer names the `total`. One page of the newest points is enough if it
reaches behind the newest time that the destination holds and its new ids make up what is missing there. Else
points came with a past time or were deleted, and the metric is read whole, once: what is gone is removed then.
Pages are read one after the other from the newest down, so that points which are posted meanwhile, whatever time they
claim, only push rows onto pages still to come, and what is missed is for the next load.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from cachet_dagster.source.listing import Listing, TableMapping
from cachet_dagster.source.pagination import (
    PER_PAGE,
    SCANS,
    Cursor,
    ListChanged,
    ListPage,
    NewPages,
    PageReader,
    ReadBounds,
)
from cachet_dagster.source.points.columns import NOT_PLAIN, SCHEMA, irregular_page, plain_page
from cachet_dagster.source.rows import RowContext, data_of, timestamp

from .pagination import BIG_PAGE, UNSORTED, ids_on
from .parsing import flatten

NEWEST = 1_000
"""Newest points read at each load at least: requests are what counts, and Cachet 2 has no maximum (1,000 points
take it 0.04 s)."""

_ATTRIBUTES = {*SCHEMA.names}

_LONG_AGO = timedelta(seconds=60)
"""How long before the first answer, by the server's clock, a point must have been posted to be sure to have been there:
the clocks of PHP and of the web server may differ by half a minute, and an answer is younger than what it holds."""


_ROUNDED = timedelta(seconds=30)
"""How far the time at which a point was posted may be from what is told of it, since Cachet rounds to half minutes."""


def parse(document: Any, mapping: TableMapping, context: RowContext) -> pa.Table:
    """Return a page of points as columns."""
    points = data_of(document, context.endpoint)
    try:
        if any(point.keys() != _ATTRIBUTES for point in points):
            raise ValueError("an attribute is missing, or one that nobody foresaw is there")
        return plain_page({name: [point[name] for point in points] for name in _ATTRIBUTES})
    except NOT_PLAIN:
        return irregular_page([flatten(point, mapping.table, context) for point in points])


async def since(read: PageReader, cursor: Cursor, bounds: ReadBounds) -> AsyncIterator[NewPages]:
    """Yield what is new by time, all at once."""
    yield await new_pages(read, cursor, bounds.overlap * PER_PAGE)


async def new_pages(read: PageReader, cursor: Cursor, overlap: int) -> NewPages:
    """Return pages that hold all points that the destination lacks.

    Takes 1 request where fewer than 1,000 points are new, 2 where up to 9,000 are, and 1 more for each 10,000
    points of more new ones, or of a metric that has to be read whole. A metric of up to 1,000 points is always read
    whole. What is not seen beyond the newest 1,000 is a point with a past time where, between the same two
    loads, as many were deleted as such points came: a full refresh finds it.

    Args:
        read: Reads a page.
        cursor: What the destination holds.
        overlap: Newest points read again at least, since points change.

    Raises:
        ListChanged: The metric had to be read whole, and points kept being deleted.
    """
    if not cursor.rows or overlap > BIG_PAGE:
        return await all_pages(read)
    size = max(overlap, NEWEST)
    page = await read(1, per_page=size)
    missing = page.total - cursor.rows
    if not _reaches([page], cursor) and missing > 0 and page.more:
        # One page, and not the next ones: points of the same time fall between pages.
        pages = await _downwards(read, min(size + missing, BIG_PAGE), lambda seen: _reaches(seen, cursor))
    else:
        pages = [page]
    if _proven(pages):
        return NewPages([], pages, whole=True)
    return NewPages([], pages, whole=False) if _enough(pages, cursor) else await all_pages(read)


async def all_pages(read: PageReader) -> NewPages:
    """Return pages that hold every point which the metric had when the first one was read.

    Takes a request for each 10,000 points. Points that came later are known by their ids and by when they were
    posted. Points of the same time may fall between two pages, whose order of them differs; so further scans end
    their pages elsewhere, and go on gathering as long as no point was deleted between them. Where points with a past
    time keep coming, it is not certain of some that they were there at the beginning; if no total fell then, the rest
    is taken for all.

    Args:
        read: Reads a page.

    Raises:
        ListChanged: Points kept being deleted in each of three scans, or the pages never held as many as the server
            names.
    """
    gathered: list[ListPage] = []
    for scan in range(SCANS):
        pages = await _downwards(read, BIG_PAGE - scan * (BIG_PAGE // 7))
        alike = bool(gathered) and _still(pages) and ids_on(pages) == ids_on(gathered)
        if _proven(pages) or (alike and len(ids_on(pages)) == pages[0].total):
            return NewPages([], pages, whole=True)
        if _perhaps(pages):
            return NewPages([], pages, whole=False, left=frozenset(_there_before(pages)[1]))
        gathered = [*pages, *gathered] if _only_added(pages, gathered) else pages
        if _proven(gathered):
            return NewPages([], gathered, whole=True)
    found, named = len(ids_on(gathered)), gathered[0].total
    if found < named:
        raise ListChanged(f"its pages hold {found:,} different rows where the server names {named:,}")
    raise ListChanged("rows kept being deleted while they were read, three scans in a row")


async def _downwards(
    read: PageReader, size: int, until: Callable[[Sequence[ListPage]], bool] = lambda _pages: False
) -> list[ListPage]:
    """Return pages from the newest down to the end, or to where they go far enough."""
    pages = [await read(1, per_page=size)]
    while pages[-1].more and not until(pages):
        pages.append(await read(len(pages) + 1, per_page=size))
    return pages


def _proven(pages: Sequence[ListPage]) -> bool:
    """Return whether pages hold every point that was there when the first one was read: as many as it names."""
    return len(_there_before(pages)[0]) == pages[0].total


def _perhaps(pages: Sequence[ListPage]) -> bool:
    """Return whether points came while pages were read, none went, and some that may be older make up the total."""
    certain, perhaps = map(len, _there_before(pages))
    none_went = all(page.total <= after.total for page, after in pairwise(pages))
    came = pages[0].total < pages[-1].total
    return came and none_went and certain < pages[0].total <= certain + perhaps


def _there_before(pages: Sequence[ListPage]) -> tuple[set[int], set[int]]:
    """Return the ids on pages of points that were there when the first page was read, and of those that perhaps were.

    What was posted since has a higher id than all before. On the first page are those with the highest ids, but for
    points with a past time. `updated_at` tells when a point was posted: one on a later page was there before if one on
    the first page was posted after it, or if it was posted long ago.
    """
    first = pages[0]
    highest = max(first.ids, default=0)
    certain, perhaps = {number for number in ids_on(pages) if number <= highest}, set()
    later = [[at for at, number in enumerate(page.ids) if number > highest] for page in pages[1:]]
    if not any(later):
        return certain, perhaps
    on_first = (posted - _ROUNDED for posted in _posted(first, range(len(first.ids))) if posted)
    long_ago = first.at - _LONG_AGO if first.at else datetime.min.replace(tzinfo=timezone.utc)
    before = max([long_ago, *on_first])
    for page, at in zip(pages[1:], later, strict=True):
        for where, posted in zip(at, _posted(page, at), strict=True):
            (certain if posted and posted < before else perhaps).add(page.ids[where])
    return certain, perhaps - certain


def _posted(page: ListPage, at: Iterable[int]) -> Iterator[datetime | None]:
    """Yield when the points at some positions of a page were posted; None where that cannot be read."""
    times = page.rows.column("updated_at").to_pylist() if page.ids else []
    for where in at:
        posted = timestamp(times[where], ZoneInfo("UTC"))
        yield posted if isinstance(posted, datetime) else None


def _only_added(pages: Sequence[ListPage], before: Sequence[ListPage]) -> bool:
    """Return whether between two scans points were posted and none deleted, as far as ids and totals tell.

    They do not where it is not certain of a point that was posted whether it was there at the second scan's beginning.
    """
    if not before:
        return False
    highest = max(_there_before(before)[0], default=0)
    posted = {number for number in ids_on([*pages, *before]) if number > highest}
    certain = posted <= _there_before([*pages, *before])[0]
    return certain and pages[0].total - before[0].total == len(posted)


def _still(pages: Sequence[ListPage]) -> bool:
    return len({page.total for page in pages}) == 1


def _enough(pages: Sequence[ListPage], cursor: Cursor) -> bool:
    """Return whether pages hold all that the destination lacks."""
    new = sum(number > cursor.last_id for number in _there_before(pages)[0])
    return cursor.rows + new == pages[0].total and _reaches(pages, cursor)


def _reaches(pages: Sequence[ListPage], cursor: Cursor) -> bool:
    """Return whether pages end before the newest stored point, so that all newer ones are on them."""
    times = pages[-1].rows.column("created_at")
    oldest = timestamp(times[-1].as_py(), ZoneInfo("UTC")) if len(times) else None
    last = cursor.last_at
    if not isinstance(oldest, datetime) or last is None:
        return False
    return oldest < (last if last.tzinfo else last.replace(tzinfo=timezone.utc))


points = partial(Listing, paging=replace(UNSORTED, since=since), parse=parse)
"""Makes the listing of points from its path."""
