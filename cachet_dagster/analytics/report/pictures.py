"""Charts from a page's models: for the report, and for the assets that Dagster shows.

They hold what the audience of the models may see.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta

from cachet_dagster.analytics.charts import (
    Band,
    Chart,
    ComponentDays,
    DayShare,
    MonthDurations,
    MonthUptime,
    Span,
    budget_burn_down,
    durations,
    metric_band,
    monthly_uptime,
    overlap,
    uptime_bars,
    uptime_calendar,
    weekday_hour,
)
from cachet_dagster.source.rows import Row

from . import queries
from .figures import Figures, Period

BAR_DAYS = 90
_CALENDAR_DAYS = 365


def bars(figures: Figures, policy: str, last_day: date) -> Chart:
    """Return the strips of the 90 days up to one."""
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
    rolling = _rolling_bounds(figures, policy) if last_day == figures.as_of.date() else {}
    strips = []
    for component in queries.components(figures):
        days = by_component.get(component["component_id"])
        if days:
            bounds = rolling.get(component["component_id"], (None, None))
            strips.append(_strip(component["component_name"], days, last_day, bounds))
    return uptime_bars(strips, last_day)


def _strip(
    name: str, days: dict[date, Row], last_day: date, bounds: tuple[float | None, float | None]
) -> ComponentDays:
    length = (last_day - min(days)).days + 1
    order = [last_day - timedelta(days=ago) for ago in reversed(range(length))]
    statuses = [days[day]["worst_status"] if day in days else None for day in order]
    measured = sum(row["measured_seconds"] for row in days.values())
    down = sum(row["down_seconds"] for row in days.values())
    return ComponentDays(name, statuses, 1 - down / measured if measured else None, *bounds)


def _rolling_bounds(figures: Figures, policy: str) -> dict[int, tuple[float | None, float | None]]:
    found = figures.rows(
        "SELECT r.scope_id, r.uptime_lower, r.uptime_upper FROM analytics.uptime_rolling AS r"
        " WHERE r.scope = 'component' AND r.window_days = :days AND r.policy = :policy",
        days=BAR_DAYS,
        policy=policy,
    )
    return {row["scope_id"]: (row["uptime_lower"], row["uptime_upper"]) for row in found}


def calendar(figures: Figures, policy: str, last_day: date, component: int | None = None) -> Chart:
    """Return the days of up to a year: of a component, or else each as the mean of all components' time."""
    found = figures.rows(
        "SELECT d.day, MAX(l.component_name) AS name, SUM(d.measured_seconds) AS measured, SUM(d.down_seconds) AS down"
        " FROM analytics.component_uptime_daily AS d"
        " INNER JOIN analytics.component_lives AS l ON l.component_id = d.component_id AND l.in_audience"
        " WHERE d.policy = :policy AND d.day BETWEEN :first AND :last"
        + ("" if component is None else " AND d.component_id = :component")
        + " GROUP BY d.day ORDER BY d.day NULLS LAST",
        policy=policy,
        first=last_day - timedelta(days=_CALENDAR_DAYS - 1),
        last=last_day,
        component=component or 0,
    )
    shares = {row["day"]: _share(row["down"], row["measured"]) for row in found}
    first = min(shares, default=last_day)
    days = [first + timedelta(days=n) for n in range((last_day - first).days + 1)]
    whose = "the page" if component is None or not found else found[0]["name"]
    return uptime_calendar([DayShare(day, shares.get(day)) for day in days], whose=whose)


def _share(down: float, measured: float) -> float | None:
    """Return an uptime; what floating point leaves of nothing is nothing."""
    if not measured:
        return None
    return 1.0 if down < 1e-6 else 1 - down / measured


def months(figures: Figures, policy: str, last_month: date, target: float | None) -> Chart:
    """Return the twelve months up to one, each as the mean of the components' time."""
    found = figures.rows(
        "SELECT u.month, u.uptime, u.uptime_lower, u.uptime_upper,"
        " u.observed_seconds + u.reported_seconds + u.inferred_seconds AS told FROM analytics.uptime_monthly AS u"
        " WHERE u.scope = 'page' AND u.aggregation = 'mean' AND u.policy = :policy AND u.month <= :last"
        " ORDER BY u.month NULLS LAST",
        policy=policy,
        last=last_month,
    )
    entries = [
        MonthUptime(row["month"], row["uptime"], row["uptime_lower"], row["uptime_upper"], not row["told"])
        for row in found
    ]
    return monthly_uptime(entries, target)


