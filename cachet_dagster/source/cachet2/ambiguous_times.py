"""Times that may stand for a null: Cachet 2 prints a null time as the current one, and asking twice tells them apart.

A null moves on with the server's clock, a time does not. So a time within moments of its answer is compared with the
destination, where the row is stored as it was last changed, and only what that cannot tell is asked for again, a
second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from cachet_dagster.source.event_loop import gather_bounded
from cachet_dagster.source.listing import Parsed, TableMapping
from cachet_dagster.source.pagination import ListPage, PageReader
from cachet_dagster.source.rows import Row

LATER_SECONDS = 1.1
"""Seconds after which a null is printed as another time: Cachet prints whole seconds."""


async def resolve(
    parsed: Parsed,
    mapping: TableMapping,
    pages: Sequence[ListPage],
    read: PageReader,
    stored: Sequence[Row],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Tell times from nulls that are printed as the current time, asking again where need be.

    Args:
        parsed: The whole list.
        mapping: Its tables.
        pages: The pages that it was read from.
        read: Reads a page again.
        stored: Its rows in the destination.
        sleep: Waits so many seconds.
    """
    _resolve_by_stored(parsed, mapping.table, stored)
    if parsed.ambiguous:
        await sleep(LATER_SECONDS)
        _resolve_by_later(parsed, mapping.table, await _read_again(parsed, pages, read))


async def _read_again(parsed: Parsed, pages: Sequence[ListPage], read: PageReader) -> Iterable[Parsed]:
    """Read the pages that hold ambiguous times again, and the next ones, onto which rows may have been pushed."""

    async def again(wanted: set[tuple[int, bool, int]]) -> list[ListPage]:
        return await gather_bounded(
            *(read(number, descending=down, per_page=size) for number, down, size in sorted(wanted))
        )

    numbers = {
        (page.number, page.descending, page.per_page) for page in pages if parsed.ambiguous.keys() & page.ids
    }
    later = await again(numbers)
    missing = parsed.ambiguous.keys() - {number for page in later for number in page.ids}
    if missing and any(page.more for page in later):
        later += await again({(number + 1, down, size) for number, down, size in numbers} - numbers)
    return [page.rows for page in later]


def _resolve_by_stored(parsed: Parsed, table: str, stored: Sequence[Row]) -> None:
    """Decide what the destination tells: a row that was not changed since has the time, or the null, that it had."""
    known = {row["id"]: row for row in stored if row["id"] in parsed.ambiguous}
    for row in parsed.rows[table]:
        before = known.get(row["id"])
        if before is None or before["updated_at"] != row.get("updated_at"):
            continue
        undecided = []
        for time in parsed.ambiguous.pop(row["id"]):
            if _holds(before, time.columns):
                row.update(time.columns)
            elif not _holds(before, {name: row.get(name) for name in time.columns}):
                undecided.append(time)
        if undecided:
            parsed.ambiguous[row["id"]] = undecided


def _resolve_by_later(parsed: Parsed, table: str, later: Iterable[Parsed]) -> None:
    """Decide what later answers about the same rows tell; of a row that they do not hold nothing is decided."""
    rows = {row["id"]: row for row in parsed.rows[table]}
    for page in later:
        for number in [row["id"] for row in page.rows[table] if row["id"] in parsed.ambiguous]:
            again = {time.name: time for time in page.ambiguous.get(number, [])}
            for time in parsed.ambiguous.pop(number):
                # One that is near the clock no more is a time, too. An answer from a cache tells nothing.
                now = again.get(time.name)
                if now is None or (now.printed == time.printed and now.at > time.at):
                    rows[number].update(time.columns)


def _holds(row: Row, columns: Row) -> bool:
    return all(row.get(name) == value for name, value in columns.items())
