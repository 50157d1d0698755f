"""A server that goes away and comes back costs no metric its points; one that stays away ends all requests together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source import CachetReader, CachetSettings
from cachet_dagster.source.errors import (
    CertificateInvalid,
    NotCachet,
    NotUnderstood,
    Refused,
    SettingsError,
    Unreachable,
    Unstable,
)
from cachet_dagster.source.http.client import OUTAGE
from cachet_dagster.source.points.read import MetricStep, read_points
from cachet_dagster.warehouse import DatabaseBusy
from cachet_dagster_tests.faults.server import Exchange, FaultServer, says, talks_gibberish, well

METRICS = 40


class Outage:
    """Nothing that is an answer to the requests for points numbered so, counted from 1; every other one is answered."""

    def __init__(self, requests: Iterable[int]):
        self.requests = requests
        self.seen = 0

    async def __call__(self, exchange: Exchange) -> None:
        self.seen += 1
        await (talks_gibberish if self.seen in self.requests else well)(exchange)


def read_all(server: FaultServer, log: Any = None, **options: Any) -> list[MetricStep]:
    bounds: dict[str, Any] = {"attempts": 5, "retry_delay": 0.01, "max_wait": 30.0}
    reader = CachetReader(CachetSettings(base_url=server.url, **{**bounds, **options}), log=log)
    return [step for batch in read_points(reader, range(1, METRICS + 1), {}) for step in batch]


@pytest.fixture
def server() -> Any:
    with DemoServer(World.generate(metrics=METRICS, points=3)) as demo, FaultServer(demo) as running:
        yield running


def test_an_outage_shorter_than_the_bound_costs_no_metric_its_points(server: FaultServer) -> None:
    outage = Outage(range(1, OUTAGE + 5))
    server.misbehave(outage, "/api/metrics/*/points")
    logged: list[str] = []

    steps = read_all(server, logged.append)

    assert [step.error for step in steps if step.error] == []
    assert sum(step.rows.num_rows for step in steps) == 3 * METRICS
    assert outage.seen == OUTAGE + 4 + METRICS
    assert len([text for text in logged if "no answer to 8 requests in a row" in text]) == 1


def test_a_server_that_goes_away_again_is_waited_for_again(server: FaultServer) -> None:
    outage = Outage([*range(1, 11), *range(21, 31)])
    server.misbehave(outage, "/api/metrics/*/points")

    steps = read_all(server)

    assert [step.error for step in steps if step.error] == []
    assert outage.seen == 20 + METRICS


def test_a_server_that_stays_away_ends_all_requests_together_after_the_bound(server: FaultServer) -> None:
    outage = Outage(range(10_000))
    server.misbehave(outage, "/api/metrics/*/points")

    steps = read_all(server, max_wait=2.0)

    assert len(steps) == METRICS
    assert all(isinstance(step.error, Unreachable) and step.error.retryable for step in steps)
    assert outage.seen < 20 * OUTAGE


def test_a_server_that_answers_with_an_error_is_not_waited_for(server: FaultServer) -> None:
    server.misbehave(says(500), "/api/metrics/*/points")

    steps = read_all(server, attempts=1)

    assert {"the server fails (500)" in str(step.error) for step in steps} == {True}
    assert sum("points" in seen.path for seen in server.requests) == METRICS


def test_an_error_tells_whether_it_may_pass_by_itself() -> None:
    passing = (Unreachable, Unstable, DatabaseBusy)
    lasting = (CertificateInvalid, NotCachet, NotUnderstood, Refused, SettingsError)

    assert [error("x").about("incidents").retryable for error in passing] == [True] * len(passing)
    assert [error("x").about("incidents").retryable for error in lasting] == [False] * len(lasting)
