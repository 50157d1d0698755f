"""The report's tables as CSV, for spreadsheets: numbers as numbers, times as ISO 8601 with their zone.

A text that a spreadsheet would take for a formula gets an apostrophe in front: an incident's title comes from outside.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.tables import MODELS

from .content import Report
from .uptimes import Uptime

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]

SHARES = ("observed", "reported", "inferred", "assumed", "unknown")
_UPTIME = ("uptime_lower", "uptime_upper", "measured_seconds", "down_seconds", *SHARES)
_INCIDENT = tuple(column.name for column in MODELS["incident_facts"].columns)
_MAINTENANCE = tuple(column.name for column in MODELS["maintenance_facts"].columns)
_METRIC = ("points", "reports", "mean", "min", "p50", "p95", "max")
_STATS = ("incidents", "open_incidents", "n", "median_seconds", "p90_seconds", "mean_seconds")


def tables(report: Report) -> dict[str, Table]:
    """Return the header and the rows of each file, by its name."""
    policies = [row["policy"] for row in report.policies]
    period, policy = report.period.key, report.policy["policy"]
    return {
        "components": (
            ("period", "policy", "component", "group", *_UPTIME, "target", "kept", "budget_seconds",
             "left_seconds_lower", "left_seconds_upper"),
            (
                (period, policy, line.name, line.group, *_uptime(line.uptime), line.target, line.kept,
                 line.budget_seconds, *(line.left or (None, None)))
                for line in report.components
            ),
        ),
        "incidents": (
            (*_INCIDENT, "worst_impact", "component_names"),
            (
                (*_of(line.row, _INCIDENT), line.impact, ", ".join(name for name, _ in line.components))
                for line in report.incidents
            ),
        ),
        "durations": (
            ("period", "measure", *_STATS),
            (
                (name, words, *_of(row, _STATS))
                for words, of_period, of_all in report.stats
                for name, row in ((period, of_period), ("all", of_all))
                if row["n"] is not None
            ),
        ),
        "maintenance": (_MAINTENANCE, (_of(row, _MAINTENANCE) for row in report.maintenance)),
        "metrics": (
            ("metric_id", "name", "unit", *_METRIC),
            ((metric["id"], metric["name"], metric["suffix"], *_of(row, _METRIC)) for metric, row in report.metrics),
        ),
        "policies": (
            ("of", "policy", "uptime_lower", "uptime_upper"),
            (
                (name, policy, *_uptime(found[policy])[:2])
                for name, found in report.by_policy
                for policy in policies
                if policy in found
            ),
        ),
        "data_issues": (
            ("what", "kind", "id", "sql"),
            ((issue.what, issue.kind, number, issue.sql) for issue in report.issues for number in issue.ids),
        ),
    }  # fmt: skip


def write(report: Report, folder: Path) -> list[Path]:
    """Write a file for each table and return their paths."""
    written = []
    for name, (header, rows) in tables(report).items():
        path = folder / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows([_cell(value) for value in row] for row in rows)
        written.append(path)
    return written


def _uptime(uptime: Uptime) -> tuple[float | None, ...]:
    """Return the bounds as the report shows them, cut, then seconds, then shares of evidence."""
    bounds = (None if share is None else formats.cut(share) for share in (uptime.lower, uptime.upper))
    return (
        *bounds,
        uptime.measured_seconds,
        uptime.down_seconds,
        *(round(getattr(uptime, share), 4) for share in SHARES),
    )


def _of(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in names)


def _cell(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = formats.plain(value)
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return value
