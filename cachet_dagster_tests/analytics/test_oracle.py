"""The models against an oracle that paints minute by minute: on the recorded pages, and on generated ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachet_dagster_tests.truth import RECORDED_AT, tables

from .generated import AS_OF, BEGIN, pages
from .oracle import Oracle, differences
from .pages import Models


@pytest.mark.parametrize("audience", ["public", "all"])
def test_every_minute_of_every_component_of_the_recorded_page_agrees(audience):
    rows = tables("admin")
    models = Models(rows, as_of=RECORDED_AT, audience=audience)
    oracle = Oracle(rows, RECORDED_AT, RECORDED_AT - timedelta(days=400), audience)

    found, compared = differences(rows, models.table("component_status_intervals"), oracle)

    assert found == []
    assert compared > 300_000_000


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(pages(), st.sampled_from(["public", "all"]), st.sampled_from([3, 3, 2]))
def test_every_minute_of_a_page_full_of_irregularities_agrees(rows, audience, version):
    versions = {"versions": [{"api_version": version, "observed_at": BEGIN}]}
    models = Models({**rows, **versions}, as_of=AS_OF, audience=audience)
    oracle = Oracle(rows, AS_OF, BEGIN - timedelta(days=3), audience, version=version)

    found, _ = differences(rows, models.table("component_status_intervals"), oracle)

    assert found == []
