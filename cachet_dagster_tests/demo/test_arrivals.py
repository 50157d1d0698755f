"""Points arrive at an embedded server at the rate that was set: by requests, or by its clock."""

from __future__ import annotations

import json
import urllib.request
from datetime import datetime, timedelta, timezone

import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.demo.arrivals import Arrivals

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def ids(server: DemoServer) -> list[int]:
    """Ask for the points, as either API gives them."""
    with urllib.request.urlopen(f"{server.api_url}/metrics/1/points?per_page=1000") as answer:
        return [int(row["id"]) for row in json.load(answer)["data"]]


@pytest.mark.parametrize("api", [2, 3])
def test_so_many_points_arrive_before_each_request_for_points(api):
    world = World.generate(metrics=1, points=3)
    arrivals = Arrivals(world, per_request=2)

    with DemoServer(world, api=api, middleware=[arrivals]) as server:
        counts = [len(ids(server)) for _ in range(3)]

    assert (counts, arrivals.posted) == ([5, 7, 9], 6)


def test_a_point_arrives_each_time_so_much_has_passed_on_the_server_s_clock():
    world = World.generate(metrics=1, points=3)
    now = [NOW]
    arrivals = Arrivals(world, every=timedelta(seconds=8), clock=lambda: now[0])
    counts = []

    with DemoServer(world, middleware=[arrivals], clock=lambda: now[0]) as server:
        for seconds in (0, 7, 1, 20, 4):
            now[0] += timedelta(seconds=seconds)
            counts.append(len(ids(server)))

    assert counts == [3, 3, 4, 6, 7]


def test_points_that_arrive_are_rows_of_their_own_however_fast():
    world = World.generate(metrics=1, points=0)

    with DemoServer(world, middleware=[Arrivals(world, per_request=3)]) as server:
        found = ids(server)

    assert len(set(found)) == 3
    assert {row["counter"] for row in world.rows("metric_points")} == {1}
