"""Points: nothing twice, nothing lost, whatever happens on the server between two loads or two requests."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.demo.answers import App, Receive, Scope, Send
from cachet_dagster.source import CachetReader, CachetSettings
from cachet_dagster.source.cachet3 import metric_points as cachet3
from cachet_dagster.source.cachet3.parsing import flatten
from cachet_dagster.source.endpoints import ENDPOINTS
from cachet_dagster.source.errors import NotCachet
from cachet_dagster.source.points import read as metric_points
from cachet_dagster.source.points.columns import irregular_page, points_table
from cachet_dagster.source.points.read import MetricStep, read_points, sketch
from cachet_dagster.source.rows import RowContext
from cachet_dagster.source.stored import Cursor
from cachet_dagster_tests import recordings
from cachet_dagster_tests.conftest import Serve
from cachet_dagster_tests.source.test_values import rewriting

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
CHANGES = [
    *("2026-03-29 02:30:00", "2026-03-29 01:30:00", "2026-03-08 02:30:00", "2026-10-04 02:15:00"),
    *("2026-10-25 02:30:00", "2026-11-01 01:30:00"),
]
"""Hours that clocks leave out (in Europe, Britain, America, Australia) or repeat (in Europe, America)."""
Rows = dict[int, dict[str, Any]]
POINTS = ENDPOINTS["metric_points"].mapping


class Disturbance:
    """A middleware that does something to the world before a points request of a given number is answered."""

    def __init__(self) -> None:
        self.actions: dict[int, Callable[[], None]] = {}
        self.seen = 0

    def plan(self, actions: dict[int, Callable[[], None]]) -> None:
        self.actions, self.seen = actions, 0

    def __call__(self, app: App) -> App:
        async def disturb(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/points"):
                self.seen += 1
                self.actions.get(self.seen, lambda: None)()
            await app(scope, receive, send)

        return disturb


@dataclass
class Warehouse:
    """What a destination does with the steps: points merged on their id, and the cursors that they give."""

    rows: Rows = field(default_factory=dict)

    @property
    def cursors(self) -> dict[int, Cursor]:
        ids: dict[int, list[int]] = {}
        for row in self.rows.values():
            ids.setdefault(row["metric_id"], []).append(row["id"])
        return {metric_id: Cursor(len(own), max(own)) for metric_id, own in ids.items()}

    def load(
        self, reader: CachetReader, metric_ids: Iterable[int] = (1,), **options: Any
    ) -> dict[int, MetricStep]:
        """Load the metrics, and return the last step of each."""
        last: dict[int, MetricStep] = {}
        for batch in read_points(reader, [*metric_ids], self.cursors, **options):
            for step in batch:
                self.merge(step)
                if step.last:
                    last[step.metric_id] = step
        return last

    def merge(self, step: MetricStep) -> None:
        for row in step.rows.to_pylist():
            self.rows[row["id"]] = row


def truth(world: World, metric_ids: Iterable[int] = (1,)) -> Rows:
    """Return the points of the world as they must land."""

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)

    return {
        row["id"]: {
            "id": row["id"],
            "metric_id": row["metric_id"],
            "value": float(row["value"]),
            "counter": row["counter"],
            "calculated_value": float(row["value"]) * row["counter"],
            "created_at": at(row["created_at"]),
            "updated_at": at(row["updated_at"]),
        }
        for metric_id in metric_ids
        for row in world.where("metric_points", metric_id=metric_id)
    }


def points_requests(server: DemoServer) -> int:
    return sum(count for path, count in server.paths.items() if path.endswith("/points"))


def reader_of(server: DemoServer, **options: Any) -> CachetReader:
    return CachetReader(CachetSettings(base_url=server.url, **options))


def post(world: World, count: int, metric_id: int = 1) -> None:
    """Post points in order, too far apart to count into one another."""
    newest = max((row["created_at"] for row in world.where("metric_points", metric_id=metric_id)), default="")
    at = datetime.fromisoformat(newest).replace(tzinfo=timezone.utc) if newest else START
    for _ in range(count):
        at += timedelta(minutes=5)
        world.post_point(metric_id, len(str(at)) + at.minute / 7, at=at)


def bump(world: World, metric_id: int = 1) -> None:
    """Post a point within the threshold of the latest one, which counts it."""
    latest = max(world.where("metric_points", metric_id=metric_id), key=lambda row: row["created_at"])
    at = datetime.fromisoformat(latest["created_at"]).replace(tzinfo=timezone.utc)
    before = latest["counter"]
    world.post_point(metric_id, 1.0, at=at + timedelta(seconds=30))
    assert latest["counter"] == before + 1


def back_date(world: World, metric_id: int = 1) -> int:
    return world.post_point(metric_id, 3.5, at=START, created_at=START - timedelta(days=3))["id"]


@pytest.fixture
def disturbance() -> Disturbance:
    return Disturbance()


# Requests


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250, 1000, 1234])
def test_a_first_load_takes_a_request_a_page_and_two_at_most(serve: Serve, count: int) -> None:
    world = World.generate(metrics=1, points=count)
    server = serve(world)
    warehouse = Warehouse()

    last = warehouse.load(reader_of(server))

    assert warehouse.rows == truth(world)
    assert points_requests(server) <= math.ceil(count / 100) + 2
    if count <= 100:
        assert points_requests(server) == 1
    assert last[1].requests == points_requests(server)


@pytest.mark.parametrize("count", [0, 1, 100, 101, 1234])
def test_a_metric_without_news_takes_exactly_one_request(serve: Serve, count: int) -> None:
    server = serve(World.generate(metrics=3, points=count))
    warehouse = Warehouse()
    reader = reader_of(server)
    warehouse.load(reader, [1, 2, 3])
    server.clear_requests()

    warehouse.load(reader, [1, 2, 3])

    assert {path: n for path, n in server.paths.items() if "points" in path} == {
        f"/api/metrics/{metric_id}/points": 1 for metric_id in (1, 2, 3)
    }


@pytest.mark.parametrize("new", [1, 40, 99])
def test_a_few_new_points_take_one_request(serve: Serve, new: int) -> None:
    world = World.generate(metrics=1, points=1234)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    post(world, new)
    server.clear_requests()

    warehouse.load(reader)

    assert warehouse.rows == truth(world)
    assert points_requests(server) == 1


@pytest.mark.parametrize("new", [100, 101, 250, 640, 900])
def test_new_points_of_a_few_pages_take_a_request_a_page_and_two_at_most(serve: Serve, new: int) -> None:
    world = World.generate(metrics=1, points=1234)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    post(world, new)
    server.clear_requests()

    warehouse.load(reader)

    assert warehouse.rows == truth(world)
    assert points_requests(server) <= math.ceil((new + 1) / 100) + 2


def test_more_than_ten_new_pages_are_read_upwards_from_the_cursor_found_by_bisection(serve: Serve) -> None:
    world = World.generate(metrics=1, points=3000)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    # Counting rows would look for the cursor on page 31, and find nothing near it.
    for point_id in range(200, 2200):
        world.delete("metric_points", point_id)
    post(world, 1500)
    server.clear_requests()

    warehouse.load(reader)

    news = {number: row for number, row in truth(world).items() if number >= 3000}
    assert {number: row for number, row in warehouse.rows.items() if number >= 3000} == news
    assert points_requests(server) <= 15 + 1 + 2 + 2 * math.log2(31)


def test_sixteen_metrics_are_read_side_by_side_each_within_its_requests(serve: Serve) -> None:
    world = World.generate(metrics=20, points=230)
    server = serve(world)
    warehouse = Warehouse()

    last = warehouse.load(reader_of(server), range(1, 21))

    assert warehouse.rows == truth(world, range(1, 21))
    assert sorted(last) == list(range(1, 21))
    assert {n for path, n in server.paths.items() if "points" in path} <= {4, 5}
    assert {step.read >= 230 and not step.error for step in last.values()} == {True}


# What changes


def test_a_point_counted_on_since_the_last_load_is_loaded_again(serve: Serve) -> None:
    world = World.generate(metrics=1, points=150)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    bump(world)

    warehouse.load(reader)

    assert warehouse.rows[150]["counter"] == 2
    assert warehouse.rows == truth(world)


@pytest.mark.parametrize("new", [99, 100, 101, 199, 200, 1000, 1100])
def test_the_last_point_loaded_is_read_again_however_many_came_after_it(serve: Serve, new: int) -> None:
    world = World.generate(metrics=1, points=150)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    bump(world)
    post(world, new)

    warehouse.load(reader)

    assert warehouse.rows == truth(world)


def test_back_dated_points_are_news_as_any_other(serve: Serve) -> None:
    world = World.generate(metrics=1, points=350)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    number = back_date(world)

    warehouse.load(reader)

    assert warehouse.rows[number]["created_at"] < START
    assert warehouse.rows == truth(world)


def test_an_overlap_of_several_pages_finds_changes_further_back(serve: Serve) -> None:
    world = World.generate(metrics=1, points=450)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server, points_overlap=3)
    warehouse.load(reader)
    world.update("metric_points", 200, counter=7)
    server.clear_requests()

    warehouse.load(reader)

    assert warehouse.rows == truth(world)
    assert points_requests(server) <= 3 + 2


def test_an_overlap_larger_than_the_metric_reads_it_once(serve: Serve) -> None:
    world = World.generate(metrics=1, points=450)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server, points_overlap=1000)

    for _ in range(2):
        server.clear_requests()
        warehouse.load(reader)
        assert points_requests(server) <= 5 + 2

    assert warehouse.rows == truth(world)


def test_points_deleted_in_cachet_stay_until_a_full_refresh_reads_only_the_others(serve: Serve) -> None:
    world = World.generate(metrics=1, points=350)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    for number in (3, 180, 350):
        world.delete("metric_points", number)

    warehouse.load(reader)
    refreshed = Warehouse(dict(warehouse.rows))
    ids = {
        row["id"]
        for batch in read_points(reader, [1], refreshed.cursors, full_refresh=True)
        for step in batch
        for row in step.rows.to_pylist()
    }

    assert {3, 180, 350} <= warehouse.rows.keys()
    assert ids == truth(world).keys()


def test_a_metric_whose_points_are_all_gone_is_no_error(serve: Serve) -> None:
    world = World.generate(metrics=1, points=350)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    for number in range(1, 351):
        world.delete("metric_points", number)

    last = warehouse.load(reader)

    assert last[1].error is None
    assert last[1].rows.num_rows == 0


# What fails


def test_a_metric_that_does_not_exist_or_is_hidden_is_named_and_the_others_load(serve: Serve) -> None:
    world = World.generate(metrics=3, points=120)
    world.update("metrics", 2, visible=2)
    server = serve(world)
    warehouse = Warehouse()

    last = warehouse.load(reader_of(server), [1, 2, 3, 77])

    assert {metric_id for metric_id, step in last.items() if step.error} == {2, 77}
    assert "no metric 77" in str(last[77].error)
    assert warehouse.rows == truth(world, [1, 3])


def test_an_id_of_zero_is_an_id(serve: Serve) -> None:
    world = World.generate(metrics=1, points=3)
    world.add("metric_points", **{**world.where("metric_points", metric_id=1)[0], "id": 0})
    warehouse = Warehouse()

    warehouse.load(reader_of(serve(world)))

    assert warehouse.rows.keys() == {0, 1, 2, 3}
    assert warehouse.rows == truth(world)


def test_points_of_no_metric_at_all_are_no_batch(serve: Serve) -> None:
    assert list(read_points(reader_of(serve(World.generate(metrics=1))), [], {})) == []


# Stopped midway


@pytest.mark.parametrize("taken", [1, 3, 7])
def test_a_load_that_is_stopped_goes_on_where_the_warehouse_ends(serve: Serve, taken: int) -> None:
    world = World.generate(metrics=2, points=4000)
    server = serve(world)
    warehouse, reader = Warehouse(), reader_of(server)
    batches = read_points(reader, [1, 2], {}, step_rows=500)
    for _ in range(taken):
        for step in next(batches):
            warehouse.merge(step)
    batches.close()
    loaded = {metric_id: cursor.last_id for metric_id, cursor in warehouse.cursors.items()}
    gapless = all(
        number in warehouse.rows
        for metric_id, last_id in loaded.items()
        for number in world.ids("metric_points", metric_id=metric_id)
        if number <= last_id
    )
    missing = 8000 - len(warehouse.rows)
    server.clear_requests()

    warehouse.load(reader, [1, 2], step_rows=100_000)

    assert gapless
    assert 0 < missing < 8000
    assert warehouse.rows == truth(world, [1, 2])
    # Per metric: the newest page, the proof, the cursor's page again and the search for it.
    assert points_requests(server) <= missing / 100 + 2 * (5 + 2 * math.log2(40))


@pytest.mark.parametrize("taken", [1, 4])
def test_a_load_of_many_metrics_can_be_stopped_at_once(serve: Serve, taken: int) -> None:
    server = serve(World.generate(metrics=200, points=120))
    batches = read_points(reader_of(server), range(1, 201), {}, step_rows=100)
    for _ in range(taken):
        next(batches)
    # What has been read is waiting everywhere by then.
    time.sleep(0.3)

    batches.close()

    assert points_requests(server) < 150


def test_a_slow_load_makes_the_reading_wait_so_that_memory_stays_flat(serve: Serve) -> None:
    server = serve(World.generate(metrics=1, points=20_000))
    batches = read_points(reader_of(server), [1], {}, step_rows=500)
    next(batches)
    asked = -1
    while asked < (asked := points_requests(server)):
        time.sleep(0.5)

    batches.close()

    # The newest page, and three steps of five pages and two to prove them: one loaded, one waiting, one read.
    assert asked <= 1 + 3 * (5 + 2)


def test_what_is_read_is_handed_over_while_the_rate_limit_makes_the_rest_wait(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_points, "PAUSE_SECONDS", 0.2)
    server = serve(World.generate(metrics=40, points=5), rate_limit=30, rate_window=3.0)
    batches = read_points(reader_of(server, rate_window=3.0), range(1, 41), {})

    first = next(batches)

    assert len(server.requests) == 30
    assert {step.metric_id for batch in [first, *batches] for step in batch} == set(range(1, 41))
    assert len(server.requests) > 40


def test_a_reader_that_raises_ends_the_reading(serve: Serve) -> None:
    server = serve(World.generate(metrics=60, points=120))

    def fail(_pace: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_points(reader_of(server), range(1, 61), {}, progress=fail))


# While a load runs


def test_a_deletion_between_the_newest_page_and_the_next_loses_no_point(
    serve: Serve, disturbance: Disturbance
) -> None:
    world = World.generate(metrics=1, points=500)
    server = serve(world, middleware=[disturbance])
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    post(world, 150)
    # On the newest page: what was the first row of the next page comes up to it after it was read.
    disturbance.plan({2: lambda: world.delete("metric_points", 640)})

    warehouse.load(reader)

    assert truth(world).keys() <= warehouse.rows.keys()


def test_a_deletion_and_a_new_point_that_cancel_out_lose_no_point(
    serve: Serve, disturbance: Disturbance
) -> None:
    world = World.generate(metrics=1, points=500)
    server = serve(world, middleware=[disturbance])
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    post(world, 350)
    disturbance.plan({3: lambda: world.delete("metric_points", 840), 5: lambda: post(world, 1)})

    warehouse.load(reader)

    assert truth(world).keys() - {851} <= warehouse.rows.keys()


def test_a_metric_that_is_posted_to_all_the_time_is_loaded(serve: Serve, disturbance: Disturbance) -> None:
    world = World.generate(metrics=1, points=500)
    server = serve(world, middleware=[disturbance])
    warehouse, reader = Warehouse(), reader_of(server)
    warehouse.load(reader)
    post(world, 550)
    disturbance.plan({turn: lambda: post(world, 1) for turn in range(100)})

    last = warehouse.load(reader)

    assert last[1].error is None
    assert set(range(1, 1051)) <= warehouse.rows.keys()


@dataclass
class History:
    """A metric's world and what a load must have made of it, as the documented rules say."""

    world: World
    metric_id: int
    ever: set[int] = field(default_factory=set)
    in_order: bool = True

    def do(self, act: str, where: float, count: int) -> None:
        ids = self.world.ids("metric_points", metric_id=self.metric_id)
        if act == "post":
            post(self.world, count, self.metric_id)
        elif act == "bump" and ids:
            bump(self.world, self.metric_id)
        elif act == "back-date":
            back_date(self.world, self.metric_id)
            self.in_order = False
        elif act == "delete":
            at = int(where * len(ids))
            for number in list(ids[at : at + count]):
                self.world.delete("metric_points", number)
        self.ever |= set(self.world.ids("metric_points", metric_id=self.metric_id))


