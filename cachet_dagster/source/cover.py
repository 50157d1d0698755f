"""Plans which pages of a list show how each row hit its components, in as few requests as a greedy search finds.

A list page gives a component's status within a row rightly where the component stands on the page for the first time,
whatever the page's size and direction. Which components a row has is known from the list, so which pages show every
link once is known before anything is asked.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Link = tuple[int, int]
"""Ids of a row and of a component that it hit."""

SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)


class PlannedPage(NamedTuple):
    """A page to ask for: in which direction, rows a page, its number from 1, and the ids that it must hold."""

    descending: bool
    per_page: int
    number: int
    ids: tuple[int, ...]


def plan_pages(
    ids: Sequence[int], components: Mapping[int, Sequence[int]], links: Iterable[Link]
) -> list[PlannedPage]:
    """Return pages that together show every link of some where its component stands first.

    Args:
        ids: Ids of all rows of the list, ascending.
        components: Each row's components, by its id.
        links: The links to show.
    """
    wanted = {*links}
    pages: dict[PlannedPage, set[Link]] = {}
    for descending in (False, True):
        ordered = ids[::-1] if descending else ids
        positions = {row_id: at for at, row_id in enumerate(ordered)}
        rows = {positions[row_id] for row_id, _ in wanted}
        for size in SIZES:
            for at in {position // size for position in rows}:
                page = PlannedPage(descending, size, at + 1, tuple(ordered[at * size : (at + 1) * size]))
                pages[page] = _shown(page.ids, components) & wanted
    # Of equals the first is taken, so that a plan is the same each time.
    heap = [(-len(shown), page) for page, shown in pages.items()]
    heapq.heapify(heap)
    chosen: list[PlannedPage] = []
    while wanted:
        gain, page = heapq.heappop(heap)
        shown = pages[page] & wanted
        if len(shown) < -gain:
            # Others may show more by now.
            heapq.heappush(heap, (-len(shown), page))
            continue
        wanted -= shown
        chosen.append(page)
    return chosen


def fewest_pages(links: Iterable[Link]) -> int:
    """Return a number of pages below which no plan can be: a page shows each component once."""
    return max(Counter(component for _, component in links).values(), default=0)


def _shown(ids: Sequence[int], components: Mapping[int, Sequence[int]]) -> set[Link]:
    seen: set[int] = set()
    shown: set[Link] = set()
    for row_id in ids:
        new = [component for component in components.get(row_id, ()) if component not in seen]
        shown.update((row_id, component) for component in new)
        seen.update(new)
    return shown
