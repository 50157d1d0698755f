"""The same world read through both APIs gives the same figures, or the models say why not."""

from __future__ import annotations

from functools import partial

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, living_world

from .generated import BEGIN
from .loads import Clock, Loads

SAME = {
    "maintenance": "SELECT scope, scope_id, day, SUM(seconds) AS seconds FROM analytics.status_daily"
    " WHERE in_maintenance GROUP BY ALL ORDER BY ALL",
    "maintenance_facts": "SELECT * EXCLUDE (updates, incidents, component_statuses, has_odd_status)"
    " FROM analytics.maintenance_facts ORDER BY schedule_id",
    "component_lives": "SELECT component_id, component_name, component_group_name, is_public"
    " FROM analytics.component_lives"
    " WHERE is_listed ORDER BY component_id",
    "incident_facts": "SELECT incident_id, name, status, is_public, is_open, starts_at, ends_at, month, spans,"
    " open_seconds, seconds_to_publish, seconds_to_first_response, seconds_to_fixed, updates"
    " FROM analytics.incident_facts ORDER BY incident_id",
}


@pytest.fixture(scope="module")
def read_through() -> dict[int, Loads]:
    loads = {}
    for api in (3, 2):
        with DemoServer(partial(living_world, 1), api=api, clock=Clock(BEGIN)) as server:
            loads[api] = Loads()
            loads[api].load(server.url, DEMO_TOKEN)
            loads[api].build()
    return loads


@pytest.mark.parametrize("what", SAME)
def test_the_same_world_through_both_apis_gives_the_same(read_through, what):
    by_3, by_2 = (read_through[api].rows(SAME[what]) for api in (3, 2))

    assert by_3
    assert by_2 == by_3


def test_a_day_whose_uptime_differs_has_an_incident_that_cachet_2_does_not_tell_whole(read_through):
    """Its links carry no severity, which hygiene says, and it names one component of each incident."""
    days = (
        "SELECT component_id, day, policy, round(uptime, 9) AS uptime"
        " FROM analytics.component_uptime_daily ORDER BY ALL"
    )
    by_3, by_2 = (read_through[api].rows(days) for api in (3, 2))
    touched = (
        "SELECT i.incident_id, i.component_id, d.day FROM analytics.incident_impacts AS i"
        " JOIN analytics.calendar_days AS d ON i.starts_at < d.ends_at AND i.ends_at > d.starts_at"
    )
    named = {
        row["row_id"]
        for row in read_through[2].rows(
            "SELECT row_id FROM analytics.hygiene WHERE rule = 'severity_unknown'"
        )
    }
    told = {(row["incident_id"], row["component_id"]) for row in read_through[2].rows(touched)}
    explained = {
        (row["component_id"], row["day"])
        for row in read_through[3].rows(touched)
        if row["incident_id"] in named or (row["incident_id"], row["component_id"]) not in told
    }

    differing = {
        (row["component_id"], row["day"])
        for row, other in zip(by_3, by_2, strict=True)
        if row["uptime"] != other["uptime"]
    }

    assert differing
    assert differing <= explained
    assert len(by_3) > 100 * len(differing)