some_act = st.one_of(
    st.tuples(st.just("post"), st.just(0.0), st.sampled_from([1, 2, 40, 99, 100, 101, 200, 250, 1150])),
    st.tuples(st.sampled_from(["bump", "back-date"]), st.just(0.0), st.just(1)),
    st.tuples(st.just("delete"), st.floats(0, 1, exclude_max=True), st.sampled_from([1, 1, 3, 150])),
)
some_load = st.tuples(
    st.lists(some_act, max_size=3), st.dictionaries(st.integers(2, 8), some_act, max_size=3)
)


@pytest.fixture(scope="module")
def living() -> Iterator[tuple[DemoServer, Disturbance, CachetReader]]:
    disturbance = Disturbance()
    with DemoServer(World(), middleware=[disturbance]) as server:
        yield server, disturbance, reader_of(server)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([0, 30, 100, 420]), st.lists(some_load, max_size=3), st.lists(some_act, max_size=3))
def test_after_a_quiet_load_the_points_are_those_of_cachet_whatever_happened_before(
    living: tuple[DemoServer, Disturbance, CachetReader],
    first: int,
    loads: list[tuple[list[Any], dict[int, Any]]],
    end: list[Any],
) -> None:
    server, disturbance, reader = living
    world = server.world
    metric_id = world.add("metrics", name="Response time", threshold=5)["id"]
    history = History(world, metric_id)
    history.do("post", 0, first)
    warehouse = Warehouse()
    for acts, meanwhile in loads:
        for act in acts:
            history.do(*act)
        disturbance.plan({turn: lambda act=act: history.do(*act) for turn, act in meanwhile.items()})
        warehouse.load(reader, [metric_id])
    for act in end:
        history.do(*act)
    disturbance.plan({})
    cursor = warehouse.cursors.get(metric_id, Cursor()).last_id

    warehouse.load(reader, [metric_id])

    expected = truth(world, [metric_id])
    # Points that were deleted stay until a full refresh; none is missing, none was made up.
    assert expected.keys() <= warehouse.rows.keys() <= history.ever
    newest = set(sorted(expected)[-100:])
    for number, row in expected.items():
        loaded = warehouse.rows[number]
        if history.in_order or number in newest or number >= cursor:
            assert loaded == row
        else:
            # Further back a count that has grown since is seen by a full refresh.
            assert loaded["counter"] <= row["counter"]
            assert loaded["value"] == row["value"]
            assert loaded["created_at"] == row["created_at"]
    world.delete("metrics", metric_id)


