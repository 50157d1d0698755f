"""What a report says: every figure of it, with its bounds and its evidence, as plain values that any format can show.

Everything is told of one month, by one policy, for the audience that the models were built for. Texts are the page's
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
from .figures import Figures, Period
from .lines import EVIDENCE, ComponentLine, IncidentLine, Update
from .verdict import verdict

MOST_TIMELINES = 15
"""Incidents whose timeline is told; all of them stand in the table and its CSV."""

MEASURES = {
    "time_to_publish": "until it was published",
    "time_to_first_response": "from publication to the first update",
    "time_to_identified": "until the cause was identified",
    "time_to_watching": "until it was being watched",
    "time_to_fixed": "until it was fixed",
    "time_to_recovery": "until the component was up again",
    "time_between_failures": "between two outages",
}
"""`measure` of `incident_stats_monthly` in words, in the order in which they are told."""


@dataclass(frozen=True)
class Report:
    """Everything that a report says.

    Attributes:
        page: The page's name.
        period: The month.
        policy: The row of `uptime_policies` that figures go by.
        as_of: The moment up to which the models tell, in the page's zone.
        zone: The page's time zone.
        is_public: Whether it holds nothing but what everyone may see.
        verdict: The month in one sentence.
        page_row: The page's row of `uptime_monthly`, the mean of the components' time.
        all_up_row: The same of the time in which all components were up.
        components: In the order of the page.
        incidents: Longest first.
        stats: Rows of `incident_stats_monthly` of the month and of all time, by measure.
        maintenance: Rows of `maintenance_facts`, in order of time.
        metrics: Metrics, each with its row of `metric_rollups` for the month.
        policies: All policies.
        by_policy: Scope, `page` or a component's name → policy → uptime.
        restatements: Rows of `uptime_restatements` of the month.
        issues: What on the page makes figures uncertain.
        charts: By name.
        metric_charts: By metric's name.
    """

    page: str
    period: Period
    policy: Row
    as_of: datetime
    zone: str
    is_public: bool
    verdict: str
    page_row: Row
    all_up_row: Row
    components: Sequence[ComponentLine]
    incidents: Sequence[IncidentLine]
    stats: Sequence[tuple[str, Row, Row]]
    maintenance: Sequence[Row]
    metrics: Sequence[tuple[Row, Row]]
    policies: Sequence[Row]
    by_policy: Sequence[tuple[str, Mapping[str, float | None]]]
    restatements: Sequence[Row]
    issues: Sequence[DataIssue]
    charts: Mapping[str, Chart] = field(default_factory=dict)
    metric_charts: Sequence[Chart] = ()

    @property
    def evidence(self) -> list[tuple[str, float]]:
        """Each kind of evidence with its share of the month's time."""
        total = sum(self.page_row[f"{kind}_seconds"] or 0 for kind in EVIDENCE)
        return [(kind, (self.page_row[f"{kind}_seconds"] or 0) / total) for kind in EVIDENCE] if total else []


def collect(figures: Figures, page: str, month: date | None = None, policy: str | None = None) -> Report:
    """Return the report of a month.

    Args:
        figures: The page's models.
        page: The page's name.
        month: First day of the month; without one the last that is over.
        policy: Name of the uptime policy; without one the default.

    Raises:
        ModelsMissing: The models have not been built.
        SettingsError: There is no such month or policy.
    """
    period, chosen = figures.period(month), figures.policy(policy)
    uptimes = figures.rows(
        "SELECT u.* FROM analytics.uptime_monthly AS u WHERE u.month = :month", month=period.month
    )
    mine = [row for row in uptimes if row["policy"] == chosen["policy"]]
    page_row, all_up_row = (
        next(
            (row for row in mine if row["scope"] == "page" and row["aggregation"] == how),
            _none("uptime_monthly"),
        )
        for how in ("mean", "all_up")
    )
    components = _components(figures, mine)
    incidents = _incidents(figures, period)
    targets = queries.component_targets(figures)
    metric_charts = pictures.metrics(figures, period)
    return Report(
        page=formats.plain(page),
        period=period,
        policy=chosen,
        as_of=figures.as_of,
        zone=figures.zone_name,
        is_public=figures.is_public,
        verdict=verdict(period, chosen["policy"], page_row, components, incidents),
        page_row=page_row,
        all_up_row=all_up_row,
        components=components,
        incidents=incidents,
        stats=_stats(figures, period),
        maintenance=queries.maintenance(figures, period),
        metrics=_metrics(figures, period, [metric for metric, _ in metric_charts]),
        policies=figures.rows("SELECT p.* FROM analytics.uptime_policies AS p ORDER BY p.is_own, p.policy"),
        by_policy=_by_policy(uptimes, components),
        restatements=_restatements(figures, period, chosen["policy"]),
        issues=data_issues(figures, [line.row for line in incidents]),
        charts=_charts(figures, chosen["policy"], period, targets),
        metric_charts=[chart for _, chart in metric_charts],
    )


