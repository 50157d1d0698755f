"""Figures that others published, to the digit, and what must hold of every figure, whatever the page."""

from __future__ import annotations

import csv
import math
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachet_dagster.analytics.model_settings import SloTarget
from cachet_dagster.analytics.model_sql import model_sql

from .generated import AS_OF, ZONES, pages
from .oracle import Oracle, differences
from .pages import Models, Row, at

DAY = "2026-03-03"
PUBLISHED = Path(__file__).parent / "published_downtime.csv"
"""Downtime of GitHub as github.com/mrshu/github-statuses publishes it (MIT licence)."""


def hhmm(time: str) -> datetime:
    return at(f"{DAY} {time}")


def a_page(*incidents: tuple[int, str, str | None, int | None], **more: list[Row]) -> dict[str, list[Row]]:
    """Return one component and incidents of it: id, begin, end, impact."""
    rows: dict[str, list[Row]] = {
        "components": [
            {"id": 1, "name": "API", "status": 1, "enabled": True, "created_at": at(f"{DAY} 00:00"),
             "updated_at": at(f"{DAY} 00:00")}
        ],
        "incidents": [], "incident_updates": [], "incident_components": [],
    }  # fmt: skip
    for number, begin, end, impact in incidents:
        row = {"id": number, "name": "x", "visible": 1, "status": 4 if end else 1, "created_at": hhmm(begin)}
        rows["incidents"].append({**row, "updated_at": hhmm(end or begin)})
        rows["incident_components"].append(
            {"incident_id": number, "component_id": 1, "component_status": impact}
        )
        if end:
            rows["incident_updates"].append(
                {"id": number, "incident_id": number, "status": 4, "created_at": hhmm(end)}
            )
    return {**rows, **more}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def update(number: int, incident: int, status: int, time: str) -> Row:
    return {"id": number, "incident_id": incident, "status": status, "created_at": hhmm(time)}


def uptime(models: Models, policy: str = "statuspage") -> Row:
    (row,) = models.rows(
        f"SELECT * FROM analytics.component_uptime_daily WHERE policy = '{policy}' AND day = '{DAY}'"
    )
    return row


MIDNIGHT = at("2026-03-04 00:00")


def test_ilert_five_minutes_major_and_thirty_partial_in_a_day_are_99_03_percent():
    models = Models(a_page((1, "10:00", "10:05", 4), (2, "12:00", "12:30", 3)), as_of=MIDNIGHT)

    assert round(uptime(models)["uptime"], 6) == 0.990278
    assert round(uptime(models)["uptime"] * 100, 2) == 99.03


def test_incident_io_forty_of_sixty_minutes_up_are_66_percent():
    models = Models(a_page((1, "00:10", "00:30", 3)), as_of=hhmm("01:00"))

    assert math.floor(uptime(models, "incident_io")["uptime"] * 100) == 66


def test_checkly_reopened_gaps_count_as_up_and_the_time_to_fix_runs_to_the_final_one():
    rows = a_page((1, "10:00", "10:30", 4))
    rows["incident_updates"] += [update(2, 1, 1, "11:00"), update(3, 1, 4, "11:30")]

    models = Models(rows, as_of=MIDNIGHT)

    (facts,) = models.table("incident_facts")
    assert (facts["spans"], facts["open_seconds"], facts["seconds_to_fixed"]) == (2, 3600, 5400)
    assert uptime(models)["down_seconds"] == 3600


def test_checkly_a_late_second_fixed_extends_nothing():
    rows = a_page((1, "10:00", "10:30", 4))
    rows["incident_updates"].append(update(2, 1, 4, "11:30"))

    (facts,) = Models(rows, as_of=MIDNIGHT).table("incident_facts")

    assert facts["seconds_to_fixed"] == 1800


def test_atlassian_two_outages_of_an_hour_in_a_day_are_11_hours_between_failures():
    models = Models(a_page((1, "00:00", "01:00", 4), (2, "12:00", "13:00", 4)), as_of=MIDNIGHT)

    found = {row["measure"]: row for row in models.table("incident_stats_monthly") if row["period"] == "all"}

    assert found["time_between_failures"]["mean_seconds"] == 11 * 3600


