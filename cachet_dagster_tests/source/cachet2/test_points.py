"""Points of a Cachet 2: newest first and in no certain order, and still nothing lost and few requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachet_dagster.demo.arrivals import Arrivals
from cachet_dagster.demo.cachet2 import Cachet2World
from cachet_dagster.demo.world import instant
from cachet_dagster.source import CachetReader
from cachet_dagster.source.cachet2 import metric_points as cachet2_points
from cachet_dagster.source.cachet2.parsing import flatten
from cachet_dagster.source.endpoints import ENDPOINTS
from cachet_dagster.source.errors import NotFound, Unstable
from cachet_dagster.source.points.columns import SCHEMA, irregular_page, points_table
from cachet_dagster.source.points.read import MetricStep, read_points
from cachet_dagster.source.rows import RowContext
from cachet_dagster.source.stored import Cursor
from cachet_dagster_tests.source.cachet2.test_cachet2 import (
    TIME,
    answering,
    before_each,
    ids_read_naively,
    reader_of,
    serving,
)
from cachet_dagster_tests.source.points.test_read import NAMES, VALUES, Disturbance, bump, by_column, post

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
Rows = dict[int, dict[str, Any]]


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def point(number: int, seconds: float | None = None, metric_id: int = 1) -> dict[str, Any]:
    created = at(60 * number if seconds is None else seconds)
    return {
        **{"id": number, "metric_id": metric_id, "value": number / 8, "counter": 1},
        **{"created_at": created, "updated_at": created},
    }


def metric_world(points: list[dict[str, Any]], metrics: int = 1) -> Cachet2World:
    world = Cachet2World({"metric_points": points})
    for number in range(1, metrics + 1):
        world.add("metrics", name=f"Metric {number}", created_at=at(0), updated_at=at(0))
    return world


def truth(world: Cachet2World) -> Rows:
    return {
        row["id"]: {
            **{name: row[name] for name in ("id", "metric_id", "value", "counter")},
            "calculated_value": row["value"] * row["counter"],
            **{
                name: datetime.fromisoformat(row[name]).replace(tzinfo=timezone.utc)
                for name in ("created_at", "updated_at")
            },
        }
        for row in world.rows("metric_points")
    }


@dataclass
class Warehouse:
    """What a destination does with the steps: points merged on their id, and the cursors that they give."""

    rows: Rows = field(default_factory=dict)

    @property
    def cursors(self) -> dict[int, Cursor]:
        own: dict[int, list[dict[str, Any]]] = {}
        for row in self.rows.values():
            own.setdefault(row["metric_id"], []).append(row)
        return {
            metric_id: Cursor(
                len(rows),
                max(row["id"] for row in rows),
                min(row["created_at"] for row in rows),
                max(row["created_at"] for row in rows),
            )
            for metric_id, rows in own.items()
        }

    def load(self, reader: CachetReader, *metric_ids: int, **options: Any) -> list[MetricStep]:
        batches = read_points(reader, metric_ids or (1,), self.cursors, **options)
        steps = [step for batch in batches for step in batch]
        for step in steps:
            ids = step.rows.column("id").to_pylist()
            assert ids == sorted(set(ids))
            assert step.rows.schema.equals(SCHEMA)
            read = {row["id"]: row for row in step.rows.to_pylist()}
            if step.whole:
                self.rows = {
                    number: row for number, row in self.rows.items() if row["metric_id"] != step.metric_id
                }
            self.rows |= read
        return steps


def points_requests(server: Any) -> int:
    return sum(count for path, count in server.paths.items() if path.endswith("/points"))


def points_requests_of(server: Any, warehouse: Warehouse) -> int:
    """Load, and return the requests for points that it took."""
    before = points_requests(server)
    warehouse.load(reader_of(server))
    return points_requests(server) - before


def test_a_first_load_takes_one_request_a_metric():
    world = metric_world([point(number, metric_id=number % 3 + 1) for number in range(1, 1000)], metrics=3)
    warehouse = Warehouse()

    with serving(world) as server:
        steps = warehouse.load(reader_of(server), 1, 2, 3)

    assert warehouse.rows == truth(world)
    assert [(step.last, step.error) for step in steps] == [(True, None)] * 3
    assert points_requests(server) == 3


def test_a_metric_without_news_takes_one_request_of_a_thousand_points():
    world = metric_world([point(number) for number in range(1, 3000)])
    warehouse = Warehouse(truth(world))

    with serving(world) as server:
        steps = warehouse.load(reader_of(server))
        asked = [request.query for request in server.requests if request.path.endswith("/points")]

    assert (steps[0].rows.num_rows, steps[0].whole) == (1_000, False)
    assert steps[0].newest == [number / 8 for number in range(2960, 3000)]
    assert asked == ["per_page=1000&page=1"]


@pytest.mark.parametrize(
    ("new", "requests"), [(1, 1), (998, 1), (999, 2), (8_000, 2), (9_500, 2), (15_000, 3)]
)
def test_new_points_take_two_requests_and_one_more_for_each_ten_thousand(new, requests):
    world = metric_world([point(number) for number in range(1, 3000)])
    warehouse = Warehouse(truth(world))
    for number in range(new):
        world.add("metric_points", **point(3000 + number))

    with serving(world, database="mysql") as server:
        steps = warehouse.load(reader_of(server))

    assert warehouse.rows == truth(world)
    assert points_requests(server) == requests == steps[0].requests


def test_a_counter_that_rises_on_the_last_point_loaded_is_seen_however_many_came_after_it():
    world = metric_world([point(number) for number in range(1, 2000)])
    warehouse = Warehouse(truth(world))
    world.update("metric_points", 1999, counter=7)
    for number in range(2000, 3500):
        world.add("metric_points", **point(number))

    with serving(world) as server:
        warehouse.load(reader_of(server))

    assert warehouse.rows[1999]["counter"] == 7
    assert warehouse.rows == truth(world)


def test_a_point_with_a_past_time_makes_the_metric_be_read_whole_once():
    world = metric_world([point(number) for number in range(1, 3000)])
    warehouse = Warehouse(truth(world))
    world.add("metric_points", **point(3000, seconds=-3600))
    world.add("metric_points", **point(3001))

    with serving(world) as server:
        counted = [points_requests_of(server, warehouse) for _ in range(2)]

    assert warehouse.rows == truth(world)
    assert counted == [2, 1]


def test_after_a_deletion_a_point_with_a_past_time_is_found_by_the_next_load():
    world = metric_world([point(number) for number in range(1, 3000)])
    warehouse = Warehouse(truth(world))

    with serving(world) as server:
        world.delete("metric_points", 500, hard=True)
        warehouse.load(reader_of(server))
        settled = warehouse.rows == truth(world)
        world.add("metric_points", **point(3000, seconds=-3600))
        warehouse.load(reader_of(server))

    assert settled
    assert warehouse.rows == truth(world)


@pytest.mark.parametrize(("count", "pages"), [(25_000, 3), (95_000, 10)])
def test_the_newest_point_may_have_a_past_time_and_each_kind_of_load_takes_as_few_requests(count, pages):
    world = metric_world([point(number) for number in range(1, count)])
    warehouse = Warehouse(truth(world))
    world.add("metric_points", **point(count, seconds=-3600))

    with serving(world) as server:
        found = points_requests_of(server, warehouse)
        quiet = points_requests_of(server, warehouse)
        refreshed = points_requests_of(server, Warehouse())
        world.delete("metric_points", 7_000, hard=True)
        settled = points_requests_of(server, warehouse)
        again = points_requests_of(server, warehouse)

    assert warehouse.rows == truth(world)
    assert (found, quiet, refreshed, settled, again) == (1 + pages, 1, pages, 1 + pages, 1)


@pytest.mark.parametrize("count", [999, 3_000, 12_000])
def test_deleted_points_make_the_metric_be_read_whole_once_and_go(count):
    world = metric_world([point(number) for number in range(1, count + 1)])
    warehouse = Warehouse(truth(world))
    for number in (3, 500, 900):
        world.delete("metric_points", number, hard=True)

    with serving(world) as server:
        counted = [points_requests_of(server, warehouse) for _ in range(2)]

    assert warehouse.rows == truth(world)
    assert counted == [{999: 1, 3_000: 2, 12_000: 3}[count], 1]


def test_a_metric_of_which_all_points_were_deleted_is_empty():
    world = metric_world([point(number) for number in range(1, 3000)])
    warehouse = Warehouse(truth(world))
    for number in range(1, 3000):
        world.delete("metric_points", number, hard=True)

    with serving(world) as server:
        steps = warehouse.load(reader_of(server))

    assert steps[0].error is None
    assert warehouse.rows == {}


def test_of_a_metric_of_a_thousand_points_nothing_stays_unseen():
    world = metric_world([point(number) for number in range(1, 1000)])
    warehouse = Warehouse(truth(world))
    world.delete("metric_points", 500, hard=True)
    world.add("metric_points", **point(1000, seconds=-3600))
    world.update("metric_points", 2, counter=5)
    world.update("metric_points", 3, created_at=at(7))

    with serving(world) as server:
        warehouse.load(reader_of(server))

    assert warehouse.rows == truth(world)
    assert points_requests(server) == 1


def test_a_point_with_a_past_time_that_a_deleted_one_hides_is_found_by_a_full_refresh():
    world = metric_world([point(number) for number in range(1, 3000)])
    warehouse = Warehouse(truth(world))
    world.delete("metric_points", 500, hard=True)
    world.add("metric_points", **point(3000, seconds=-3600))

    with serving(world) as server:
        warehouse.load(reader_of(server))
        hidden = 3000 not in warehouse.rows
        warehouse.load(reader_of(server), full_refresh=True)

    assert hidden
    assert warehouse.rows == truth(world)


def test_an_overlap_as_large_as_the_metric_proves_every_point_at_each_load():
    world = metric_world([point(number) for number in range(1, 3000)])
    warehouse = Warehouse(truth(world))
    world.delete("metric_points", 500, hard=True)
    world.add("metric_points", **point(3000, seconds=-3600))

    with serving(world) as server:
        warehouse.load(reader_of(server, settings={"points_overlap": 30}))

    assert warehouse.rows == truth(world)
    assert points_requests(server) == 1


@pytest.mark.parametrize("database", ["mysql", "pgsql"])
def test_points_of_the_same_time_are_not_lost_between_pages_as_naive_paging_loses_them(database):
    world = metric_world([point(number, seconds=30 * (number // 700)) for number in range(1, 11_000)])
    warehouse = Warehouse()

    with serving(world, database=database) as server:
        naive = ids_read_naively(server, "metrics/1/points", 10_000)
        server.clear_requests()
        steps = warehouse.load(reader_of(server))

    assert len(set(naive)) < len(naive)
    assert [step.error for step in steps] == [None]
    assert warehouse.rows.keys() == truth(world).keys()
    assert points_requests(server) <= 6


# While a load runs


@pytest.mark.parametrize("database", ["sqlite", "mysql"])
def test_a_big_metric_to_which_a_point_arrives_at_every_request_loads_and_the_next_load_brings_the_rest(
    database,
):
    world = metric_world([point(number) for number in range(1, 25_001)])
    arrivals = Arrivals(world, per_request=1)
    warehouse = Warehouse()

    with serving(world, database=database, middleware=[arrivals]) as server:
        first = warehouse.load(reader_of(server))
        requests, loaded = points_requests(server), len(warehouse.rows)
        world.delete("metric_points", 7_000, hard=True)
        settled = warehouse.load(reader_of(server))
        arrivals.per_request = 0
        warehouse.load(reader_of(server))

    assert (first[0].error, settled[0].error) == (None, None)
    assert loaded >= 25_000
    # Three on a page where nothing arrives.
    assert requests == 3
    assert warehouse.rows == truth(world)


@pytest.mark.parametrize(("posted_just_now", "database"), [(0, "sqlite"), (0, "mysql"), (2, "sqlite")])
def test_a_history_that_is_imported_while_the_points_are_read_makes_no_load_fail(posted_just_now, database):
    """A point with a past time at every request; of one posted in the second before, nobody knows when it came."""
    world = metric_world([point(number) for number in range(1, 25_001)])
    arrivals = Arrivals(world, per_request=1, age=timedelta(days=300), clock=TIME.now)
    warehouse = Warehouse()
    for days in range(posted_just_now):
        world.post_point(1, 3.5, at=TIME.now(), created_at=START - timedelta(days=days))

    with serving(world, database=database, middleware=[arrivals]) as server:
        errors, counted = [], []
        for _ in range(3):
            before = points_requests(server)
            errors.append(warehouse.load(reader_of(server))[0].error)
            counted.append(points_requests(server) - before)
            TIME.ahead += timedelta(minutes=1)
        held = set(warehouse.rows)
        arrivals.per_request = 0
        warehouse.load(reader_of(server))

    assert errors == [None, None, None]
    assert held >= set(range(1, 25_001 + posted_just_now))
    if not posted_just_now:
        assert counted == [3, 4, 4]
    assert warehouse.rows == truth(world)


def test_a_point_of_a_big_metric_that_is_deleted_behind_the_reading_costs_no_other_row():
    world = metric_world([point(number) for number in range(1, 21_001)])
    warehouse = Warehouse(truth(world))
    world.delete("metric_points", 5, hard=True)
    seen = {"count": 0}

    def delete(path: str) -> None:
        seen["count"] += path.endswith("/points")
        if seen["count"] == 3:
            # It was read on the page before: what was first on the next page moves up to where nothing is read.
            world.delete("metric_points", 20_500, hard=True)
            world.post_point(1, 3.5, at=TIME.now(), created_at=START - timedelta(hours=1))

    with serving(world, middleware=[before_each(delete)]) as server:
        steps = warehouse.load(reader_of(server))

    assert steps[0].error is None
    assert warehouse.rows.keys() == truth(world).keys()


@pytest.mark.parametrize(("posted", "behind"), [(1, 0), (2, 0), (2, 20), (5, -20)])
def test_a_deletion_that_more_arrivals_hide_costs_no_row_for_good(posted, behind):
    """All between the same two answers, so that no total falls, and whether or not PHP's clock is the web server's."""
    world = metric_world([point(number) for number in range(1, 21_001)])
    warehouse = Warehouse()
    seen = {"count": 0}

    def change(path: str) -> None:
        seen["count"] += path.endswith("/points")
        if seen["count"] == 2:
            seen["count"] += 1
            world.delete("metric_points", 20_500, hard=True)
            for days in range(posted):
                at = TIME.now() - timedelta(seconds=behind)
                world.post_point(1, 3.5, at=at, created_at=START - timedelta(days=1 + days))

    with serving(world, middleware=[before_each(change)]) as server:
        errors = [warehouse.load(reader_of(server))[0].error for _ in range(2)]

    assert errors == [None, None]
    assert warehouse.rows == truth(world)


def test_points_that_arrive_while_points_of_the_same_time_fall_between_pages_are_no_obstacle():
    world = metric_world([point(number, seconds=30 * (number // 700)) for number in range(1, 11_000)])
    warehouse = Warehouse()

    with serving(world, database="mysql", middleware=[Arrivals(world, per_request=1)]) as server:
        steps = warehouse.load(reader_of(server))

    assert steps[0].error is None
    assert warehouse.rows.keys() >= set(range(1, 11_000))


@dataclass
class History:
    """What is done to a metric, between the loads and while one runs.

    `hides` tells whether, between the same two loads, points were deleted and others came with a past time: as the
    documentation says, as many of the one may hide as many of the other.
    """

    world: Cachet2World
    hides: bool = False
    deleted: set[int] = field(default_factory=set)
    _since: set[str] = field(default_factory=set)
    _during: set[str] = field(default_factory=set)

    def meanwhile(self, act: str, where: float, count: int) -> None:
        # The load that runs may have seen it, or the next one will.
        self._during.add(act)
        self.do(act, where, count)

    def loaded(self) -> None:
        self._since, self._during = self._during, set()

    def do(self, act: str, where: float, count: int) -> None:
        ids = self.world.ids("metric_points", metric_id=1)
        self._since.add(act)
        self.hides |= {"delete", "back-date"} <= self._since
        if act == "post":
            post(self.world, count)
        elif act == "bump" and ids:
            bump(self.world)
        elif act == "back-date":
            for _ in range(count):
                latest = self.world.latest_point(1)
                days = 3 + where * 300
                newest = instant(latest["created_at"]) if latest else START
                self.world.post_point(1, 3.5, at=TIME.now(), created_at=newest - timedelta(days=days))
        elif act == "delete":
            first = int(where * len(ids))
            for number in list(ids[first : first + count]):
                self.world.delete("metric_points", number, hard=True)
                self.deleted.add(number)


share = st.floats(0, 1, exclude_max=True)
some_act = st.one_of(
    st.tuples(st.just("post"), st.just(0.0), st.sampled_from([1, 40, 100, 999, 1_500])),
    st.tuples(st.just("bump"), st.just(0.0), st.just(1)),
    st.tuples(st.just("back-date"), share, st.sampled_from([1, 1, 3])),
    st.tuples(st.just("delete"), share, st.sampled_from([1, 1, 3, 150])),
)
some_load = st.tuples(
    st.lists(some_act, max_size=3), st.dictionaries(st.integers(1, 4), some_act, max_size=2)
)


histories = given(
    st.sampled_from([0, 30, 900, 1_500, 2_600]),
    st.lists(some_load, max_size=3),
    st.lists(some_act, max_size=3),
    st.sampled_from(["sqlite", "mysql"]),
    st.sampled_from([10_000, 1_000]),
)


def a_history_ends_equal(first: int, loads: list[Any], end: list[Any], database: str, size: int) -> None:
    """Play a history; pages of `size` points stand for those of 10,000, and a tenth of them for the newest 1,000."""
    with (
        mock.patch.object(cachet2_points, "BIG_PAGE", size),
        mock.patch.object(cachet2_points, "NEWEST", size // 10),
    ):
        play(first, loads, end, database, known=size // 10)


def play(first: int, loads: list[Any], end: list[Any], database: str, known: int) -> None:
    world = metric_world([])
    history = History(world)
    disturbance = Disturbance()
    warehouse = Warehouse()
    post(world, first)

    with serving(world, database=database, middleware=[disturbance]) as server:
        reader = reader_of(server)
        for acts, meanwhile in [([], {}), *loads]:
            for act in acts:
                history.do(*act)
            planned = {turn: lambda act=act: history.meanwhile(*act) for turn, act in meanwhile.items()}
            disturbance.plan(planned)
            assert [step.error for step in warehouse.load(reader)] == [None]
            history.loaded()
        for act in end:
            history.do(*act)
        disturbance.plan({})
        warehouse.load(reader)
        found = dict(warehouse.rows)
        warehouse.load(reader, full_refresh=True)

    expected = truth(world)
    assert warehouse.rows == expected
    if history.hides and len(expected) > known:
        lost, kept = expected.keys() - found.keys(), found.keys() - expected.keys()
        assert all(expected[number]["value"] == 3.5 for number in lost)
        assert kept <= history.deleted
        assert all(found[number] == row for number, row in expected.items() if number not in lost)
    else:
        assert found == expected


@settings(max_examples=12, deadline=None)
@histories
def test_after_a_quiet_load_the_points_are_those_of_cachet_whatever_happened_before(
    first, loads, end, database, size
):
    a_history_ends_equal(first, loads, end, database, size)


def test_a_metric_that_does_not_exist_fails_alone():
    world = metric_world([point(1)])

    with serving(world) as server:
        steps = {step.metric_id: step for step in Warehouse().load(reader_of(server), 1, 99)}

    assert steps[1].error is None
    assert isinstance(steps[99].error, NotFound)


def changed_points(change: Callable[[dict[str, Any]], None]) -> Any:
    def changed(path: str, status: int, document: Any) -> tuple[int, Any] | None:
        if not path.endswith("/points"):
            return None
        change(document)
        return status, document

    return answering(changed)


def test_a_total_that_the_points_never_make_up_is_said():
    def more(document: dict[str, Any]) -> None:
        document["meta"]["pagination"]["total"] += 1

    with serving(metric_world([point(1)]), middleware=[changed_points(more)]) as server:
        steps = Warehouse().load(reader_of(server))
        asked = points_requests(server)

    assert isinstance(steps[0].error, Unstable)
    assert "hold 1 different rows where the server names 2" in str(steps[0].error)
    assert asked == 3


def test_an_attribute_that_nobody_foresaw_is_a_column_from_the_first_page_to_the_last():
    def unit(document: dict[str, Any]) -> None:
        for row in document["data"]:
            row |= {"unit": f"u{row['id']}", "tags": ["a", row["id"]]}

    world = metric_world([point(number) for number in range(1, 2_501)])

    with serving(world, middleware=[changed_points(unit)]) as server:
        (step,) = [step for batch in read_points(reader_of(server), [1], {}) for step in batch]

    assert step.error is None
    rows = {row["id"]: row for row in step.rows.to_pylist()}
    assert {number: (row.pop("unit"), row.pop("tags")) for number, row in rows.items()} == {
        number: (f"u{number}", f'["a", {number}]') for number in range(1, 2_501)
    }
    assert rows == truth(world)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=2), min_size=3, max_size=3))
def test_attributes_that_nobody_foresaw_are_columns_as_row_by_row(extra: list[dict[str, Any]]):
    page = {
        "data": [
            {**more, **point(number), "calculated_value": number / 8} for number, more in enumerate(extra, 1)
        ]
    }
    context = RowContext(ZoneInfo("UTC"), "hash", START, "metric_points")
    mapping = ENDPOINTS["metric_points"].mapping

    read = points_table([cachet2_points.parse(page, mapping, context)], context.zone)

    rows = [flatten(row, "metric_points", context) for row in page["data"]]
    assert by_column(read) == by_column(points_table([irregular_page(rows)], context.zone))


def test_numbers_that_an_old_server_prints_as_texts_are_numbers():
    def texts(document: dict[str, Any]) -> None:
        for row in document["data"]:
            row |= {name: f"{row[name]:.3f}" for name in ("value", "calculated_value")}
            row |= {name: str(row[name]) for name in ("id", "metric_id", "counter")}

    world, warehouse = metric_world([point(number) for number in range(1, 201)]), Warehouse()
    with serving(world, middleware=[changed_points(texts)]) as server:
        warehouse.load(reader_of(server))
        warehouse.load(reader_of(server))

    assert warehouse.rows == truth(world)


def test_points_are_the_metric_s_that_was_asked_for():
    def lacking(document: dict[str, Any]) -> None:
        for row in document["data"]:
            row["metric_id"] = None

    with serving(metric_world([point(1)]), middleware=[changed_points(lacking)]) as server:
        (step,) = [step for batch in read_points(reader_of(server), [1], {}) for step in batch]

    assert step.rows.column("metric_id").to_pylist() == [1]


def test_attributes_that_nobody_foresaw_become_columns_and_odd_values_text():
    def odd(document: dict[str, Any]) -> None:
        document["data"][0] |= {"value": "much", "source": "probe"}

    with serving(metric_world([point(1), point(2)]), middleware=[changed_points(odd)]) as server:
        batches = list(read_points(reader_of(server), [1], {}))

    rows = {row["id"]: row for row in batches[0][0].rows.to_pylist()}
    assert (rows[2]["value"], rows[2]["value__v_text"], rows[2]["source"]) == (None, "much", "probe")
    assert rows[1]["value"] == 1 / 8
    assert rows[1]["created_at"] == START + timedelta(minutes=1)
