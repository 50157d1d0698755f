"""Points of Cachet 3's metrics: read on by id from where the destination ends, one request where nothing is new.

The newest page, read first, tells whether anything is new, and is read again at each load, since points change. What
lies between it and the cursor is read upwards in steps that are each proven complete, so that at whatever moment a
load is killed, what is stored has no gap.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from cachet_dagster.source.event_loop import gather_bounded
from cachet_dagster.source.listing import Listing, TableMapping
from cachet_dagster.source.pagination import PER_PAGE, Cursor, ListPage, NewPages, PageReader, ReadBounds
from cachet_dagster.source.points.columns import NOT_PLAIN, irregular_page, plain_page
from cachet_dagster.source.rows import RowContext, data_of

from .pagination import BY_ID, page_with, reaches, upwards
from .parsing import flatten

_NEAR_PAGES = 10
_ATTRIBUTES = {"id", "metric_id", "value", "counter", "calculated_value", "created", "updated"}
_TIME = {"human", "string"}


def parse(document: Any, mapping: TableMapping, context: RowContext) -> pa.Table:
    """Return a page of points as columns."""
    points = data_of(document, context.endpoint)
    try:
        return plain_page(_columns(points))
    except NOT_PLAIN:
        return irregular_page([flatten(point, context) for point in points])


def _columns(points: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    rows = [point["attributes"] for point in points]
    times = [row[name] for row in rows for name in ("created", "updated")]
    if any(row.keys() != _ATTRIBUTES for row in rows) or any(time.keys() != _TIME for time in times):
        raise ValueError("an attribute is missing, or one that nobody foresaw is there")
    if any(point.get("relationships") for point in points):
        raise ValueError("relationships are columns of their own")
    printed = [time["string"] for time in times]
    return {
        "id": [int(point["id"]) for point in points],
        **{
            name: [row[name] for row in rows]
            for name in ("metric_id", "value", "counter", "calculated_value")
        },
        "created_at": printed[::2],
        "updated_at": printed[1::2],
    }


async def since(read: PageReader, cursor: Cursor, bounds: ReadBounds) -> AsyncIterator[NewPages]:
    """Yield what is new by id, the newest pages last."""
    newest = await read(1, descending=True)
    tail = await _tail(read, newest, cursor, bounds.overlap)
    if not _gap(tail[-1], cursor):
        yield NewPages([], tail)
        return
    start = None
    if cursor.last_id:
        start = await page_with(read, cursor.last_id, near=cursor.rows // PER_PAGE + 1)
    async for pages in upwards(read, tail[-1], start=start, limit=bounds.step_pages):
        yield NewPages(pages, tail if reaches(pages[-1], tail[-1]) else [])


async def _tail(read: PageReader, newest: ListPage, cursor: Cursor, overlap: int) -> list[ListPage]:
    """Return the newest pages: as many as the overlap wants, or as the cursor is away, if that is near.

    Downwards a new row shifts the others as a deleted one does, and the two can cancel out. So the newest
    page is read again too, and where anything moved it is returned alone: what lies below is then read
    upwards, where new rows are harmless.
    """
    wanted = 1
    if cursor.last_id and newest.more:
        away = _pages_below(newest, cursor.last_id)
        wanted = min(overlap, min(away, _NEAR_PAGES) + cursor.rows // PER_PAGE)
        wanted = max(wanted, away) if away <= _NEAR_PAGES else wanted
    if wanted == 1:
        return [newest]
    late = await read(wanted, descending=True)
    while not late.ids:
        late = await read(late.number - 1, descending=True)
    if late.number == 1:
        return [newest]
    between = await gather_bounded(*(read(number, descending=True) for number in range(2, late.number)))
    quiet = not between or (await read(late.number, descending=True)).ids == late.ids
    quiet = quiet and (await read(1, descending=True)).ids == newest.ids
    return [newest, *between, late] if quiet else [newest]


def _gap(lowest: ListPage, cursor: Cursor) -> bool:
    """Return whether the cursor's row, which may have been counted on since, or more lies below a page."""
    return lowest.more and lowest.ids[-1] > cursor.last_id


def _pages_below(newest: ListPage, last_id: int) -> int:
    """Guess which of the newest pages holds the cursor, from how dense the ids of the first one are."""
    spacing = max(1.0, (newest.ids[0] - newest.ids[-1]) / max(1, len(newest.ids) - 1))
    return max(1, math.floor((newest.ids[0] - last_id) / spacing / PER_PAGE) + 1)


points = partial(Listing, paging=replace(BY_ID, since=since), parse=parse)
"""Makes the listing of points from its path."""
