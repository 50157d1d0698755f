"""Single rows asked for by id, and only those whose answer can differ from their row in the list.

In a list page a component's status within an incident is right only where the component stands first.
The rows where it does not are asked for by id; those that are finished, old and as stored are carried over
from the destination instead, so that a quiet page costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from .errors import NotFound
from .event_loop import gather_bounded
from .listing import Parsed, TableMapping
from .rows import Row


@dataclass(frozen=True)
class ByIdRequest:
    """Which rows are asked for beside the doubtful ones: all of them, or some named by id."""

    full_refresh: bool = False
    ids: Collection[int] = ()


async def with_details(
    listed: Parsed,
    mapping: TableMapping,
    ask: Callable[[int], Awaitable[Parsed]] | None,
    *,
    stored: list[Row],
    stored_links: list[Row],
    recent: datetime,
    by_id: ByIdRequest,
) -> Parsed:
    """Return the listed rows with every link as its by-id answer has it.

    Args:
        listed: The whole list.
        mapping: Which tables its documents hold.
        ask: Asks for one row by id; raises NotFound where it is gone. None where that tells no more than the list.
        stored: The rows in the destination, from the same load as `stored_links`.
        stored_links: Their links in the destination.
        recent: Rows changed since then are asked for again.
        by_id: Which rows are asked for in any case.

    Raises:
        NotFound: A row named in `by_id.ids` does not exist. Other rows that are gone are left out.
    """
    if ask is None:
        unknown = sorted({*by_id.ids} - {row["id"] for row in listed.rows[mapping.table]})
        if unknown:
            raise NotFound(f"there is no row {unknown[0]}", "Check the id.", mapping.table)
        return listed
    known, links = (
        _Known.of(stored, stored_links, mapping),
        _by_parent(listed.rows.get(mapping.links, []), mapping),
    )
    rows = {row["id"]: row for row in listed.rows[mapping.table]}
    carried = {
        number
        for number in listed.needs_detail
        if not by_id.full_refresh and known.holds(rows[number], links[number], mapping, recent)
    }
    asked = set(by_id.ids) | (set(rows) if by_id.full_refresh else listed.needs_detail - carried)
    for number in carried - asked:
        known.carry_over(number, links[number])

    async def answer(number: int) -> Parsed | None:
        try:
            return await ask(number)
        except NotFound:
            if number in by_id.ids:
                raise
            return None

    numbers = sorted(asked)
    for number, single in zip(numbers, await gather_bounded(*map(answer, numbers)), strict=True):
        if single is None:
            rows.pop(number, None)
            links.pop(number, None)
        else:
            rows[number] = single.rows[mapping.table][0]
            links[number] = single.rows.get(mapping.links, [])
    whole = Parsed({mapping.table: [rows[number] for number in sorted(rows)]})
    if mapping.links:
        whole.rows[mapping.links] = [link for number in sorted(links) for link in links[number]]
    if mapping.updates:
        whole.rows[mapping.updates] = [
            update for update in listed.rows[mapping.updates] if update[f"{mapping.parent}_id"] in rows
        ]
    return whole


@dataclass(frozen=True)
class _Known:
    """Rows in the destination by id, and the links of each by the id of the component."""

    rows: dict[int, Row]
    links: dict[int, dict[int, Row]]

    @classmethod
    def of(cls, rows: list[Row], links: list[Row], mapping: TableMapping) -> _Known:
        by_component = {
            number: {link["component_id"]: link for link in of_row}
            for number, of_row in _by_parent(links, mapping).items()
        }
        return cls({row["id"]: row for row in rows}, by_component)

    def holds(self, row: Row, links: list[Row], mapping: TableMapping, recent: datetime) -> bool:
        """Return whether a listed row is finished, old and as stored, and has the same components."""
        before = self.rows.get(row["id"])
        return (
            before is not None
            and row.get("status") == mapping.final_status
            and isinstance(updated_at := row.get("updated_at"), datetime)
            and updated_at < recent
            and all(before[name] == row.get(name) for name in before)
            and {link["component_id"] for link in links} == self.links.get(row["id"], {}).keys()
        )

    def carry_over(self, number: int, links: list[Row]) -> None:
        """Give a row's listed links the status that is stored of each."""
        for link in links:
            before = self.links[number][link["component_id"]]
            for name in ("component_status", "component_status_label"):
                link[name] = before[name]


def _by_parent(links: list[Row], mapping: TableMapping) -> defaultdict[int, list[Row]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for link in links:
        found[link[f"{mapping.parent}_id"]].append(link)
    return found


def recent_since(now: datetime, days: float) -> datetime:
    """Return the time since which a changed row counts as recent."""
    return now - timedelta(days=days)
