"""Charts from a page's models: for the report, and for the assets that Dagster shows.

They hold what the audience of the models may see.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

from cachet_dagster.analytics.charts import (
    Band,
    Chart,
    ComponentDays,
    DayKind,
    DayUptime,
    MonthUptime,
    Span,
    metric_band,
    monthly_uptime,
    uptime_bars,
    uptime_calendar,
)
from cachet_dagster.source.rows import Row

from . import queries
from .figures import Figures
from .periods import RUNNING_MONTH, Period, find_period
from .uptimes import Uptime, uptime, uptimes

BAR_DAYS = 90
_CALENDAR_DAYS = 365
_KINDS: dict[int, DayKind] = {2: "performance", 3: "partial", 4: "major", 6: "maintenance"}


def bars(figures: Figures, policy: str, last_day: date) -> Chart:
    """Return the strips of the 90 days up to one."""
    return uptime_bars(component_days(figures, policy, last_day), last_day)


def component_days(figures: Figures, policy: str, last_day: date) -> list[ComponentDays]:
    """Return what each component was on each of the 90 days up to one, with the uptime of these days."""
    first_day = last_day - timedelta(days=BAR_DAYS - 1)
    by_component: dict[int, dict[date, Row]] = defaultdict(dict)
    for row in figures.rows(
        "SELECT d.* FROM analytics.component_uptime_daily AS d"
        " WHERE d.policy = :policy AND d.day BETWEEN :first AND :last",
        policy=policy,
        first=first_day,
        last=last_day,
    ):
        by_component[row["component_id"]][row["day"]] = row
    figure = {
        row["scope_id"]: uptime(row)
        for row in uptimes(figures, first_day, last_day, scope="component", policy=policy)
    }
    strips = []
    for component in queries.components(figures):
        number = component["component_id"]
        days = by_component.get(number)
        if days:
            length = (last_day - min(days)).days + 1
            order = [last_day - timedelta(days=ago) for ago in reversed(range(length))]
            known = figure.get(number, Uptime())
            kinds: list[DayKind] = [day_kind(days.get(day)) for day in order]
            strips.append(ComponentDays(component["component_name"], kinds, known.lower, known.upper))
    return strips


def day_kind(row: Row | None) -> DayKind:
    """Return what a component was on a day, from its row of `component_uptime_daily`."""
    if row is None:
        return "unknown"
    if row["worst_status"] in _KINDS:
        return _KINDS[row["worst_status"]]
    measured, unknown = row["measured_seconds"], row["unknown_seconds"]
    if unknown > measured or row["uptime_lower"] is None:
        return "unknown"
    if row["uptime_upper"] - row["uptime_lower"] > 1e-9:
        return "uncertain"
    return "assumed" if row["assumed_seconds"] > (measured + unknown) / 2 else "operational"


def calendar(figures: Figures, policy: str, last_day: date, component: int | None = None) -> Chart:
    """Return the days of up to a year: of a component, or else each as the mean of all components' time."""
    first = last_day - timedelta(days=_CALENDAR_DAYS - 1)
    scope = "page" if component is None else "component"
    found = {
        row["period"]: row
        for row in uptimes(figures, first, last_day, by="day", scope=scope, policy=policy)
        if row["scope_id"] == (component or 0) and row["aggregation"] != "all_up"
    }
    first = min(found, default=last_day)
    days = []
    for day in (first + timedelta(days=n) for n in range((last_day - first).days + 1)):
        known = uptime(found.get(day))
        days.append(DayUptime(day, known.lower, known.upper, known.assumed > 0.5))
    whose = "the page" if component is None or not found else found[first]["scope_name"]
    return uptime_calendar(days, whose=whose)


def months(figures: Figures, policy: str, last_day: date, target: float | None) -> Chart:
    """Return the twelve months up to that of a day, each as the mean of the components' time."""
    found = figures.rows(
        "SELECT u.month, u.uptime_lower, u.uptime_upper, u.coverage,"
        " u.observed_seconds + u.reported_seconds + u.inferred_seconds AS told FROM analytics.uptime_monthly AS u"
        " WHERE u.scope = 'page' AND u.aggregation = 'mean' AND u.policy = :policy AND u.month <= :last"
        " ORDER BY u.month NULLS LAST",
        policy=policy,
        last=last_day,
    )
    entries = [
        MonthUptime(
            row["month"],
            row["uptime_lower"] if row["coverage"] else None,
            row["uptime_upper"] if row["coverage"] else None,
            not row["told"],
        )
        for row in found
    ]
    return monthly_uptime(entries, target)


def spans(figures: Figures, period: Period) -> list[Span]:
    """Return when incidents were open in a period."""
    found = figures.rows(
        "SELECT i.name, s.starts_at, s.ends_at, s.is_open FROM analytics.incident_spans AS s"
        " INNER JOIN analytics.incident_facts AS i ON i.incident_id = s.incident_id"
        " WHERE s.starts_at < :end AND COALESCE(s.ends_at, :end) > :begin",
        begin=period.begin,
        end=period.end,
    )
    return [
        Span(row["name"] or "", row["starts_at"], None if row["is_open"] else row["ends_at"]) for row in found
    ]


def metrics(figures: Figures, period: Period, *, most: int = 12) -> list[tuple[Row, Chart]]:
    """Return a period's metrics, each with its chart, by day where there are days enough, else by the hour."""
    visible = "WHERE m.visible = 1" if figures.is_public else ""
    found = figures.rows(
        f'SELECT m.* FROM source.metrics AS m {visible} ORDER BY m."order" NULLS LAST, m.id NULLS LAST'
    )
    incidents = spans(figures, period)
    charts = []
    for metric in found[:most]:
        rollups = figures.rows(
            "SELECT r.* FROM analytics.metric_rollups AS r WHERE r.metric_id = :metric AND r.grain <> 'month'"
            " AND r.starts_at >= :begin AND r.starts_at < :end ORDER BY r.starts_at NULLS LAST",
            metric=metric["id"],
            begin=period.begin,
            end=period.end,
        )
        days = [row for row in rollups if row["grain"] == "day"]
        hours = [row for row in rollups if row["grain"] == "hour"]
        chosen = days if len(days) > 10 else hours
        if len(chosen) > 1:
            bands = [Band(row["starts_at"], row["min"], row["p50"], row["max"]) for row in chosen]
            chart = metric_band(metric["name"], metric["suffix"] or "", bands, incidents, figures.as_of)
            charts.append((metric, chart))
    return charts


def asset_charts(figures: Figures) -> dict[str, dict[str, Chart]]:
    """Return what the models' assets show in Dagster: charts by model and name, as of now, by the default policy."""
    policy = figures.policy()["policy"]
    today = figures.as_of.date()
    period = find_period(figures, RUNNING_MONTH)
    target = queries.page_target(figures)
    return {
        "component_uptime_daily": {
            "component_uptime_90_days": bars(figures, policy, today),
            "uptime_calendar": calendar(figures, policy, today),
        },
        "uptime_monthly": {"uptime_by_month": months(figures, policy, today, target)},
        "metric_rollups": {
            f"metric_{row['id']}_this_month": chart for row, chart in metrics(figures, period, most=3)
        },
    }
