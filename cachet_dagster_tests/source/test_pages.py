"""Reading a list completely while it changes: the proof of `pages`, searched for counterexamples.

The list is an in-memory one, changed between page reads by a script that hypothesis writes. Rows come in by
a higher id than any before, as in a database; a row that existed throughout a scan may never be lost.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachet_dagster.source.cachet3.pagination import page_with, upwards, whole_list
from cachet_dagster.source.pagination import PER_PAGE, ListChanged, ListPage

Change = tuple[str, float, int]


@dataclass
class PagedList:
    """Ids cut into pages of 100; each read may be held back, and changes the list before it is answered."""

    ids: list[int]
    changes: dict[int, Change] = field(default_factory=dict)
    delays: list[int] = field(default_factory=list)
    reads: int = 0

    def __post_init__(self) -> None:
        self.last_id = max(self.ids, default=0)
        self.throughout = set(self.ids)

    async def __call__(self, number: int, *, descending: bool = False, per_page: int = PER_PAGE) -> ListPage:
        self.reads += 1
        turn = self.reads
        for _ in range(self.delays[turn % len(self.delays)] if self.delays else 0):
            await asyncio.sleep(0)
        if turn in self.changes:
            self.change(*self.changes[turn])
        ids = self.ids[::-1] if descending else self.ids
        first = (number - 1) * per_page
        return ListPage(number, ids[first : first + per_page], len(ids) > first + per_page)

    def change(self, kind: str, where: float, count: int) -> None:
        if kind == "appear":
            shown = set(self.ids)
            hidden = [number for number in range(1, min(self.last_id, 2000)) if number not in shown]
            self.ids = sorted(self.ids + hidden[int(where * len(hidden)) :][:count])
        elif kind == "add":
            self.ids = self.ids + list(range(self.last_id + 1, self.last_id + 1 + count))
            self.last_id += count
        else:
            at = int(where * len(self.ids))
            self.throughout -= set(self.ids[at : at + count])
            self.ids = self.ids[:at] + self.ids[at + count :]


def ids_of(runs: list[tuple[int, int, int]]) -> list[int]:
    """Return ids from runs of (how many, how far apart, gap before)."""
    ids: list[int] = []
    last = 0
    for count, spacing, gap in runs:
        last += gap
        ids += range(last + spacing, last + spacing * count + 1, spacing)
        last = ids[-1] if ids else last
    return ids


def found(pages: list[ListPage]) -> set[int]:
    return {number for page in pages for number in page.ids}


some_ids = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 450), st.sampled_from([99, 100, 101, 200])),
        st.sampled_from([1, 1, 2, 7, 1000]),
        st.sampled_from([0, 0, 1, 350, 10**6]),
    ),
    max_size=4,
).map(ids_of)
some_change = st.one_of(
    st.tuples(st.just("add"), st.just(0.0), st.integers(1, 250)),
    st.tuples(
        st.just("delete"),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.integers(1, 3), st.integers(1, 300)),
    ),
)
# A row may also appear among the others: an embargo that ends, a component that is enabled.
some_growth = st.one_of(
    st.tuples(st.just("add"), st.just(0.0), st.integers(1, 250)),
    st.tuples(st.just("appear"), st.floats(0, 1, exclude_max=True), st.integers(1, 120)),
)
some_changes = st.dictionaries(st.integers(1, 30), some_change, max_size=6)
some_delays = st.lists(st.integers(0, 3), max_size=7)


@settings(max_examples=400, deadline=None)
@given(some_ids, some_changes, some_delays, st.integers(0, 2000))
def test_a_whole_list_never_loses_a_row_that_existed_throughout(
    ids: list[int], changes: dict[int, Change], delays: list[int], rows: int
) -> None:
    listed = PagedList(ids, changes, delays)

    try:
        pages = asyncio.run(whole_list(listed, rows=rows))
    except ListChanged:
        return

    assert listed.throughout <= found(pages)


@settings(max_examples=150, deadline=None)
@given(some_ids, st.dictionaries(st.integers(1, 30), some_growth, max_size=6), some_delays)
def test_rows_that_appear_anywhere_while_nothing_is_deleted_lose_no_other(
    ids: list[int], changes: dict[int, Change], delays: list[int]
) -> None:
    listed = PagedList(ids, changes, delays)

    try:
        pages = asyncio.run(whole_list(listed))
    except ListChanged:
        return

    assert set(ids) <= found(pages)


@settings(max_examples=400, deadline=None)
@given(some_ids.filter(lambda ids: len(ids) > PER_PAGE), some_changes, some_delays, st.data())
def test_each_step_upwards_is_complete_to_its_end_even_if_a_later_one_fails(
    ids: list[int], changes: dict[int, Change], delays: list[int], data: st.DataObject
) -> None:
    listed = PagedList(ids, changes, delays)
    cursor = data.draw(st.one_of(st.just(0), st.integers(0, ids[-1] + 1), st.sampled_from(ids)), "cursor")
    limit = data.draw(st.integers(2, 6), "limit")
    near = data.draw(st.integers(1, 40), "near")

    async def scan() -> tuple[set[int], int, bool]:
        newest = await listed(1, descending=True)
        if not newest.more:
            return found([newest]), listed.last_id, True
        seen: set[int] = set()
        end = 0
        try:
            start = await page_with(listed, cursor, near=near) if cursor else None
            async for pages in upwards(listed, newest, start=start, limit=limit):
                seen |= found(pages)
                end = pages[-1].ids[-1]
        except ListChanged:
            return seen, end, False
        return seen | found([newest]), max(newest.ids), True

    seen, end, _ = asyncio.run(scan())

    assert {number for number in listed.throughout if cursor < number <= end} <= seen


@given(st.integers(0, 3000), st.sampled_from([1, 20]))
@settings(max_examples=150, deadline=None)
def test_a_quiet_list_takes_a_request_a_page_and_one_or_two_for_the_proof(count: int, spacing: int) -> None:
    unknown, known = PagedList(ids_of([(count, spacing, 0)])), PagedList(ids_of([(count, spacing, 0)]))
    pages = max(1, math.ceil(count / PER_PAGE))

    first = found(asyncio.run(whole_list(unknown)))
    second = found(asyncio.run(whole_list(known, rows=count)))

    assert first == second == set(known.ids)
    if pages == 1:
        assert unknown.reads == known.reads == 1
    elif count % PER_PAGE or spacing == 1:
        assert unknown.reads <= pages + 2
        assert known.reads <= pages + 1
    else:
        # Whether a row lies in the gap of ids between the last whole page and the newest one takes a look.
        assert unknown.reads <= pages + 3
        assert known.reads <= pages + 3


@settings(max_examples=200, deadline=None)
@given(st.integers(101, 3000), st.integers(1, 100_000))
def test_a_wrong_guess_of_a_list_s_length_costs_its_logarithm(count: int, rows: int) -> None:
    listed = PagedList(ids_of([(count, 1, 0)]))

    pages = asyncio.run(whole_list(listed, rows=rows))

    assert found(pages) == set(listed.ids)
    assert listed.reads <= math.ceil(count / PER_PAGE) + 2 * math.log2(max(2, rows / count)) + 4


@settings(max_examples=200, deadline=None)
@given(some_ids.filter(lambda ids: len(ids) > PER_PAGE))
def test_ids_with_gaps_cost_at_most_every_page_twice_and_the_logarithm_of_the_gaps(ids: list[int]) -> None:
    listed = PagedList(ids)

    pages = asyncio.run(whole_list(listed))

    assert found(pages) == set(ids)
    assert listed.reads <= 2 * math.ceil(len(ids) / PER_PAGE) + math.log2(ids[-1]) + 2


def test_rows_that_keep_being_deleted_are_said_so() -> None:
    listed = PagedList(list(range(1, 1001)), dict.fromkeys(range(1, 200), ("delete", 0.0, 1)))

    with pytest.raises(ListChanged):
        asyncio.run(whole_list(listed))


@settings(max_examples=200, deadline=None)
@given(some_ids.filter(bool), st.integers(1, 60), st.data())
def test_bisection_finds_the_page_of_a_cursor_whether_its_row_still_exists_or_not(
    ids: list[int], near: int, data: st.DataObject
) -> None:
    listed = PagedList(ids)
    cursor = data.draw(st.one_of(st.sampled_from(ids), st.integers(1, ids[-1] + 5)))

    page = asyncio.run(page_with(listed, cursor, near=near))

    if ids[0] > cursor:
        assert page.number == 1
    else:
        assert page.ids[0] <= cursor
        assert not page.more or page.ids[-1] >= cursor or ids[page.number * PER_PAGE] > cursor
    distance = abs(math.ceil(len(ids) / PER_PAGE) - near) + near
    assert listed.reads <= 2 * math.log2(distance + 1) + 3