def budget(figures: Figures, policy: str, period: Period, targets: dict[int, float]) -> Chart | None:
    """Return the budget of the component that spent the largest share of its own; None where none has a target.

    Args:
        figures: The models.
        policy: By which downtime is weighed.
        period: The month.
        targets: Component → promised share.
    """
    found = figures.rows(
        "SELECT d.component_id, d.day, d.down_seconds, d.measured_seconds"
        " FROM analytics.component_uptime_daily AS d"
        " WHERE d.policy = :policy AND d.day BETWEEN :first AND :last ORDER BY d.day NULLS LAST",
        policy=policy,
        first=period.month,
        last=period.last_day,
    )
    by_component: dict[int, list[Row]] = defaultdict(list)
    for row in found:
        by_component[row["component_id"]].append(row)
    names = {row["component_id"]: row["component_name"] for row in queries.components(figures)}
    spent = {
        number: sum(row["down_seconds"] for row in by_component[number]) / (1 - targets[number])
        for number in names.keys() & targets.keys() & by_component.keys()
        if targets[number] < 1
    }
    if not spent:
        return None
    worst = max(sorted(spent), key=spent.__getitem__)
    days = by_component[worst]
    measured = sum(row["measured_seconds"] for row in days) + 86_400.0 * (len(period.days) - len(days)) * (
        not period.is_over
    )
    allowed = (1 - targets[worst]) * measured
    if allowed <= 0:
        return None
    return budget_burn_down(
        _burnt(days, period, allowed),
        whose=names[worst],
        target=targets[worst],
        budget_seconds=allowed,
        period=period.name,
    )


def _burnt(days: Sequence[Row], period: Period, allowed: float) -> list[DayShare]:
    down = {row["day"]: row["down_seconds"] for row in days}
    left, entries = allowed, []
    for day in period.days:
        left -= down.get(day, 0.0)
        entries.append(DayShare(day, left / allowed if day <= period.last_day else None))
    return entries


def incident_durations(figures: Figures, last_month: date) -> Chart:
    """Return how long the incidents of the twelve months up to one took to be fixed."""
    found = figures.rows(
        "SELECT s.* FROM analytics.incident_stats_monthly AS s"
        " WHERE s.measure = 'time_to_fixed' AND s.month <= :last ORDER BY s.month NULLS LAST",
        last=last_month,
    )
    return durations(
        [
            MonthDurations(
                row["month"], row["n"], row["median_seconds"], row["p90_seconds"], row["open_incidents"]
            )
            for row in found
        ]
    )


def week(figures: Figures, last_day: date) -> Chart:
    """Return when in the week the incidents of the year up to a day began."""
    found = figures.rows(
        "SELECT f.starts_at FROM analytics.incident_facts AS f WHERE f.starts_at IS NOT NULL"
    )
    starts = [
        row["starts_at"] for row in found if 0 <= (last_day - row["starts_at"].date()).days < _CALENDAR_DAYS
    ]
    return weekday_hour(Counter((at.weekday(), at.hour) for at in starts), zone=figures.zone_name)


def spans(figures: Figures, period: Period) -> list[Span]:
    """Return the incidents and the maintenance of a period."""
    condition = "f.starts_at < :end AND COALESCE(f.ends_at, :end) > :begin"
    incidents = figures.rows(
        "SELECT i.name, i.worst_status, f.starts_at, f.ends_at, f.is_open, f.end_evidence"
        " FROM analytics.incident_spans AS f"
        f" INNER JOIN analytics.incident_facts AS i ON i.incident_id = f.incident_id WHERE {condition}",
        begin=period.begin,
        end=period.end,
    )
    return [
        Span(
            row["name"] or "",
            row["starts_at"],
            None if row["is_open"] else row["ends_at"],
            row["worst_status"],
            row["is_open"] or row["end_evidence"] in {"observed", "reported"},
        )
        for row in incidents
    ] + [
        Span(row["name"] or "", row["starts_at"], row["ends_at"], 6, not row["is_capped"])
        for row in queries.maintenance(figures, period)
    ]


def overlaps(figures: Figures, period: Period) -> Chart:
    """Return what went on at the same time in a period."""
    return overlap(
        spans(figures, period),
        period.begin,
        period.end,
        period=period.name,
        now=min(figures.as_of, period.end),
    )


def metrics(figures: Figures, period: Period, *, most: int = 12) -> list[tuple[Row, Chart]]:
    """Return a period's metrics, each with its chart, by day where there are days enough, else by the hour."""
    visible = "WHERE m.visible = 1" if figures.is_public else ""
    found = figures.rows(
        f'SELECT m.* FROM source.metrics AS m {visible} ORDER BY m."order" NULLS LAST, m.id NULLS LAST'
    )
    incidents = [span for span in spans(figures, period) if span.status != 6]
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
    period = figures.period(today.replace(day=1))
    targets = queries.component_targets(figures)
    charts = {
        "component_uptime_daily": {
            "days": bars(figures, policy, today),
            "calendar": calendar(figures, policy, today),
        },
        "uptime_monthly": {"months": months(figures, policy, period.month, queries.page_target(figures))},
        "incident_stats_monthly": {"durations": incident_durations(figures, period.month)},
        "incident_facts": {"week": week(figures, today)},
        "incident_spans": {"overlaps": overlaps(figures, period)},
        "metric_rollups": {f"metric_{row['id']}": chart for row, chart in metrics(figures, period, most=3)},
    }
    spent = budget(figures, policy, period, targets)
    if spent:
        charts["slo_status"] = {"budget": spent}
    return charts
