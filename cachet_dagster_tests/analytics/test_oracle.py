"""The models against an oracle that paints minute by minute: on the recorded pages, and on generated ones."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachet_dagster.analytics.model_sql import SOURCES
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, living_world
from cachet_dagster_tests import recordings, truth_cachet2
from cachet_dagster_tests.truth import RECORDED_AT, tables

from .generated import AS_OF, BEGIN, pages
from .loads import Clock, Loads
from .oracle import Oracle, differences
from .pages import Models, at

CACHET2_RECORDED_AT = at("2026-11-23 08:25")


@pytest.mark.parametrize("audience", ["public", "all"])
def test_every_minute_of_every_component_of_the_recorded_page_agrees(audience):
    rows = tables("admin")
    models = Models(rows, as_of=RECORDED_AT, audience=audience)
    oracle = Oracle(rows, RECORDED_AT, RECORDED_AT - timedelta(days=400), audience)

    found, compared = differences(rows, models.table("component_status_intervals"), oracle)

    assert found == []
    assert compared > 300_000_000


@pytest.mark.parametrize("audience", ["public", "all"])
def test_every_minute_of_every_component_of_the_recorded_cachet_2_agrees(audience):
    world = truth_cachet2.expected_tables(recordings.world("v2"), admin=True, page="http://localhost")
    rows = {name: given for name, given in world.items() if name in SOURCES}
    read_by = {"versions": [{"api_version": 2, "observed_at": CACHET2_RECORDED_AT}]}
    models = Models({**rows, **read_by}, as_of=CACHET2_RECORDED_AT, audience=audience)
    oracle = Oracle(rows, CACHET2_RECORDED_AT, CACHET2_RECORDED_AT - timedelta(days=410), audience, version=2)

    found, compared = differences(rows, models.table("component_status_intervals"), oracle)

    assert found == []
    assert compared > 300_000_000


irregular = given(pages(), st.sampled_from(["public", "all"]), st.sampled_from([3, 3, 2]))


def every_minute_agrees(rows, audience, version):
    versions = {"versions": [{"api_version": version, "observed_at": BEGIN}]}
    models = Models({**rows, **versions}, as_of=AS_OF, audience=audience)
    oracle = Oracle(rows, AS_OF, BEGIN - timedelta(days=3), audience, version=version)

    found, _ = differences(rows, models.table("component_status_intervals"), oracle)

    assert found == []


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@irregular
def test_every_minute_of_a_page_full_of_irregularities_agrees(rows, audience, version):
    every_minute_agrees(rows, audience, version)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@irregular
def test_every_minute_of_many_pages_full_of_irregularities_agrees(rows, audience, version):
    every_minute_agrees(rows, audience, version)


def test_the_living_page_shows_the_status_that_is_worked_out_at_every_look():
    clock = Clock(BEGIN)
    loads = Loads()
    with DemoServer(partial(living_world, 1), clock=clock) as server:
        for _ in range(2):
            loads.load(server.url, DEMO_TOKEN)
            loads.build()
            assert (
                loads.rows("SELECT row_id, why FROM analytics.hygiene WHERE rule = 'status_disagrees'") == []
            )
            shown = loads.rows("SELECT count(*) AS n FROM source.components WHERE latest_status IS NOT NULL")
            assert shown == [{"n": 15}]
            clock.forward(hours=31)
