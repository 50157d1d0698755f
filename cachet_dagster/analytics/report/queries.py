"""What several parts of a report read from the models: components, maintenance, targets."""

from __future__ import annotations

from cachet_dagster.source.rows import Row

from .figures import Figures, Period

_COMPONENTS = """
    SELECT l.component_id, l.component_name, l.component_group_name
    FROM analytics.component_lives AS l
    LEFT JOIN source.components AS c ON c.id = l.component_id
    LEFT JOIN source.components_groups AS g ON g.id = l.component_group_id
    WHERE l.in_audience
    ORDER BY g."order" ASC NULLS FIRST, g.id ASC NULLS FIRST, c."order" ASC NULLS LAST, l.component_id ASC NULLS LAST
"""


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
