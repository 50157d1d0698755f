"""Points of Cachet 2's metrics, which come newest first and obey no sort: what is new is told by the time.

There is no filter either, but every answer names the `total`. One page from the top is enough if it reaches
behind the newest time that the destination holds and its new ids make up what is missing there; else
points came with a past time or were deleted, and the metric is read whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

import msgspec

from cachet_dagster.source.pages import Page, PageReader
from cachet_dagster.source.points.arrow import page_decoder
from cachet_dagster.source.rows import Row, RowContext, timestamp
from cachet_dagster.source.stored import Cursor

from . import rows
from .pages import BIG_PAGE, one_page


class _Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: int
    metric_id: int
    value: float
    counter: int
    calculated_value: float
    created_at: str
    updated_at: str


class _Document(TypedDict, total=False):
    data: list[_Point]
    meta: Any


def _columns(points: Sequence[_Point]) -> dict[str, Sequence[Any]]:
    return {name: [getattr(point, name) for point in points] for name in _Point.__struct_fields__}


decoded = page_decoder(_Document, _columns)
"""Return a document of Cachet 2's points whose `data` is a PlainPage; None where any of it is odd."""


def flatten(resource: Any, context: RowContext) -> Row:
    """Return one point as one row, whatever its shape."""
    return rows.flatten(resource, "metric_points", context)


async def new_pages(read: PageReader, cursor: Cursor, overlap: int) -> list[Page]:
    """Return pages that hold all points that the destination lacks, the newest page first.

    Takes 1 request where fewer than `overlap` points are new, 2 where up to 10,000 are, and 1 for each
    10,000 points of a metric that is read whole. What the total cannot tell is a point with a past time
    where as many were deleted as came with one: a full refresh finds it.

    Args:
        read: Reads a page.
        cursor: What the destination holds.
        overlap: Newest points read again, since points change.

    Raises:
        Moved: The metric had to be read whole, and its pages never held as many points as it has.
    """
    if not cursor.rows:
        return await one_page(read)
    page = await read(1, per_page=overlap)
    wider = overlap + max(0, page.total - cursor.rows)
    if not _enough(page, cursor) and overlap < wider <= BIG_PAGE:
        # One page, and not the next ones: points of the same time fall between pages.
        page = await read(1, per_page=wider)
    return [page] if _enough(page, cursor) else await one_page(read)


def _enough(page: Page, cursor: Cursor) -> bool:
    """Return whether the page holds all that the destination lacks."""
    if len(set(page.ids)) == page.total:
        return True
    new = sum(number > cursor.last_id for number in page.ids)
    return cursor.rows + new == page.total and _reaches(page, cursor)


def _reaches(page: Page, cursor: Cursor) -> bool:
    """Return whether the page ends before the newest stored point, so that all newer ones are on it."""
    times = page.rows.column("created_at")
    oldest = timestamp(times[-1].as_py(), ZoneInfo("UTC")) if len(times) else None
    last = cursor.last_at
    if not isinstance(oldest, datetime) or last is None:
        return False
    return oldest < (last if last.tzinfo else last.replace(tzinfo=timezone.utc))
