"""`make soak`: points of a Cachet 2 at size, and many more of the histories that `make test` plays."""

from __future__ import annotations

import time

import pytest
from hypothesis import settings

from cachet_dagster.demo.arrivals import Arrivals
from cachet_dagster_tests.source.cachet2.test_cachet2 import reader_of, serving
from cachet_dagster_tests.source.cachet2.test_points import (
    Warehouse,
    a_history_ends_equal,
    histories,
    metric_world,
    point,
    points_requests,
    truth,
)

from .test_soak import show

pytestmark = pytest.mark.soak

POINTS = 200_000


@pytest.mark.parametrize("database", ["sqlite", "mysql"])
def test_two_hundred_thousand_points_with_one_arriving_at_every_request(database: str) -> None:
    world = metric_world([point(number) for number in range(1, POINTS + 1)])
    arrivals = Arrivals(world)
    counted: dict[str, float] = {}
    warehouse, quiet = Warehouse(), Warehouse()

    with serving(world, database=database, middleware=[arrivals]) as server:
        for name, per_request, into in (
            ("quiet", 0, quiet),
            ("arriving", 1, warehouse),
            ("next", 0, warehouse),
        ):
            arrivals.per_request = per_request
            server.clear_requests()
            began = time.monotonic()
            steps = into.load(reader_of(server))
            counted[f"{name}: requests"] = points_requests(server)
            counted[f"{name}: seconds"] = time.monotonic() - began
            assert steps[0].error is None

    show(f"{POINTS:,} points on {database}, one arriving at every request", counted)
    assert counted["arriving: requests"] <= 1.5 * counted["quiet: requests"]
    assert counted["next: requests"] == 1
    assert warehouse.rows == truth(world)


@settings(max_examples=300, deadline=None)
@histories
def test_three_hundred_histories_end_equal_to_the_server(first, loads, end, database, size) -> None:
    a_history_ends_equal(first, loads, end, database, size)
