"""ByIdRequest for single rows, and only for those whose answer can differ from their row in the list.

In a list page a component's status within an incident is right only where the component stands first.
The rows where it does not are asked for by id; those that are with_details, old and as stored are carried over
from the destination instead, so that a quiet page costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from .errors import NotFound
from .event_loop import together
from .listing import Parsed, Shape
from .rows import Row


@dataclass(frozen=True)
class ByIdRequest:
    """Which rows are asked for beside the doubtful ones: all of them, or some named by id."""

    full_refresh: bool = False
    ids: Collection[int] = ()


async def with_details(
    listed: Parsed,
    shape: Shape,
    ask: Callable[[int], Awaitable[Parsed]],
    *,
    stored: list[Row],
    stored_links: list[Row],
    recent: datetime,
    by_id: ByIdRequest,
) -> Parsed:
    """Return the listed rows with every link as its by-id answer has it.

    Args:
        listed: The whole list.
        shape: What its documents hold.
        ask: Asks for one row by id; raises NotFound where it is gone.
        stored: The rows in the destination, from the same load as `stored_links`.
        stored_links: Their links in the destination.
        recent: Rows changed since then are asked for again.
        by_id: Which rows are asked for in any case.

    Raises:
        NotFound: A row named in `by_id.ids` does not exist. Other rows that are gone are left out.
    """
    known = {row["id"]: row for row in stored}
    known_links: dict[int, dict[int, Row]] = defaultdict(dict)
    for link in stored_links:
        known_links[link[f"{shape.parent}_id"]][link["component_id"]] = link
    links: dict[int, list[Row]] = defaultdict(list)
    for link in listed.rows.get(shape.links, []):
        links[link[f"{shape.parent}_id"]].append(link)

    def carried(row: Row) -> bool:
        before = known.get(row["id"])
        return (
            before is not None
            and row.get("status") == shape.final_status
            and isinstance(updated_at := row.get("updated_at"), datetime)
            and updated_at < recent
            and all(before[name] == row.get(name) for name in before)
            and {link["component_id"] for link in links[row["id"]]} == known_links[row["id"]].keys()
        )

    rows = {row["id"]: row for row in listed.rows[shape.table]}
    asked = set(by_id.ids) | (
        set(rows)
        if by_id.full_refresh
        else {number for number in listed.uncertain if not carried(rows[number])}
    )
    for number in listed.uncertain - asked:
        for link in links[number]:
            before = known_links[number][link["component_id"]]
            for name in ("component_status", "component_status_label"):
                link[name] = before[name]

    async def answer(number: int) -> Parsed | None:
        try:
            return await ask(number)
        except NotFound:
            if number in by_id.ids:
                raise
            return None

    numbers = sorted(asked)
    for number, single in zip(numbers, await together(*map(answer, numbers)), strict=True):
        if single is None:
            rows.pop(number, None)
            links.pop(number, None)
        else:
            rows[number] = single.rows[shape.table][0]
            links[number] = single.rows.get(shape.links, [])
    whole = Parsed({shape.table: [rows[number] for number in sorted(rows)]})
    if shape.links:
        whole.rows[shape.links] = [link for number in sorted(links) for link in links[number]]
    if shape.updates:
        whole.rows[shape.updates] = [
            update for update in listed.rows[shape.updates] if update[f"{shape.parent}_id"] in rows
        ]
    return whole


def recent_since(now: datetime, days: float) -> datetime:
    """Return the time since which a changed row counts as recent."""
    return now - timedelta(days=days)
