"""Points of a Cachet 2: newest first and in no certain order, and still nothing lost and few requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachet_dagster.demo.cachet2 import Cachet2World
from cachet_dagster.source import CachetReader
from cachet_dagster.source.errors import NotFound, Unstable
from cachet_dagster.source.points.arrow import SCHEMA
from cachet_dagster.source.points.read import MetricStep, read_points
from cachet_dagster.source.stored import Cursor
from cachet_dagster_tests.source.cachet2.test_cachet2 import answering, ids_read_naively, reader_of, serving

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
    names = [{"id": number + 1, "name": "M", "default_view": 1} for number in range(metrics)]
    dated = [{**metric, "created_at": at(0), "updated_at": at(0)} for metric in names]
    return Cachet2World({"metrics": dated, "metric_points": points})


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
            self.rows |= {row["id"]: row for row in step.rows.to_pylist()}
        return steps


def points_requests(server: Any) -> int:
    return sum(count for path, count in server.paths.items() if path.endswith("/points"))


def test_a_first_load_takes_one_request_a_metric():
    world = metric_world([point(number, metric_id=number % 3 + 1) for number in range(1, 1000)], metrics=3)
    warehouse = Warehouse()

    with serving(world) as server:
        steps = warehouse.load(reader_of(server), 1, 2, 3)

    assert warehouse.rows == truth(world)
    assert [(step.last, step.error) for step in steps] == [(True, None)] * 3
    assert points_requests(server) == 3


def test_a_metric_without_news_takes_one_request_of_a_hundred_points():
    world = metric_world([point(number) for number in range(1, 1000)])
    warehouse = Warehouse(truth(world))

    with serving(world) as server:
        steps = warehouse.load(reader_of(server))
        asked = [request.query for request in server.requests if request.path.endswith("/points")]

    assert steps[0].rows.num_rows == 100
    assert steps[0].newest == [number / 8 for number in range(960, 1000)]
    assert asked == ["per_page=100&page=1"]


@pytest.mark.parametrize(("new", "requests"), [(1, 1), (98, 1), (99, 2), (500, 2), (5_000, 2)])
def test_new_points_take_two_requests_however_many_they_are(new, requests):
    world = metric_world([point(number) for number in range(1, 1000)])
    warehouse = Warehouse(truth(world))
    for number in range(new):
        world.add("metric_points", **point(1000 + number))

    with serving(world, database="mysql") as server:
        warehouse.load(reader_of(server))

    assert warehouse.rows == truth(world)
    assert points_requests(server) == requests


def test_a_counter_that_rises_on_the_last_point_loaded_is_seen_however_many_came_after_it():
    world = metric_world([point(number) for number in range(1, 500)])
    warehouse = Warehouse(truth(world))
    world.update("metric_points", 499, counter=7)
    for number in range(500, 900):
        world.add("metric_points", **point(number))

    with serving(world) as server:
        warehouse.load(reader_of(server))

    assert warehouse.rows[499]["counter"] == 7
    assert warehouse.rows == truth(world)


def test_points_with_a_past_time_are_found_by_the_total():
    world = metric_world([point(number) for number in range(1, 1000)])
    warehouse = Warehouse(truth(world))
    world.add("metric_points", **point(1000, seconds=-3600))
    world.add("metric_points", **point(1001))

    with serving(world) as server:
        warehouse.load(reader_of(server))

    assert warehouse.rows == truth(world)
    assert points_requests(server) <= 3


def test_a_point_with_a_past_time_that_a_deleted_one_hides_is_found_by_a_full_refresh():
    world = metric_world([point(number) for number in range(1, 1000)])
    warehouse = Warehouse(truth(world))
    world.delete("metric_points", 500, hard=True)
    world.add("metric_points", **point(1000, seconds=-3600))

    with serving(world) as server:
        warehouse.load(reader_of(server))
        warehouse.load(reader_of(server), full_refresh=True)

    assert warehouse.rows.keys() - {500} == truth(world).keys()


def test_a_metric_of_which_points_were_deleted_misses_none_of_the_others():
    world = metric_world([point(number) for number in range(1, 1000)])
    warehouse = Warehouse(truth(world))
    for number in (3, 500, 999):
        world.delete("metric_points", number, hard=True)
    world.add("metric_points", **point(1000))

    with serving(world) as server:
        warehouse.load(reader_of(server))

    assert warehouse.rows.keys() - {3, 500, 999} == truth(world).keys()


def test_a_full_refresh_reads_all_points_again():
    world = metric_world([point(number) for number in range(1, 1000)])
    warehouse = Warehouse(truth(world))
    world.update("metric_points", 3, counter=5)

    with serving(world) as server:
        warehouse.load(reader_of(server))
        before = warehouse.rows[3]["counter"]
        warehouse.load(reader_of(server), full_refresh=True)

    assert before == 1
    assert warehouse.rows == truth(world)


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


Change = tuple[str, int]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["new", "same time", "back-dated", "counter", "load", "many"]), st.integers(0, 150)
    ),
    max_size=8,
)


@settings(max_examples=12, deadline=None)
@given(CHANGES)
def test_whatever_is_posted_between_loads_the_next_load_has_every_point(changes):
    world = metric_world([point(number) for number in range(1, 150)])
    warehouse = Warehouse()
    last = 150

    with serving(world, database="mysql") as server:
        reader = reader_of(server)
        warehouse.load(reader)
        for kind, number in changes:
            if kind == "load":
                warehouse.load(reader)
            elif kind == "counter":
                newest = max(world.rows("metric_points"), key=lambda row: row["created_at"])
                world.update("metric_points", newest["id"], counter=newest["counter"] + 1)
            else:
                for _ in range(number if kind == "many" else 1):
                    newest_at = 60 * (last - 1)
                    seconds = {"same time": newest_at, "back-dated": number - 500}.get(kind)
                    world.add("metric_points", **point(last, seconds))
                    last += 1
        warehouse.load(reader)

    expected = truth(world)
    assert warehouse.rows.keys() == expected.keys()
    assert {number: row["created_at"] for number, row in warehouse.rows.items()} == {
        number: row["created_at"] for number, row in expected.items()
    }


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


def test_attributes_that_nobody_foresaw_become_columns_and_odd_values_text():
    def odd(document: dict[str, Any]) -> None:
        document["data"][0] |= {"value": "much", "source": "probe"}

    with serving(metric_world([point(1), point(2)]), middleware=[changed_points(odd)]) as server:
        batches = list(read_points(reader_of(server), [1], {}))

    rows = {row["id"]: row for row in batches[0][0].rows.to_pylist()}
    assert (rows[2]["value"], rows[2]["value__v_text"], rows[2]["source"]) == (None, "much", "probe")
    assert rows[1]["value"] == 1 / 8
    assert rows[1]["created_at"] == START + timedelta(minutes=1)
