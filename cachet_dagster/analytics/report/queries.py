"""What several parts of a report read from the models: components, maintenance, statistics, metrics, targets."""

from __future__ import annotations

from cachet_dagster.source.rows import Row

from .figures import Figures
from .periods import Period
from .uptimes import over

_COMPONENTS = """
    SELECT l.component_id, l.component_name, l.component_group_name
    FROM analytics.component_lives AS l
    LEFT JOIN source.components AS c ON c.id = l.component_id
    LEFT JOIN source.components_groups AS g ON g.id = l.component_group_id
    WHERE l.in_audience
    ORDER BY g."order" ASC NULLS FIRST, g.id ASC NULLS FIRST, c."order" ASC NULLS LAST, l.component_id ASC NULLS LAST
"""
_WITHIN = "f.starts_at >= :begin AND f.starts_at < :end"
_FACTS = (
    f"SELECT f.is_open, CASE WHEN {_WITHIN} THEN CAST(:first AS DATE) END AS month, f.seconds_to_publish,"
    " f.seconds_to_first_response, f.seconds_to_identified, f.seconds_to_watching, f.seconds_to_fixed"
    " FROM analytics.incident_facts AS f"
)
_WINDOW = (
    "SELECT CAST(:first AS DATE) AS month, CAST(:begin AS TIMESTAMPTZ) AS starts_at,"
    " CAST(:end AS TIMESTAMPTZ) AS ends_at"
)
_QUARTERS = (
    "SELECT q.quarter, q.hour_starts_at, q.day_starts_at, CAST(:begin AS TIMESTAMPTZ) AS month_starts_at"
    " FROM analytics.calendar_quarters AS q WHERE q.day_starts_at >= :begin AND q.day_starts_at < :end"
)


def components(figures: Figures) -> list[Row]:
    """Return the components that the figures' audience sees, in the order of the page."""
    return figures.rows(_COMPONENTS)


def maintenance(figures: Figures, period: Period) -> list[Row]:
    """Return the maintenance that ran in a period and that the figures' audience may see, in order of time."""
    found = figures.rows(
        "SELECT f.*, s.published_at FROM analytics.maintenance_facts AS f"
        " LEFT JOIN source.schedules AS s ON s.id = f.schedule_id"
        " WHERE f.starts_at < :end AND COALESCE(f.ends_at, :end) > :begin"
        " ORDER BY f.starts_at NULLS LAST, f.schedule_id NULLS LAST",
        begin=period.begin,
        end=period.end,
    )
    now = figures.as_of
    return [
        row for row in found if not figures.is_public or not row["published_at"] or row["published_at"] <= now
    ]


def incident_stats(figures: Figures, period: Period) -> dict[tuple[str, bool], Row]:
    """Return rows of the model `incident_stats_monthly` over a period, and over all time, by measure and which."""
    rows = figures.rows(
        over("incident_stats_monthly", incident_facts=_FACTS, calendar_months=_WINDOW),
        first=period.first_day,
        begin=period.begin,
        end=period.end,
    )
    return {(row["measure"], row["month"] is None): row for row in rows}


def metric_stats(figures: Figures, period: Period) -> dict[int, Row]:
    """Return rows of the model `metric_rollups` over a whole period, by metric."""
    rows = figures.rows(
        over("metric_rollups", calendar_quarters=_QUARTERS) + " WHERE m.grain = 'month'",
        begin=period.begin,
        end=period.end,
    )
    return {row["metric_id"]: row for row in rows}


def component_targets(figures: Figures) -> dict[int, float]:
    """Return what each component promised, where one did: the highest promise of several."""
    found = figures.rows(
        "SELECT s.scope_id, s.target FROM analytics.slo_status AS s WHERE s.scope = 'component'"
    )
    targets: dict[int, float] = {}
    for row in found:
        targets[row["scope_id"]] = max(row["target"], targets.get(row["scope_id"], 0.0))
    return targets


def page_target(figures: Figures) -> float | None:
    """Return what the page promised, or else what all of its components did."""
    found = figures.rows("SELECT s.target FROM analytics.slo_status AS s WHERE s.scope = 'page'")
    if found:
        return max(row["target"] for row in found)
    promised = set(component_targets(figures).values())
    return promised.pop() if len(promised) == 1 else None
