"""What a report says: every figure of it, with its bounds and its evidence, as plain values that any format can show.

Everything is told of one period, by one policy, for the audience that the models were built for. Texts are the page's
own and not yet escaped: that is the format's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.charts import Chart
from cachet_dagster.analytics.tables import MODELS
from cachet_dagster.source.rows import Row
from cachet_dagster.source.tables import COMPONENT_STATUS, INCIDENT_STATUS

from . import pictures, queries
from .data_issues import DataIssue, data_issues
from .figures import Figures
from .lines import ComponentLine, IncidentLine, Update, component_lines
from .periods import Period, find_period
from .uptimes import Uptime, uptime, uptimes
from .verdict import verdict, worst, worst_day

TIMELINES = 3
"""Incidents whose timeline is told, the longest ones; all of them stand in the table and its CSV."""

MEASURES = {
    "time_between_failures": "between failures (MTBF, mean)",
    "time_to_recovery": "outage to recovery",
    "time_to_fixed": "start to fixed",
    "time_to_publish": "start to publication",
    "time_to_first_response": "publication to first update",
    "time_to_identified": "start to identified",
    "time_to_watching": "start to watching",
}
"""`measure` of `incident_stats_monthly` in words, in the order in which they are told."""


@dataclass(frozen=True)
class Report:
    """Everything that a report says.

    Attributes:
        page: The page's name.
        period: The period.
        policy: The row of `uptime_policies` that figures go by.
        as_of: The moment up to which the models tell, in the page's zone.
        zone: The page's time zone.
        is_public: Whether it holds nothing but what everyone may see.
        verdict: The period in a few sentences.
        uptime: The mean of the components' time.
        all_up: The time in which all components were up.
        components: In the order of the page.
        worst: The component with the lowest uptime, or None.
        worst_day: Its lowest day, or None.
        incidents: Longest first.
        stats: Rows of `incident_stats_monthly` of the period and of all time, by measure.
        maintenance: Rows of `maintenance_facts`, in order of time.
        metrics: Metrics, each with its row of `metric_rollups` for the period.
        policies: All policies.
        by_policy: Scope, `page` or a component's name → policy → uptime.
        restatements: Rows of `uptime_restatements` of the period's months.
        issues: What on the page makes figures uncertain.
        charts: By name.
        metric_charts: By metric's id.
    """

    page: str
    period: Period
    policy: Row
    as_of: datetime
    zone: str
    is_public: bool
    verdict: str
    uptime: Uptime
    all_up: Uptime
    components: Sequence[ComponentLine]
    worst: ComponentLine | None
    worst_day: date | None
    incidents: Sequence[IncidentLine]
    stats: Sequence[tuple[str, Row, Row]]
    maintenance: Sequence[Row]
    metrics: Sequence[tuple[Row, Row]]
    policies: Sequence[Row]
    by_policy: Sequence[tuple[str, Mapping[str, Uptime]]]
    restatements: Sequence[Row]
    issues: Sequence[DataIssue]
    charts: Mapping[str, Chart] = field(default_factory=dict)
    metric_charts: Mapping[int, Chart] = field(default_factory=dict)


def collect(
    figures: Figures,
    page: str,
    period: str | None = None,
    policy: str | None = None,
    timelines: int = TIMELINES,
) -> Report:
    """Return the report of a period.

    Args:
        figures: The page's models.
        page: The page's name.
        period: As `find_period` reads it; without one the last month that is over.
        policy: Name of the uptime policy; without one the default.
        timelines: Incidents whose timeline is told.

    Raises:
        ModelsMissing: The models have not been built.
        SettingsError: There is no such period or policy.
    """
    found, chosen = find_period(figures, period), figures.policy(policy)
    name = chosen["policy"]
    rows = uptimes(figures, found.first_day, found.last_day)
    of_page = {row["aggregation"]: row for row in rows if row["scope"] == "page" and row["policy"] == name}
    mean = uptime(of_page.get("mean"))
    components = component_lines(figures, rows, name)
    incidents = _incidents(figures, found, timelines)
    metric_charts = pictures.metrics(figures, found)
    lowest = worst(components)
    return Report(
        page=formats.plain(page),
        period=found,
        policy=chosen,
        as_of=figures.as_of,
        zone=figures.zone_name,
        is_public=figures.is_public,
        verdict=verdict(found, name, mean, components, len(incidents)),
        uptime=mean,
        all_up=uptime(of_page.get("all_up")),
        components=components,
        worst=lowest,
        worst_day=worst_day(_days(figures, found, name, lowest.component_id)) if lowest else None,
        incidents=incidents,
        stats=_stats(figures, found),
        maintenance=queries.maintenance(figures, found),
        metrics=_metrics(figures, found, [metric for metric, _ in metric_charts]),
        policies=figures.rows("SELECT p.* FROM analytics.uptime_policies AS p ORDER BY p.is_own, p.policy"),
        by_policy=_by_policy(rows, components),
        restatements=_restatements(figures, found, name),
        issues=data_issues(figures, [line.row for line in incidents]),
        charts={
            "bars": pictures.bars(figures, name, found.last_day),
            "calendar": pictures.calendar(figures, name, found.last_day),
            "months": pictures.months(figures, name, found.last_day, queries.page_target(figures)),
        },
        metric_charts={metric["id"]: chart for metric, chart in metric_charts},
    )


def _none(model: str) -> Row:
    """Return a row of a model that says nothing."""
    return {column.name: None for column in MODELS[model].columns}


def _days(figures: Figures, period: Period, policy: str, component: int) -> list[tuple[date, Uptime]]:
    rows = uptimes(figures, period.first_day, period.last_day, by="day", scope="component", policy=policy)
    return [(row["period"], uptime(row)) for row in rows if row["scope_id"] == component]


def _incidents(figures: Figures, period: Period, timelines: int) -> list[IncidentLine]:
    within = {"begin": period.begin, "end": period.end}
    found = figures.rows(
        "SELECT f.* FROM analytics.incident_facts AS f"
        " WHERE f.incident_id IN (SELECT p.incident_id FROM analytics.incident_spans AS p"
        " WHERE p.starts_at < :end AND p.ends_at >= :begin)"
        " ORDER BY f.open_seconds DESC NULLS LAST, f.incident_id NULLS LAST",
        **within,
    )
    seen = {
        component["component_id"]: component["component_name"] for component in queries.components(figures)
    }
    links: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    for row in figures.rows(
        "SELECT l.incident_id, l.component_id, l.component_status FROM source.incident_components AS l"
        " ORDER BY l.incident_id NULLS LAST, l.component_id NULLS LAST"
    ):
        # A link may name a component that only people with a token see.
        if row["component_id"] in seen:
            status = COMPONENT_STATUS.get(row["component_status"])
            links[row["incident_id"]].append(
                (formats.plain(seen[row["component_id"]]), status and status.lower())
            )
    updates = _updates(figures, [row["incident_id"] for row in found[:timelines]])
    return [
        IncidentLine(row, links[row["incident_id"]], updates.get(row["incident_id"], [])) for row in found
    ]


def _updates(figures: Figures, incidents: Sequence[int]) -> dict[int, list[Update]]:
    if not incidents:
        return {}
    updates: dict[int, list[Update]] = defaultdict(list)
    for row in figures.rows(
        "SELECT u.incident_id, u.status, u.message, u.created_at FROM source.incident_updates AS u"
        f" WHERE u.incident_id IN ({', '.join(map(str, incidents))}) ORDER BY u.created_at NULLS LAST, u.id NULLS LAST"
    ):
        status = INCIDENT_STATUS.get(row["status"], "update")
        updates[row["incident_id"]].append(Update(row["created_at"], status, row["message"] or ""))
    return updates


def _stats(figures: Figures, period: Period) -> list[tuple[str, Row, Row]]:
    found = queries.incident_stats(figures, period)
    none = _none("incident_stats_monthly")
    return [
        (words, found.get((measure, False), none), found[measure, True])
        for measure, words in MEASURES.items()
        if (measure, True) in found
    ]


def _metrics(figures: Figures, period: Period, shown: Sequence[Row]) -> list[tuple[Row, Row]]:
    found = queries.metric_stats(figures, period) if shown else {}
    return [(metric, found.get(metric["id"], _none("metric_rollups"))) for metric in shown]


def _by_policy(
    rows: Sequence[Row], components: Sequence[ComponentLine]
) -> Sequence[tuple[str, Mapping[str, Uptime]]]:
    table: dict[tuple[str, int, str], dict[str, Uptime]] = defaultdict(dict)
    for row in rows:
        table[row["scope"], row["scope_id"], row["aggregation"]][row["policy"]] = uptime(row)
    return [
        ("all components, mean", table.get(("page", 0, "mean"), {})),
        ("all components up at once", table.get(("page", 0, "all_up"), {})),
        *((line.name, table.get(("component", line.component_id, "own"), {})) for line in components),
    ]


def _restatements(figures: Figures, period: Period, policy: str) -> list[Row]:
    found = figures.rows(
        "SELECT r.* FROM analytics.uptime_restatements AS r WHERE r.month BETWEEN :first AND :last"
        " AND r.policy = :policy ORDER BY r.month, r.scope NULLS LAST, r.scope_id NULLS LAST, r.aggregation NULLS LAST",
        first=period.first_day,
        last=period.last_day,
        policy=policy,
    )
    seen = {row["component_id"] for row in queries.components(figures)}
    return [row for row in found if row["scope"] != "component" or row["scope_id"] in seen]
