"""How badly each component was hit: the links of incidents and schedules, read by pages that are planned.

In a list page a component's status within an incident is right only where the component stands first. `cover.py` plans
pages on which every other link stands first once; a link counts as read where an answer shows it so, whatever was
planned. Every link is read at every load as long as that takes few requests. Beyond it, a load reads what is new,
changed or unresolved, and an hour's share of the others, whose stored status is carried over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .cover import Link, PlannedPage, fewest_pages, plan_pages
from .errors import CachetError, NotFound, NotUnderstood, Unreachable
from .event_loop import gather_bounded
from .listing import Parsed, TableMapping
from .pagination import ListPage, PageReader
from .rows import Row
from .tables import COMPONENT_STATUS

SHARES = 23
"""Parts of the links that are read in turn, one an hour. It is prime, so that syncs at any interval meet all parts."""

RUN = 25
"""Ids that follow one another belong to one part, since neighbours can share a page."""

SAMPLE = 2
"""Rows asked for by id at each load, as proof of what pages showed."""

MOST_UNREADABLE = 10
"""Rows that may be unreadable before the whole endpoint counts as failed."""

_ROUNDS = 3
_UNKNOWN = 5


@dataclass(frozen=True)
class ByIdRequest:
    """What is read beside what a load reads anyway: every link, or rows that are asked for by id."""

    full_refresh: bool = False
    ids: Collection[int] = ()


@dataclass
class DetailReader:
    """Reads what a list does not tell of its rows.

    Args:
        mapping: The tables of the list.
        read: Reads a page of it.
        ask: Asks for one row by id; raises NotFound where it is gone. None where that tells no more than the list.
        stored: The rows in the destination, from the same load as `stored_links`.
        stored_links: Their links in the destination.
        request: What is read in any case.
        most_pages: Requests up to which every link is read.
        at: The present, which decides whose turn it is.
        log: Called with what a person may want to know.
    """

    mapping: TableMapping
    read: PageReader
    ask: Callable[[int], Awaitable[Parsed]] | None
    stored: Sequence[Row]
    stored_links: Sequence[Row]
    request: ByIdRequest
    most_pages: int
    at: datetime
    log: Callable[[str], None]
    _rows: dict[int, Row] = field(init=False, default_factory=dict)
    _links: dict[int, dict[int, Row]] = field(init=False, default_factory=dict)

    async def complete(self, listed: Parsed) -> Parsed:
        """Return the listed rows with every link as Cachet has it.

        Args:
            listed: The whole list.

        Raises:
            NotFound: A row that is named does not exist. Other rows that are gone are left out.
            NotUnderstood: A row that was asked for by id is another one.
        """
        self._rows = {row["id"]: row for row in listed.rows[self.mapping.table]}
        if self.ask is None:
            unknown = sorted({*self.request.ids} - self._rows.keys())
            if unknown:
                raise NotFound(f"there is no row {unknown[0]}", "Check the id.", self.mapping.table)
            return listed
        self._links = _by_parent(listed.rows.get(self.mapping.links, []), self.mapping)
        wanted = self._wanted(listed.unproven)
        self._carry_over(listed.unproven - wanted)
        left = await self._read_pages(wanted)
        unreadable = await self._ask_by_id(wanted, left)
        return self._whole(listed, unreadable)

    def _wanted(self, unproven: set[Link]) -> set[Link]:
        """Return the links to read: all where that takes few requests."""
        if self.request.full_refresh or (
            fewest_pages(unproven) <= self.most_pages and len(self._plan(unproven)) <= self.most_pages
        ):
            return unproven
        turn = int(self.at.timestamp() // 3600) % SHARES
        unchanged = self._unchanged({row_id for row_id, _ in unproven})
        return {link for link in unproven if link[0] not in unchanged or link[0] // RUN % SHARES == turn}

    def _plan(self, links: Iterable[Link], ids: Collection[int] | None = None) -> list[PlannedPage]:
        components = {row_id: [*found] for row_id, found in self._links.items()}
        return plan_pages(sorted(self._rows if ids is None else ids), components, links)

    def _unchanged(self, ids: Iterable[int]) -> set[int]:
        """Return those of some rows that are finished and as stored, and have the same components."""
        stored = {row["id"]: row for row in self.stored}
        links = _by_parent(self.stored_links, self.mapping)
        return {
            row_id
            for row_id in ids
            if row_id in stored
            and self._rows[row_id].get("status") == self.mapping.final_status
            and all(value == self._rows[row_id].get(name) for name, value in stored[row_id].items())
            and self._links[row_id].keys() == links.get(row_id, {}).keys()
        }

    def _carry_over(self, links: Iterable[Link]) -> None:
        """Give listed links the status that is stored of each."""
        stored = _by_parent(self.stored_links, self.mapping)
        for row_id, component_id in links:
            before = stored[row_id][component_id]
            for name in ("component_status", "component_status_label"):
                self._links[row_id][component_id][name] = before[name]

    async def _read_pages(self, wanted: set[Link]) -> set[Link]:
        """Read links by planned pages, and return those that no answer showed."""
        left, ids = {*wanted}, {*self._rows}
        for _ in range(_ROUNDS):
            planned = self._plan((link for link in left if link[0] in ids), ids)
            pages = await gather_bounded(*map(self._planned_page, planned))
            for page in pages:
                for link, row in page.rows.proven(self.mapping).items() if page else ():
                    if link in left:
                        self._links[link[0]][link[1]] = row
                        left.discard(link)
            # Where rows moved, those that are gone are known, and what is left is planned anew.
            gone = {
                row_id
                for plan, page in zip(planned, pages, strict=True)
                if page and page.ids
                for row_id in plan.ids
                if min(page.ids) <= row_id <= max(page.ids) and row_id not in page.ids
            }
            if not left or not gone:
                break
            ids -= gone
        return left

    async def _planned_page(self, planned: PlannedPage) -> ListPage | None:
        try:
            return await self.read(planned.number, descending=planned.descending, per_page=planned.per_page)
        except Unreachable as error:
            # One row that the server cannot print costs a page, and not the others.
            self.log(f"{self.mapping.table}: a page could not be read ({error.what})")
            return None

    async def _ask_by_id(self, wanted: set[Link], left: set[Link]) -> set[int]:
        """Ask for what is named or left, and for a sample as proof; return the rows that could not be read."""
        seen = sorted({row_id for row_id, _ in wanted - left})
        start = int(self.at.timestamp() // 3600) % max(1, len(seen))
        sample = {*(seen[start:] + seen[:start])[:SAMPLE]}
        shown = {row_id: _statuses(self._links[row_id].values()) for row_id in sample}
        unreadable = await self._ask({*self.request.ids, *(row_id for row_id, _ in left), *sample})
        differ = [
            row_id
            for row_id in sample - unreadable
            if row_id in self._rows and _statuses(self._links[row_id].values()) != shown[row_id]
        ]
        if len(differ) == SAMPLE:
            # One may have changed meanwhile. Where all differ, this Cachet's pages do not show what others' do.
            self.log(f"{self.mapping.table}: list pages differ from single rows, so each is asked for by id")
            unreadable |= await self._ask({row_id for row_id, _ in wanted})
        unknown = {link for link in left if link[0] in unreadable}
        unchanged = self._unchanged({row_id for row_id, _ in unknown})
        self._carry_over(link for link in unknown if link[0] in unchanged)
        for row_id, component_id in unknown:
            if row_id not in unchanged:
                status = {"component_status": _UNKNOWN, "component_status_label": COMPONENT_STATUS[_UNKNOWN]}
                self._links[row_id][component_id].update(status)
        return {row_id for row_id, _ in unknown}

    async def _ask(self, ids: Iterable[int]) -> set[int]:
        """Take rows and links from their by-id answers, and return the rows that could not be read."""
        numbers = sorted(ids)
        unreadable: dict[int, CachetError] = {}
        for row_id, answer in zip(numbers, await gather_bounded(*map(self._answer, numbers)), strict=True):
            if answer is None:
                self._rows.pop(row_id, None)
                self._links.pop(row_id, None)
            elif isinstance(answer, CachetError):
                unreadable[row_id] = answer
            else:
                self._rows[row_id] = answer.rows[self.mapping.table][0]
                links = answer.rows.get(self.mapping.links, [])
                self._links[row_id] = {link["component_id"]: link for link in links}
        if len(unreadable) > MOST_UNREADABLE:
            raise unreadable[min(unreadable)]
        for row_id, error in unreadable.items():
            self.log(f"{self.mapping.table}: row {row_id} cannot be read by its id ({error.what})")
        return {*unreadable}

    async def _answer(self, row_id: int) -> Parsed | CachetError | None:
        assert self.ask is not None
        try:
            answer = await self.ask(row_id)
        except NotFound:
            if row_id in self.request.ids:
                raise
            return None
        except Unreachable as error:
            if row_id in self.request.ids:
                raise
            return error
        found = answer.rows[self.mapping.table][0]["id"]
        if found != row_id:
            raise NotUnderstood(
                f"asked for {row_id}, the server answers {found}",
                "Update Cachet: before February 2025 it answered every id with its first incident.",
            )
        return answer

    def _whole(self, listed: Parsed, unreadable: set[int]) -> Parsed:
        mapping = self.mapping
        whole = Parsed({mapping.table: [self._rows[row_id] for row_id in sorted(self._rows)]})
        whole.unreadable = unreadable
        if mapping.links:
            whole.rows[mapping.links] = [
                links[component_id]
                for row_id, links in sorted(self._links.items())
                if row_id in self._rows
                for component_id in sorted(links)
            ]
        if mapping.updates:
            whole.rows[mapping.updates] = [
                update
                for update in listed.rows[mapping.updates]
                if update[f"{mapping.parent}_id"] in self._rows
            ]
        return whole


def _by_parent(links: Iterable[Row], mapping: TableMapping) -> dict[int, dict[int, Row]]:
    found: dict[int, dict[int, Row]] = {}
    for link in links:
        found.setdefault(link[f"{mapping.parent}_id"], {})[link["component_id"]] = link
    return found


def _statuses(links: Iterable[Row]) -> dict[int, object]:
    return {link["component_id"]: link.get("component_status") for link in links}