# The sketch


def test_a_sketch_goes_from_the_lowest_block_to_the_highest() -> None:
    assert sketch([]) == ""
    assert sketch([None]) == ""
    assert sketch([5.0]) == "▁"
    assert sketch([0.0, None, 1.0, 2.0]) == "▁▄█"


def test_a_sketch_of_any_numbers_is_a_line() -> None:
    assert sketch([1.0, math.inf, math.nan]) == "▁"
    assert sketch([1e308, -1e308]) == "█▁"


def by_columns(page: dict[str, Any], context: RowContext) -> dict[str, list[Any]]:
    return by_column(points_table([cachet3.parse(page, POINTS, context)], context.zone))


def row_by_row(page: dict[str, Any], context: RowContext) -> dict[str, list[Any]]:
    rows = [flatten(row, context) for row in page["data"]]
    return by_column(points_table([irregular_page(rows)], context.zone))


class RecordedPage(dict[str, Any]):
    """A page as it was recorded; hypothesis prints it by name."""

    def __repr__(self) -> str:
        return "<a recorded page>"


@pytest.fixture(scope="module", name="recorded")
def a_recorded_page() -> dict[str, Any]:
    return RecordedPage(_recorded_page())


def _recorded_page() -> dict[str, Any]:
    return next(
        exchange["body"]
        for exchange in recordings.exchanges("v3", "bulk")
        if exchange["path"].startswith("/api/metrics/1/points?per_page=100") and exchange["status"] == 200
    )