def test_atlassian_thirty_minutes_down_in_two_outages_are_15_minutes_to_recovery():
    models = Models(a_page((1, "03:00", "03:10", 4), (2, "12:00", "12:20", 4)), as_of=MIDNIGHT)

    found = {row["measure"]: row for row in models.table("incident_stats_monthly") if row["period"] == "all"}

    assert found["time_to_recovery"]["mean_seconds"] == 15 * 60


def test_atlassian_forty_minutes_over_ten_incidents_are_4_minutes_to_the_first_response():
    rows = a_page(*((n, f"{n:02}:00", f"{n:02}:30", 4) for n in range(1, 11)))
    rows["incident_updates"] += [update(100 + n, n, 2, f"{n:02}:04") for n in range(1, 11)]

    found = {row["measure"]: row for row in Models(rows, as_of=MIDNIGHT).table("incident_stats_monthly")}

    assert found["time_to_first_response"]["mean_seconds"] == 4 * 60


def test_one_failure_has_no_time_between():
    found = {
        row["measure"]: row
        for row in Models(a_page((1, "03:00", "03:10", 4)), as_of=MIDNIGHT).table("incident_stats_monthly")
    }

    assert found["time_between_failures"]["mean_seconds"] is None


def test_scheduled_maintenance_of_cachet_2_3_is_in_no_statistics_of_incidents():
    rows = a_page((1, "03:00", "03:10", 4), (2, "04:00", None, 4))
    rows["incidents"][1] |= {"status": 0, "scheduled_at": hhmm("05:00")}

    models = Models(rows, as_of=MIDNIGHT)

    assert [row["incident_id"] for row in models.table("incident_facts")] == [1]
    assert uptime(models)["down_seconds"] == 600


def test_tables_of_an_earlier_version_are_built_from_before_the_next_load_adds_their_columns():
    models = Models(
        a_page((1, "10:00", "10:05", 4), incident_history=[], component_history=[]), as_of=MIDNIGHT
    )
    for table, column in (
        ("component_history", "unedited_until"),
        ("component_history", "is_public"),
        ("incident_history", "published_at"),
        ("incidents", "scheduled_at"),
    ):
        models.connection.execute(f"ALTER TABLE cachet_data.{table} DROP COLUMN {column}")

    models.build(as_of=MIDNIGHT)

    assert uptime(models)["down_seconds"] == 300


def test_a_page_promises_nothing_unless_someone_says_so():
    models = Models(a_page((1, "10:00", "10:05", 4)), as_of=MIDNIGHT)

    assert models.table("slo_status") == []
    assert models.table("slo_incidents") == []


def test_open_incidents_are_in_no_mean():
    models = Models(a_page((1, "03:00", "03:10", 4), (2, "04:00", None, 4)), as_of=MIDNIGHT)

    found = {row["measure"]: row for row in models.table("incident_stats_monthly") if row["period"] == "all"}

    fixed = found["time_to_fixed"]
    assert (fixed["incidents"], fixed["open_incidents"], fixed["n"], fixed["mean_seconds"]) == (2, 1, 1, 600)


def test_a_budget_is_what_the_target_leaves_and_each_incident_has_its_share():
    models = Models(
        a_page((1, "10:00", "10:05", 4), (2, "12:00", "12:30", 3)),
        as_of=MIDNIGHT,
        slo_targets=(SloTarget(0.99, window_days=7),),
    )

    (slo,) = models.table("slo_status")
    shares = {row["incident_id"]: row["budget_share"] for row in models.table("slo_incidents")}
    assert slo["budget_seconds"] == pytest.approx(864)
    assert slo["spent_seconds"] == pytest.approx(300 + 540)
    assert slo["is_met"]
    assert shares == {1: pytest.approx(300 / 864), 2: pytest.approx(540 / 864)}


def test_a_users_own_policy_is_kept_and_weighs():
    models = Models(a_page((1, "10:00", "10:30", 2)), as_of=MIDNIGHT)
    models.connection.execute(
        "INSERT INTO cachet_analytics.uptime_policies VALUES"
        " ('ours', 'Slow is half down.', 1, 1, 0.5, 0, 0, FALSE, FALSE, TRUE)"
    )

    models.build(as_of=MIDNIGHT)

    assert uptime(models, "ours")["down_seconds"] == 900