def _none(model: str) -> Row:
    """Return a row of a model that says nothing."""
    return {column.name: None for column in MODELS[model].columns}


def _charts(figures: Figures, policy: str, period: Period, targets: dict[int, float]) -> dict[str, Chart]:
    charts = {
        "bars": pictures.bars(figures, policy, period.last_day),
        "calendar": pictures.calendar(figures, policy, period.last_day),
        "months": pictures.months(figures, policy, period.month, queries.page_target(figures)),
        "budget": pictures.budget(figures, policy, period, targets),
        "durations": pictures.incident_durations(figures, period.month),
        "week": pictures.week(figures, period.last_day),
        "overlaps": pictures.overlaps(figures, period),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def _components(figures: Figures, uptimes: Sequence[Row]) -> list[ComponentLine]:
    rows = {row["scope_id"]: row for row in uptimes if row["scope"] == "component"}
    targets = queries.component_targets(figures)
    return [
        ComponentLine(
            formats.plain(component["component_name"]),
            formats.plain(component["component_group_name"]),
            rows.get(component["component_id"], _none("uptime_monthly")),
            targets.get(component["component_id"]),
        )
        for component in queries.components(figures)
    ]


def _incidents(figures: Figures, period: Period) -> list[IncidentLine]:
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
    updates = _updates(figures, [row["incident_id"] for row in found[:MOST_TIMELINES]])
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
    found = {
        (row["measure"], row["period"]): row
        for row in figures.rows("SELECT s.* FROM analytics.incident_stats_monthly AS s")
    }
    name, none = f"{period.month:%Y-%m}", _none("incident_stats_monthly")
    return [
        (words, found.get((measure, name), none), found[measure, "all"])
        for measure, words in MEASURES.items()
        if (measure, "all") in found
    ]


def _metrics(figures: Figures, period: Period, shown: Sequence[Row]) -> list[tuple[Row, Row]]:
    found = {
        row["metric_id"]: row
        for row in figures.rows(
            "SELECT r.* FROM analytics.metric_rollups AS r WHERE r.grain = 'month' AND r.starts_at >= :begin"
            " AND r.starts_at < :end",
            begin=period.begin,
            end=period.end,
        )
    }
    return [(metric, found.get(metric["id"], _none("metric_rollups"))) for metric in shown]


def _by_policy(
    uptimes: Sequence[Row], components: Sequence[ComponentLine]
) -> Sequence[tuple[str, Mapping[str, float | None]]]:
    table: dict[tuple[str, int, str], dict[str, float | None]] = defaultdict(dict)
    for row in uptimes:
        table[row["scope"], row["scope_id"], row["aggregation"]][row["policy"]] = row["uptime"]
    lines = [
        ("all components, mean", table.get(("page", 0, "mean"), {})),
        ("all components up at once", table.get(("page", 0, "all_up"), {})),
    ]
    lines += [
        (line.name, table.get(("component", line.row["scope_id"], "own"), {}))
        for line in components
        if line.row["scope_id"]
    ]
    return lines


def _restatements(figures: Figures, period: Period, policy: str) -> list[Row]:
    found = figures.rows(
        "SELECT r.* FROM analytics.uptime_restatements AS r WHERE r.month = :month AND r.policy = :policy"
        " ORDER BY r.scope NULLS LAST, r.scope_id NULLS LAST, r.aggregation NULLS LAST",
        month=period.month,
        policy=policy,
    )
    seen = {row["component_id"] for row in queries.components(figures)}
    return [row for row in found if row["scope"] != "component" or row["scope_id"] in seen]
