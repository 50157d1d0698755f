"""How a page stands now, as plain values: what `status.json`, the index, the badges and the metrics are made from."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from cachet_dagster.analytics import formats
from cachet_dagster.source.rows import Row
from cachet_dagster.source.tables import COMPONENT_STATUS

from . import queries
from .figures import Figures
from .lines import component_lines
from .periods import RUNNING_MONTH, find_period
from .pictures import BAR_DAYS, day_kind
from .uptimes import Uptime, uptime, uptimes
from .verdict import worst

Standing = dict[str, Any]
"""JSON of one page: shares cut as reports show them, times in ISO 8601 with their zone."""

_RECENT = timedelta(days=30)


def standing(figures: Figures, page: str, title: str, policy: str | None = None) -> Standing:
    """Return how a page stands as of its last load, for the audience that the models were built for.

    Args:
        figures: The page's models.
        page: The page's name, for paths.
        title: What people call it.
        policy: Name of the uptime policy; without one the default.

    Raises:
        ModelsMissing: The models have not been built.
        SettingsError: There is no such policy.
    """
    now = figures.as_of
    chosen = figures.policy(policy)["policy"]
    month = find_period(figures, RUNNING_MONTH)
    rows = uptimes(figures, month.first_day, month.last_day, policy=chosen)
    components = component_lines(figures, rows, chosen)
    lowest = worst(components)
    of_page = [row for row in rows if row["scope"] == "page" and row["aggregation"] == "mean"]
    statuses = _statuses(figures)
    incidents = _incidents(figures, now)
    return {
        "page": page,
        "title": formats.plain(title),
        "as_of": now.isoformat(),
        "time_zone": figures.zone_name,
        "audience": figures.settings["audience"],
        "policy": chosen,
        "status": _worst_status([statuses.get(line.component_id) for line in components]),
        "month": {
            "period": month.key,
            "name": month.name,
            **_shares(uptime(of_page[0] if of_page else None)),
            "worst": None if lowest is None else {"name": lowest.name, **_shares(lowest.uptime)},
        },
        "days": _days(figures, chosen, now.date()),
        "uptimes": _windows(figures),
        "components": [
            {
                "id": line.component_id,
                "name": line.name,
                "group": line.group,
                "status": _worst_status([statuses.get(line.component_id)]),
                **_shares(line.uptime),
            }
            for line in components
        ],
        "targets": _targets(figures),
        "open_incidents": [incident for incident in incidents if incident["ended_at"] is None],
        "recent_incidents": incidents,
    }


def _shares(known: Uptime) -> Row:
    """Return an uptime's bounds, cut as they are shown, and what it rests on."""
    return {
        "lower": None if known.lower is None else formats.cut(known.lower),
        "upper": None if known.upper is None else formats.cut(known.upper),
        "known": round(known.known, 4),
        "assumed": round(known.assumed, 4),
        "unknown": round(known.unknown, 4),
    }


def _statuses(figures: Figures) -> dict[int, int]:
    """Return what the page shows of each component as of now."""
    found = figures.rows(
        "SELECT i.component_id, i.shown_status FROM analytics.component_status_intervals AS i"
        " WHERE i.ends_at >= :now",
        now=figures.as_of,
    )
    return {row["component_id"]: row["shown_status"] for row in found}


def _worst_status(statuses: list[int | None]) -> str:
    """Return the worst of some statuses in words, in Cachet's order of severity."""
    order = (4, 3, 2, 6, 5, 1)
    worst = next((status for status in order if status in statuses), 5)
    return COMPONENT_STATUS[worst].lower()


def _days(figures: Figures, policy: str, last: date) -> list[Row]:
    """Return what each of the last 90 days was: its worst component decides."""
    first = last - timedelta(days=BAR_DAYS - 1)
    found = {
        row["period"]: row
        for row in uptimes(figures, first, last, by="day", scope="page", policy=policy)
        if row["aggregation"] == "all_up"
    }
    days = (first + timedelta(days=n) for n in range(BAR_DAYS))
    return [{"day": day.isoformat(), "kind": day_kind(found.get(day))} for day in days]


def _windows(figures: Figures) -> list[Row]:
    """Return the page's uptime of each rolling window under each policy."""
    found = figures.rows(
        "SELECT r.* FROM analytics.uptime_rolling AS r WHERE r.scope = 'page'"
        " ORDER BY r.window_days, r.aggregation, r.policy"
    )
    return [
        {**{name: row[name] for name in ("window_days", "aggregation", "policy")}, **_bounds(row)}
        for row in found
    ]


def _bounds(row: Row) -> Row:
    """Return the bounds of a model's row, cut as they are shown; none where all of it is unknown."""
    bounds = (row["uptime_lower"], row["uptime_upper"])
    return {
        name: None if share is None or row.get("coverage") == 0 else formats.cut(share)
        for name, share in zip(("lower", "upper"), bounds, strict=True)
    }


def _targets(figures: Figures) -> list[Row]:
    """Return each objective with what is left of its budget at least and at most, in seconds."""
    found = figures.rows("SELECT s.* FROM analytics.slo_status AS s ORDER BY s.slo")
    targets = []
    for row in found:
        budget, measured = row["budget_seconds"], row["measured_seconds"]
        lower, upper = row["uptime_lower"], row["uptime_upper"]
        left = None
        if budget is not None and lower is not None and upper is not None:
            left = [round(budget - (1 - share) * measured, 3) for share in (lower, upper)]
        targets.append(
            {
                "slo": row["slo"],
                "of": formats.plain(row["scope_name"]) or "the page",
                "policy": row["policy"],
                "window_days": row["window_days"],
                "target": row["target"],
                **_bounds(row),
                "kept": formats.promise_kept(row["target"], lower, upper),
                "left_seconds": left,
            }
        )
    return targets


def _incidents(figures: Figures, now: datetime) -> list[Row]:
    """Return the incidents that were open within the last 30 days, the newest first."""
    found = figures.rows(
        "SELECT f.* FROM analytics.incident_facts AS f WHERE f.is_open OR f.ends_at >= :since"
        " ORDER BY f.starts_at DESC NULLS LAST, f.incident_id",
        since=now - _RECENT,
    )
    names = {row["component_id"]: formats.plain(row["component_name"]) for row in queries.components(figures)}
    links = figures.rows(
        "SELECT l.incident_id, l.component_id FROM source.incident_components AS l"
        " ORDER BY l.incident_id NULLS LAST, l.component_id NULLS LAST"
    )
    hit: dict[int, list[str]] = {}
    for link in links:
        if link["component_id"] in names:
            hit.setdefault(link["incident_id"], []).append(names[link["component_id"]])
    return [
        {
            "id": row["incident_id"],
            "name": formats.plain(row["name"]),
            "started_at": row["starts_at"] and row["starts_at"].isoformat(),
            "ended_at": None if row["is_open"] else row["ends_at"] and row["ends_at"].isoformat(),
            "impact": COMPONENT_STATUS.get(row["worst_status"], "not given").lower(),
            "components": hit.get(row["incident_id"], []),
        }
        for row in found
        if row["starts_at"] and (row["is_open"] or row["ends_at"])
    ]