@pytest.fixture
def plain(recorded: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(recorded)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row["attributes"].update(created_at="2026-01-01 00:00:00"),
        lambda row: row["attributes"].update(value=None),
        lambda row: row["attributes"].update(value="12.5"),
        lambda row: row["attributes"].update(counter=1.5),
        lambda row: row["attributes"].update(counter=2**63),
        lambda row: row["attributes"].update(counter=True),
        lambda row: row["attributes"].pop("metric_id"),
        lambda row: row["attributes"]["created"].update(zone="UTC"),
        lambda row: row["attributes"]["created"].update(string="2026-01-01T00:00:00Z"),
        lambda row: row["attributes"]["updated"].update(string="２026-01-01 00:00:00"),
        lambda row: row["attributes"]["updated"].update(string="2026-01-01 00:00:0"),
        lambda row: row["attributes"]["updated"].update(string=None),
        lambda row: row["attributes"].update(updated=None),
        lambda row: row.update(relationships={"user": {"data": {"type": "users", "id": "1"}}}),
    ],
)
def test_a_page_with_one_odd_point_is_what_its_rows_are_one_by_one(
    change: Callable[[dict[str, Any]], None], plain: dict[str, Any]
) -> None:
    context = RowContext(ZoneInfo("UTC"), "keep", START, "metric_points")
    change(plain["data"][50])

    assert by_columns(plain, context) == row_by_row(plain, context)