def test_a_month_that_is_told_otherwise_later_is_restated_with_the_incident_that_did_it():
    rows = a_page((1, "10:00", "10:30", 4))
    models = Models(rows, as_of=at("2026-04-02 00:00"))
    models.connection.execute(
        "UPDATE cachet_data.incident_updates SET created_at = created_at + INTERVAL 1 HOUR;"
        "UPDATE cachet_data.incidents SET updated_at = '2026-04-02 12:00+00'"
    )

    models.build(as_of=at("2026-04-03 00:00"))

    restated = models.rows(
        "SELECT * FROM analytics.uptime_restatements WHERE scope = 'component' AND policy = 'statuspage'"
    )
    assert [(row["month"], row["why"]) for row in restated] == [
        (date(2026, 3, 1), "incidents changed since: 1")
    ]
    assert restated[0]["difference"] < 0


def published_page() -> tuple[dict[str, list[Row]], list[tuple[datetime, datetime]]]:
    """Return a page with the published windows as outages, those of maintenance left out, and the windows."""
    with PUBLISHED.open(encoding="utf-8") as file:
        windows = [row for row in csv.DictReader(file) if row["impact"] != "maintenance"]
    spans = sorted((instant(row["downtime_start"]), instant(row["downtime_end"])) for row in windows)
    rows = a_page()
    rows["components"][0] |= {"created_at": spans[0][0], "updated_at": spans[0][0]}
    for number, (begin, end) in enumerate(spans, 1):
        rows["incidents"].append(
            {"id": number, "visible": 1, "status": 4, "created_at": begin, "updated_at": end}
        )
        rows["incident_updates"].append({"id": number, "incident_id": number, "status": 4, "created_at": end})
        rows["incident_components"].append({"incident_id": number, "component_id": 1, "component_status": 4})
    return rows, spans


def test_the_published_windows_of_another_page_give_each_month_the_downtime_that_they_cover():
    rows, spans = published_page()

    models = Models(rows, as_of=at("2026-09-01 00:00"))

    months = models.rows(
        "SELECT month, down_seconds FROM analytics.uptime_monthly"
        " WHERE scope = 'component' AND policy = 'major_only' AND down_seconds > 0"
    )
    assert {row["month"]: row["down_seconds"] for row in months} == merged_by_month(spans)


def test_the_best_ninety_days_of_another_page_are_at_98_90_percent_as_published():
    """Its chart has the peak of uptime over 90 days in those that end with 12 January 2025."""
    rows, _ = published_page()

    models = Models(rows, as_of=at("2025-01-13 00:00") - timedelta(microseconds=1))

    (figure,) = models.rows(
        "SELECT uptime FROM analytics.uptime_rolling"
        " WHERE scope = 'component' AND policy = 'major_only' AND window_days = 90"
    )
    assert f"{figure['uptime']:.2%}" == "98.90%"


