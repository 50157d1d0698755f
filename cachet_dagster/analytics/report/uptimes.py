"""Uptime of any days: the model `uptime_figures` over days of a person's choice, and each figure with what it rests on.

The model's own SQL is run over other days than it is built for, so that there is one definition of uptime. Time of an
unknown status is counted as unknown here, whatever evidence there is for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.model_sql import model_sql
from cachet_dagster.source.rows import Row

from .figures import Figures

_STATE = "d.status, d.status_best, d.status_worst, d.has_unspecified_impact, d.in_maintenance"
_EVIDENCE = "CASE WHEN d.status = 5 THEN 'unknown' ELSE d.evidence END"
_COMMENT = re.compile(r"--.*")


@dataclass(frozen=True)
class Uptime:
    """An uptime, and what it rests on.

    Attributes:
        lower: The least that it can have been, from 0 to 1; None where nothing of the time is known or assumed.
        upper: The most.
        down_seconds: Downtime that figures go by, weighed by the policy.
        measured_seconds: Seconds in the denominator.
        observed: Share of the time that loads saw.
        reported: Share that the page's own times tell of.
        inferred: Share that is known within bounds only.
        assumed: Share of which nothing is said, taken for operational.
        unknown: Share whose status is unknown.
    """

    lower: float | None = None
    upper: float | None = None
    down_seconds: float | None = None
    measured_seconds: float = 0.0
    observed: float = 0.0
    reported: float = 0.0
    inferred: float = 0.0
    assumed: float = 0.0
    unknown: float = 1.0

    @property
    def known(self) -> float:
        """Share of the time that was observed, reported or inferred."""
        return self.observed + self.reported + self.inferred

    @property
    def is_certain(self) -> bool:
        """Whether both bounds read the same."""
        return formats.percent(self.lower) == formats.percent(self.upper)

    @property
    def text(self) -> str:
        """The figure: `99.69 %`, `99.46–100 %`, or `unknown`."""
        return "unknown" if self.upper is None else formats.bounds(self.lower, self.upper)

    @property
    def rank(self) -> tuple[float, float]:
        """What orders uptimes, the worst first."""
        return (
            2.0 if self.upper is None else self.upper,
            2.0 if self.lower is None else self.lower,
        )

    @property
    def down(self) -> tuple[float, float] | None:
        """The least and the most that it can have been down, in seconds."""
        if self.lower is None or self.upper is None or self.down_seconds is None:
            return None
        if self.is_certain:
            return self.down_seconds, self.down_seconds
        unknown = self.unknown / (1 - self.unknown) * self.measured_seconds if self.unknown < 1 else 0.0
        seconds = self.measured_seconds + unknown
        return (1 - self.upper) * seconds, (1 - self.lower) * seconds


def uptime(row: Row | None) -> Uptime:
    """Return the uptime of a row of `uptimes`; an unknown one without a row."""
    if row is None:
        return Uptime()
    kinds = {
        kind: row[f"{kind}_seconds"] or 0.0
        for kind in ("observed", "reported", "inferred", "assumed", "unknown")
    }
    total = sum(kinds.values())
    if not total or kinds["unknown"] == total:
        return Uptime()
    return Uptime(
        row["uptime_lower"],
        row["uptime_upper"],
        row["down_seconds"],
        row["measured_seconds"],
        **{kind: seconds / total for kind, seconds in kinds.items()},
    )


def uptimes(
    figures: Figures,
    first: date,
    last: date,
    *,
    by: Literal["period", "day"] = "period",
    scope: str | None = None,
    policy: str | None = None,
) -> list[Row]:
    """Return rows of the model `uptime_figures` over days, both ends included.

    Args:
        figures: The page's models.
        first: First day, in the page's zone.
        last: Last day.
        by: A row for all the days, whose `period` is the first one, or one for each.
        scope: `component`, `group` or `page`; None for all.
        policy: Name of an uptime policy; None for all.
    """
    period = "d.day" if by == "day" else "CAST(:first AS DATE)"
    seconds = (
        f"SELECT 'period' AS grain, {period} AS period, d.scope, d.scope_id, {_STATE}, {_EVIDENCE} AS evidence,"
        " SUM(d.seconds) AS seconds FROM analytics.status_daily AS d"
        " WHERE d.day BETWEEN :first AND :last"
        + (" AND d.scope = 'component'" if scope == "component" else "")
        + f" GROUP BY {'d.day, ' if by == 'day' else ''}d.scope, d.scope_id, {_STATE}, {_EVIDENCE}"
    )
    weights = "SELECT w.* FROM analytics.policy_weights AS w" + (
        " WHERE w.policy = :policy" if policy else ""
    )
    return figures.rows(
        over("uptime_figures", status_seconds=seconds, policy_weights=weights)
        + (" WHERE m.scope = :scope" if scope else "")
        + " ORDER BY m.period, m.scope, m.scope_id, m.aggregation, m.policy",
        first=first,
        last=last,
        scope=scope or "",
        policy=policy or "",
    )


def over(model: str, **tables: str) -> str:
    """Return `SELECT m.*` of a model's SQL, with queries in place of tables that it reads."""
    sql = _COMMENT.sub("", model_sql(model))
    for name, query in tables.items():
        sql = re.sub(rf"\banalytics\.{name}\b", f"({query})", sql)
    return f"SELECT m.* FROM ({sql}) AS m"
