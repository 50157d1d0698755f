"""The models against an oracle that paints minute by minute: on the recorded pages, and on generated ones."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cachet_dagster_tests.truth import RECORDED_AT, tables

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
