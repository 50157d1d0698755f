"""Bounds contain the truth: a simulated server's own record against what is worked out from looks at it."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from typing import Any

import pytest

from cachet_dagster.analytics.policies import POLICIES, UptimePolicy

from .pages import Models
from .simulated import BEGIN, SECONDS, Component, Recorder, component, looked_at, moment

CLOSE = 1e-9


def weight(policy: UptimePolicy, status: int) -> float:
    return {
        4: policy.major_weight,
        3: policy.partial_weight,
        2: policy.performance_weight,
        6: policy.maintenance_weight,
    }.get(status, 0.0)


def truth(components: Any, policy: UptimePolicy) -> tuple[dict[tuple[int, Any], float], float]:
    """Return the uptime of each component on each day, and the mean of the page, by the server's own record."""
    sums: dict[tuple[int, Any], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in components:
        for begin, end, status, is_announced in one.stretches():
            is_left_out = policy.excludes_maintenance and (is_announced or status == 6)
            if status == 5 or is_left_out:
                continue
            day = sums[one.number, moment(begin).date()]
            day[0] += end - begin
            day[1] += (end - begin) * weight(policy, status)
    measured, down = (sum(pair[n] for pair in sums.values()) for n in (0, 1))
    return {
        key: 1 - down / measured for key, (measured, down) in sums.items() if measured
    }, 1 - down / measured


def outside(seed: int, size: int) -> tuple[list[str], int]:
    """Return the figures whose bounds do not hold the truth, and how many were compared."""
    chance = random.Random(seed)
    components = [component(chance, number) for number in range(1, size + 1)]
    rows, _ = looked_at(chance, components)
    models = Models(rows, as_of=moment(SECONDS))
    found, compared = [], 0
    for policy in POLICIES:
        days, page = truth(components, policy)
        figures = {
            (row["component_id"], row["day"]): row
            for row in models.rows(
                "SELECT component_id, day, uptime_lower, uptime_upper FROM analytics.component_uptime_daily"
                f" WHERE policy = '{policy.policy}'"
            )
        }
        (whole,) = models.rows(
            "SELECT uptime_lower, uptime_upper FROM analytics.uptime_rolling WHERE scope = 'page'"
            f" AND aggregation = 'mean' AND window_days = 28 AND policy = '{policy.policy}'"
        )
        for what, true, row in [
            *((key, value, figures[key]) for key, value in days.items()),
            ("page", page, whole),
        ]:
            compared += 1
            if row["uptime_lower"] is None:
                continue
            if not row["uptime_lower"] - CLOSE <= true <= row["uptime_upper"] + CLOSE:
                found.append(f"{seed} {policy.policy} {what}: {true} is not in {row}")
    return found, compared


def test_the_true_uptime_lies_within_the_bounds_of_every_figure():
    found, compared = outside(1, 25)

    assert found == []
    assert compared > 800


def test_only_the_time_between_a_look_and_the_last_edit_before_the_next_one_is_uncertain():
    chance = random.Random(2)
    components = [component(chance, n, maintained=False, statuses=(1, 2, 3, 4, 6)) for n in range(1, 41)]
    rows, looks = looked_at(chance, components)

    models = Models(rows, as_of=moment(SECONDS))

    uncertain = {
        one.number: sum(
            max(edit for edit in one.edits if begin < edit <= end) - begin
            for begin, end in itertools.pairwise(looks)
            if any(begin < edit <= end for edit in one.edits)
        )
        for one in components
    }
    found = models.rows(
        "SELECT component_id, SUM(CASE WHEN status_best <> status_worst THEN epoch(ends_at) - epoch(starts_at)"
        " ELSE 0 END) AS seconds FROM analytics.component_status_intervals GROUP BY ALL"
    )
    assert {row["component_id"]: row["seconds"] for row in found} == uncertain
    assert sum(uncertain.values()) > 0


@pytest.mark.parametrize(
    "between", [[(1, 4), (2, 1)], [(1, 3), (2, 1)], [(1, 6), (2, 4), (3, 1)]], ids=["1-4-1", "3-1", "6-4-1"]
)
def test_what_was_edited_there_and_back_between_two_looks_is_uncertain(between):
    one = Component(
        1,
        [(0, 1), *((3_600 + n * 600, status) for n, status in between)],
        [0, *(3_600 + n * 600 for n, _ in between)],
    )
    recorder = Recorder()
    for second in (0, 3_600, 7_200, 10_800):
        recorder.look({"components": [one.row(second)]}, moment(second))

    models = Models(recorder.rows, as_of=moment(10_800))

    last = 3_600 + between[-1][0] * 600
    assert [
        ((row["starts_at"] - BEGIN).total_seconds(), row["status_best"], row["status_worst"], row["evidence"])
        for row in models.rows("SELECT * FROM analytics.component_status_intervals ORDER BY starts_at")
    ] == [
        (0, 1, 1, "observed"),
        (3_600, 1, 4, "inferred"),
        (last, 1, 1, "reported"),
        (7_200, 1, 1, "observed"),
    ]


@pytest.mark.parametrize("missing", ["incidents", "incidents_by_id", "components"])
def test_what_an_endpoint_could_not_tell_widens_bounds_and_lowers_coverage_for_as_long_as_it_lasts(missing):
    one, recorder = Component(1, [(0, 1)], [0]), Recorder()
    shown = {"components": [one.row(0)], "incidents": [], "incidents_by_id": []}

    def figure(hour: int) -> tuple[float, float, float, float]:
        (row,) = Models(recorder.rows, as_of=moment(hour * 3_600)).rows(
            "SELECT uptime_lower, uptime_upper, coverage, unknown_seconds FROM analytics.uptime_rolling"
            " WHERE scope = 'component' AND window_days = 7 AND policy = 'statuspage'"
        )
        return tuple(row.values())  # pyright: ignore[reportReturnType]

    recorder.look(shown, moment(0))
    recorder.look(
        {name: rows for name, rows in shown.items() if name != missing}, moment(3_600), failed=[missing]
    )
    recorder.look(
        {name: rows for name, rows in shown.items() if name != missing}, moment(7_200), failed=[missing]
    )
    while_it_lasts = figure(2)
    recorder.look(shown, moment(14_400))

    assert while_it_lasts == (0, 1, 0, 7_200)
    assert figure(4) == (1, 1, 1, 0)


@pytest.mark.parametrize("status", [None, 1, 4, 6])
@pytest.mark.parametrize("api_version", [2, 3])
def test_announced_maintenance_is_maintenance_whatever_status_it_gives(status, api_version):
    one, recorder = Component(1, [(0, 1)], [0]), Recorder()
    recorder.look({"components": [one.row(0)]}, moment(0))
    recorder.look({"components": [one.row(0)]}, moment(86_400))
    recorder.rows["versions"] = [{"api_version": api_version, "observed_at": moment(0)}]
    recorder.rows["schedules"] = [{"id": 1, "scheduled_at": moment(0), "completed_at": moment(36_000)}]
    recorder.rows["schedule_components"] = [{"schedule_id": 1, "component_id": 1, "component_status": status}]

    models = Models(recorder.rows, as_of=moment(86_400))

    figures = models.rows(
        "SELECT policy, measured_seconds, down_seconds, maintenance_seconds FROM analytics.uptime_rolling"
        " WHERE scope = 'component' AND window_days = 7 AND policy IN ('sla', 'statuspage', 'strict') ORDER BY policy"
    )
    (facts,) = models.table("maintenance_facts")
    odd = models.rows("SELECT row_id FROM analytics.hygiene WHERE rule = 'odd_maintenance_status'")
    assert [tuple(row.values()) for row in figures] == [
        ("sla", 50_400, 0, 36_000),
        ("statuspage", 86_400, 0, 36_000),
        ("strict", 86_400, 36_000, 36_000),
    ]
    assert facts["component_statuses"] == ("null" if status is None else str(status))
    assert bool(odd) == (status != 6 and api_version == 3)