def merged_by_month(spans: list[tuple[datetime, datetime]]) -> dict[date, float]:
    """Return the seconds of each month (UTC) that at least one span covers."""
    seconds: dict[date, float] = {}
    until = spans[0][0]
    for begin, end in spans:
        begin = max(begin, until)
        while begin < end:
            month = begin.date().replace(day=1)
            following = (month + timedelta(days=32)).replace(day=1)
            stop = min(end, datetime(following.year, following.month, 1, tzinfo=begin.tzinfo))
            seconds[month] = seconds.get(month, 0) + (stop - begin).total_seconds()
            begin = stop
        until = max(until, end)
    return seconds


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(pages(), st.sampled_from(ZONES))
def test_time_is_tiled_bounds_hold_and_days_sum_to_months(rows, zone):
    models = Models(rows, as_of=AS_OF, time_zone=zone)

    said = (
        "(status, status_best, status_worst, shown_status, has_unspecified_impact, in_maintenance, evidence)"
    )
    gaps = models.rows(
        "SELECT * FROM (SELECT i.*, lag(ends_at) OVER w AS before,"
        f" lag({said}) OVER w = {said} AS repeats"
        " FROM analytics.component_status_intervals AS i"
        " WINDOW w AS (PARTITION BY component_id ORDER BY starts_at))"
        " WHERE before <> starts_at OR repeats OR starts_at >= ends_at"
    )
    lived = models.rows(
        "SELECT l.component_id FROM analytics.component_lives AS l LEFT JOIN ("
        " SELECT component_id, min(starts_at) AS first, max(ends_at) AS last"
        " FROM analytics.component_status_intervals GROUP BY component_id) AS i USING (component_id)"
        " WHERE l.starts_at < l.ends_at AND (i.first IS DISTINCT FROM l.starts_at OR i.last IS DISTINCT FROM l.ends_at)"
    )
    odd = models.rows(
        "SELECT * FROM analytics.uptime_monthly WHERE NOT (uptime BETWEEN 0 AND 1) OR uptime_lower > uptime"
        " OR uptime_upper < uptime OR NOT (coverage BETWEEN 0 AND 1)"
    )
    sums = models.rows(
        "SELECT * FROM (SELECT date_trunc('month', day)::DATE AS month, component_id AS scope_id, policy,"
        " sum(down_seconds) AS down, sum(measured_seconds) AS measured"
        " FROM analytics.component_uptime_daily GROUP BY ALL)"
        " JOIN (FROM analytics.uptime_monthly WHERE scope = 'component') USING (month, scope_id, policy)"
        " WHERE abs(down - down_seconds) > 1e-6 OR abs(measured - measured_seconds) > 1e-6"
    )
    long_days = models.rows(
        "SELECT d.day FROM analytics.calendar_days AS d JOIN (SELECT day, scope_id, sum(seconds) AS seconds"
        " FROM analytics.status_daily WHERE scope = 'component' GROUP BY ALL) AS s USING (day)"
        " WHERE s.seconds > epoch(d.ends_at - d.starts_at) + 1e-6"
    )
    assert [gaps, lived, odd, sums, long_days] == [[], [], [], [], []]


@pytest.mark.parametrize(
    ("day", "hours", "begin", "end"),
    [
        ("2026-03-29", 23, "2026-03-29 00:30", "2026-03-29 01:30"),
        ("2026-10-25", 25, "2026-10-25 00:30", "2026-10-25 01:30"),
    ],
)
def test_a_day_on_which_the_clock_changes_has_the_hours_that_it_has(day, hours, begin, end):
    """An outage of an hour spans the change: from half past one to half past three, or to half past two again."""
    rows = a_page((1, "00:00", "00:00", 4))
    rows["components"][0] |= {"created_at": at("2026-01-01 00:00"), "updated_at": at("2026-01-01 00:00")}
    rows["incidents"][0] |= {"created_at": at(begin), "updated_at": at(end)}
    rows["incident_updates"] = [{"id": 1, "incident_id": 1, "status": 4, "created_at": at(end)}]

    models = Models(rows, as_of=at("2026-11-01 00:00"), time_zone="Europe/Berlin")

    (figure,) = models.rows(
        "SELECT measured_seconds, down_seconds, uptime FROM analytics.component_uptime_daily"
        f" WHERE policy = 'strict' AND day = '{day}'"
    )
    (month,) = models.rows(
        "SELECT measured_seconds, down_seconds FROM analytics.uptime_monthly WHERE scope = 'component'"
        f" AND policy = 'strict' AND month = date_trunc('month', DATE '{day}')"
    )
    assert (figure["measured_seconds"], figure["down_seconds"]) == (hours * 3600, 3600)
    assert figure["uptime"] == pytest.approx(1 - 1 / hours)
    assert (month["measured_seconds"], month["down_seconds"]) == ((31 * 24 - 24 + hours) * 3600, 3600)


