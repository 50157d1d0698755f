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

from .content import Report

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]

_UPTIME = (
    "uptime",
    "uptime_lower",
    "uptime_upper",
    "coverage",
    "measured_seconds",
    "down_seconds",
    "maintenance_seconds",
    "unknown_seconds",
    "observed_seconds",
    "reported_seconds",
    "inferred_seconds",
    "assumed_seconds",
)
_INCIDENT = (
    "incident_id",
    "name",
    "is_open",
    "starts_at",
    "ends_at",
    "spans",
    "open_seconds",
    "seconds_to_publish",
    "seconds_to_first_response",
    "seconds_to_identified",
    "seconds_to_watching",
    "seconds_to_fixed",
    "updates",
    "end_evidence",
    "flags",
)
_MAINTENANCE = (
    "schedule_id",
    "name",
    "starts_at",
    "ends_at",
    "is_capped",
    "seconds",
    "announced_seconds",
    "components",
    "incidents",
)
_METRIC = ("points", "reports", "mean", "min", "p50", "p95", "max")
_STATS = ("incidents", "open_incidents", "n", "median_seconds", "p90_seconds", "mean_seconds")


def tables(report: Report) -> dict[str, Table]:
    """Return the header and the rows of each file, by its name."""
    policies = [row["policy"] for row in report.policies]
    month, policy = f"{report.period.month:%Y-%m}", report.policy["policy"]
    return {
        "components": (
            ("month", "policy", "component", "group", *_UPTIME, "target", "budget_seconds", "left_seconds", "is_met"),
            (
                (month, policy, line.name, line.group, *_of(line.row, _UPTIME), line.target, line.budget_seconds,
                 line.left_seconds, line.is_met)
                for line in report.components
            ),
        ),
        "incidents": (
            (*_INCIDENT, "worst_impact", "components"),
            (
                (*_of(line.row, _INCIDENT), line.impact, ", ".join(name for name, _ in line.components))
                for line in report.incidents
            ),
        ),
        "durations": (
            ("period", "measure", *_STATS),
            (
                (name, words, *_of(row, _STATS))
                for words, of_month, of_all in report.stats
                for name, row in ((month, of_month), ("all", of_all))
                if row["n"] is not None
            ),
        ),
        "maintenance": (_MAINTENANCE, (_of(row, _MAINTENANCE) for row in report.maintenance)),
        "metrics": (
            ("metric_id", "name", "unit", *_METRIC),
            ((metric["id"], metric["name"], metric["suffix"], *_of(row, _METRIC)) for metric, row in report.metrics),
        ),
        "policies": (("of", *policies), ((name, *_of(row, policies)) for name, row in report.by_policy)),
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