SERVER_TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(
    lambda at: at.replace(microsecond=0).isoformat(" ")
)
NAMES = st.sampled_from(
    [
        "unit",
        "state",
        "meta",
        "calc_type",
        "email",
        "read_at",
        "tag_count",
        "pivot",
        "Größe",
        "order",
        "extra_0",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = (
    SCALARS
    | st.text(max_size=5)
    | SERVER_TIMES
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(st.sampled_from(["human", "value", "string", "zone"]), st.text(max_size=3), max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=2), min_size=3, max_size=3), st.booleans())
def test_attributes_that_nobody_foresaw_are_columns_beside_the_others(
    recorded: dict[str, Any], extra: list[dict[str, Any]], empty: bool
) -> None:
    page = {"data": copy.deepcopy(recorded["data"][:3])}
    context = RowContext(ZoneInfo("UTC"), "hash", START, "metric_points")
    before = by_columns(page, context)
    for row, more in zip(page["data"], extra, strict=True):
        row["attributes"].update(more)
        row.update({"relationships": {}, "links": {"self": "/"}} if empty else {})

    read = by_columns(page, context)

    assert read == row_by_row(page, context)
    assert {name: read[name] for name in before} == before


def by_column(table: pa.Table) -> dict[str, list[Any]]:
    return {name: table.column(name).to_pylist() for name in sorted(table.column_names)}


def test_an_attribute_that_nobody_foresaw_arrives_as_a_column_from_the_first_page_to_the_last(
    serve: Serve,
) -> None:
    def units(path: str, document: Any) -> None:
        if path.endswith("/points"):
            for row in document["data"]:
                row["attributes"]["unit"] = f"u{row['id']}"
                row["relationships"] = {}

    world = World.generate(metrics=1, points=350)
    warehouse = Warehouse()

    warehouse.load(reader_of(serve(world, middleware=[rewriting(units)])))

    assert {number: row.pop("unit") for number, row in warehouse.rows.items()} == {
        n: f"u{n}" for n in range(1, 351)
    }
    assert warehouse.rows == truth(world)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(SERVER_TIMES | st.sampled_from(CHANGES), min_size=1, max_size=3),
    st.timezone_keys(allow_prefix=False),
)
def test_a_local_time_is_the_same_instant_by_columns_and_row_by_row(
    recorded: dict[str, Any], texts: list[str], zone: str
) -> None:
    page = {"data": copy.deepcopy(recorded["data"][: len(texts)])}
    for row, text in zip(page["data"], texts, strict=True):
        row["attributes"]["created"]["string"] = text
    context = RowContext(ZoneInfo(zone), "keep", START, "metric_points")

    assert by_columns(page, context) == row_by_row(page, context)


@pytest.mark.parametrize("newest_is_odd", [False, True])
def test_of_a_point_on_two_pages_the_first_one_s_is_taken(newest_is_odd: bool, plain: dict[str, Any]) -> None:
    utc = ZoneInfo("UTC")
    page = cachet3.parse(plain, POINTS, RowContext(utc, "keep", START, "metric_points"))
    one = points_table([page], utc).slice(0, 1)
    odd = one.set_column(3, "counter", pa.array([9]))

    table = points_table([odd, page] if newest_is_odd else [page, odd], utc)

    assert table.num_rows == 100
    assert (table.column("counter")[0].as_py() == 9) == newest_is_odd


@pytest.mark.parametrize("document", [{"links": {}}, {"data": {}}, {"data": [{}]}, {"data": [None]}])
def test_an_answer_without_points_is_no_empty_page(document: Any, serve: Serve) -> None:
    def replace(path: str, answer: Any) -> None:
        if path.endswith("/points"):
            answer.clear()
            answer.update(document)

    server = serve(World.generate(metrics=1, points=3), middleware=[rewriting(replace)])
    (step,) = [step for batch in read_points(reader_of(server), [1], {}) for step in batch]

    assert isinstance(step.error, NotCachet)
    assert step.rows.num_rows == 0