@pytest.mark.parametrize(
    ("begin", "end", "least", "most"), [("00:50", "00:10", 0, 1_200), ("00:10", "00:20", 600, 4_200)]
)
def test_an_incident_within_an_hour_that_the_clock_shows_twice_has_bounds_of_that_hour_and_a_flag(
    begin, end, least, most
):
    """Berlin's clock goes from 3:00 back to 2:00 on 2026-10-25, at 1:00 UTC: 2:10 is 0:10 or 1:10."""
    day = "2026-10-25"
    rows = a_page((1, "00:00", "00:00", 4))
    rows["components"][0] |= {"created_at": at(f"{day} 00:00"), "updated_at": at(f"{day} 00:00")}
    rows["incidents"][0] |= {"created_at": at(f"{day} {begin}"), "updated_at": at(f"{day} {end}")}
    rows["incident_updates"] = [{"id": 1, "incident_id": 1, "status": 4, "created_at": at(f"{day} {end}")}]

    models = Models(rows, as_of=at("2026-10-26 00:00"), time_zone="Europe/Berlin")

    (span,) = models.table("incident_spans")
    assert (span["flags"], span["end_evidence"]) == ("repeated_hour", "inferred")
    assert (span["ends_at_earliest"] - span["starts_at"]).total_seconds() == least
    assert (span["ends_at"] - span["starts_at"]).total_seconds() == most


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(pages(), st.sampled_from(ZONES), st.sampled_from(ZONES), st.integers(0, 6))
def test_any_split_of_a_window_adds_up(rows, zone, other, cut):
    """Days before and after any cut are the window; and days cut at other midnights are the same time."""
    models, elsewhere = (Models(rows, as_of=AS_OF, time_zone=name, audience="all") for name in (zone, other))
    parts = (
        "SELECT scope, scope_id, aggregation, policy, f.day < w.first_day + {cut} AS is_before,"
        " sum(f.down_seconds) AS down, sum(f.measured_seconds) AS measured, sum(f.unknown_seconds) AS unknown"
        " FROM ({members}) JOIN analytics.component_uptime_daily AS f USING (component_id)"
        " JOIN analytics.calendar_windows AS w ON w.window_days = 7 AND f.day BETWEEN w.first_day AND w.last_day"
        " GROUP BY ALL"
    ).format(
        cut=cut,
        members="SELECT 'component' AS scope, component_id AS scope_id, 'own' AS aggregation, component_id"
        " FROM analytics.component_lives"
        " UNION ALL SELECT 'group', component_group_id, 'mean', component_id FROM analytics.component_lives"
        " WHERE component_group_id IS NOT NULL AND in_audience"
        " UNION ALL SELECT 'page', 0, 'mean', component_id FROM analytics.component_lives WHERE in_audience",
    )

    odd = models.rows(
        f"SELECT * FROM (SELECT scope, scope_id, aggregation, policy, sum(down) AS down, sum(measured) AS measured,"
        f" sum(unknown) AS unknown FROM ({parts}) GROUP BY ALL)"
        " FULL JOIN (FROM analytics.uptime_rolling WHERE window_days = 7 AND aggregation <> 'all_up')"
        " USING (scope, scope_id, aggregation, policy)"
        " WHERE NOT coalesce(abs(down - down_seconds) + abs(measured - measured_seconds)"
        " + abs(unknown - unknown_seconds) < 1e-6, FALSE)"
    )
    whole = [
        one.rows(
            "SELECT scope, scope_id, status, status_best, status_worst, round(sum(seconds), 3) AS seconds"
            " FROM analytics.status_daily GROUP BY ALL ORDER BY ALL"
        )
        for one in (models, elsewhere)
    ]
    assert odd == []
    assert whole[0] == whole[1]


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(pages(), st.randoms())
def test_the_order_of_rows_and_doubled_links_change_nothing(rows, random):
    shuffled = {name: random.sample(given, len(given)) for name, given in rows.items()}
    shuffled["incident_components"] += shuffled["incident_components"]

    def figures(given: Any) -> list[Row]:
        models = Models(given, as_of=AS_OF)
        return models.rows(
            "SELECT * EXCLUDE (scope_name) FROM analytics.uptime_monthly ORDER BY ALL"
        ) + models.rows("SELECT * EXCLUDE (name) FROM analytics.incident_facts ORDER BY ALL")

    assert figures(rows) == figures(shuffled)


