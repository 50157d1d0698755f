"""What on the page makes figures uncertain, with the SQL that shows the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cachet_dagster.source.rows import Row

from . import queries
from .figures import Figures

RULES = {
    "stale_incident": "Open incidents without news",
    "maintenance_without_end": "Maintenance without an end",
    "down_without_incident": "Components that are down without an incident",
    "severity_unknown": "Incidents that do not say how badly a component was hit",
    "end_not_told": "Incidents whose end nobody told",
    "times_put_right": "Incidents whose times cannot be, and were put right",
    "odd_maintenance_status": "Maintenance that gives components another status",
    "status_disagrees": "Components whose status differs from what the page says",
}
"""`rule` of `hygiene` in words."""


@dataclass(frozen=True)
class DataIssue:
    """Rows of the page that make figures uncertain.

    Attributes:
        what: What is uncertain.
        kind: Of what the ids are.
        ids: Their ids.
        why: What is odd about the first one, which stands for all.
        sql: What shows the rows.
    """

    what: str
    kind: str
    ids: Sequence[int]
    why: str
    sql: str


def data_issues(figures: Figures, incidents: Sequence[Row]) -> list[DataIssue]:
    """Return the rows of `hygiene` that the audience may see, by rule, and the flagged ones of some incidents.

    Args:
        figures: The page's models.
        incidents: Rows of `incident_facts`.
    """
    shown: dict[str, set[Any]] = {
        "component": {row["component_id"] for row in queries.components(figures)},
        "incident": {
            row["incident_id"]
            for row in figures.rows("SELECT f.incident_id FROM analytics.incident_facts AS f")
        },
    }
    by_rule: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in figures.rows(
        "SELECT h.* FROM analytics.hygiene AS h ORDER BY h.rule NULLS LAST, h.row_id NULLS LAST"
    ):
        if not figures.is_public or row["row_id"] in shown.get(row["row_kind"], {row["row_id"]}):
            by_rule[row["rule"], row["row_kind"]].append(row)
    issues = [
        DataIssue(
            RULES.get(rule, rule.replace("_", " ")),
            kind,
            [row["row_id"] for row in rows],
            rows[0]["why"],
            figures.select("hygiene", f"rule = '{rule}'"),
        )
        for (rule, kind), rows in by_rule.items()
    ]
    flagged = [row["incident_id"] for row in incidents if row["flags"]]
    if flagged:
        ids = ", ".join(map(str, flagged))
        sql = figures.select("incident_facts", f"incident_id IN ({ids})")
        issues.append(
            DataIssue(
                "Incidents of the month with a flag",
                "incident",
                flagged,
                "The column flags says what it is.",
                sql,
            )
        )
    return issues