def test_a_worse_impact_never_raises_uptime_and_partial_lies_between_major_and_operational():
    impacts = (1, 6, 2, 3, 4)
    rows = a_page(*((impact, "10:00", "11:00", impact) for impact in impacts))
    # A component of each impact's own.
    rows["components"] = [{**rows["components"][0], "id": impact} for impact in impacts]
    for link in rows["incident_components"]:
        link["component_id"] = link["component_status"]

    by_impact: dict[int, dict[str, float]] = {impact: {} for impact in impacts}
    for row in Models(rows, as_of=MIDNIGHT).table("component_uptime_daily"):
        by_impact[row["component_id"]][row["policy"]] = row["uptime"]

    assert by_impact[1]
    for policy in by_impact[1]:
        values = [by_impact[impact][policy] for impact in impacts]
        assert values == sorted(values, reverse=True), policy
    assert by_impact[4]["statuspage"] < by_impact[3]["statuspage"] < by_impact[1]["statuspage"]


BASE = "COALESCE(v.maintenance, v.own)"
CLIP = "LEAST(p.ends_at, COALESCE(v.ends_at, p.ends_at))"
MUTANTS = [
    # `>` for `>=`: an edit that Cachet dates at the very look that did not see it yet.
    ("component_sweep", "o.updated_at >= o.unedited_until", "o.updated_at > o.unedited_until"),
    # Sum for max: two things at once.
    ("component_sweep", f"GREATEST({BASE}, v.incident)", f"LEAST({BASE} + v.incident, 6)"),
    # A missing clip: an impact runs on beyond its span.
    ("incident_impacts", CLIP, "COALESCE(v.ends_at, p.ends_at + INTERVAL 1 DAY)"),
    # The first fix instead of the last one, after it was reopened.
    ("incident_spans", "ORDER BY a.nth DESC NULLS LAST", "ORDER BY a.nth NULLS LAST"),
]


@pytest.fixture(scope="module")
def intricate() -> dict[str, list[Row]]:
    """Return a page on which each of the mutants shows."""
    rows = a_page((1, "10:00", "11:00", 3), (2, "10:30", "12:00", 2))
    looks = [hhmm(time) for time in ("09:00", "13:00", "14:00", "15:00", "16:00", "17:00")]

    def seen(n: int, **values: Any) -> Row:
        return {
            "observed_at": looks[n],
            "previous_observed_at": looks[n - 1] if n else None,
            "is_deleted": False,
            **values,
        }

    common = {"component_id": 1, "created_at": hhmm("00:00"), "enabled": True}
    rows["component_history"] = [
        seen(0, **common, status=1, updated_at=hhmm("00:00")),
        seen(1, **common, status=2, updated_at=looks[0]),
    ]
    rows["components"][0] |= {"status": 2, "updated_at": looks[0]}
    # Fixed, reopened and fixed again without an update ever.
    rows["incidents"].append(
        {"id": 3, "visible": 1, "status": 4, "created_at": hhmm("12:30"), "updated_at": hhmm("18:00")}
    )
    rows["incident_components"].append({"incident_id": 3, "component_id": 1, "component_status": 4})
    rows["incident_history"] = [
        seen(n, incident_id=3, status=status, created_at=hhmm("12:30"), visible=1, updated_at=None)
        for n, status in ((1, 1), (2, 4), (3, 1), (5, 4))
    ]
    return rows


def test_models_and_oracle_agree_on_the_intricate_page(intricate):
    found, _ = differences(
        intricate,
        Models(intricate, as_of=MIDNIGHT).table("component_status_intervals"),
        Oracle(intricate, MIDNIGHT, hhmm("00:00")),
    )
    assert found == []


@pytest.mark.parametrize(("model", "right", "wrong"), MUTANTS)
def test_a_model_with_a_classic_mistake_is_caught(intricate, model, right, wrong):
    assert model_sql(model).count(right) >= 1
    mutant = Models(intricate, as_of=MIDNIGHT, sql={model: model_sql(model).replace(right, wrong)})

    found, _ = differences(
        intricate, mutant.table("component_status_intervals"), Oracle(intricate, MIDNIGHT, hhmm("00:00"))
    )

    assert found
