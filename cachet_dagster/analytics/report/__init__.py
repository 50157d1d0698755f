"""A period of a page as a report: one HTML file, the same in Markdown, and its tables as CSV.

It holds what its audience may see and nothing that reaches out: no script, no request, no e-mail address.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import csvs, render
from .content import TIMELINES, Report, collect
from .figures import Figures, ModelsMissing
from .periods import RUNNING_MONTH
from .pictures import asset_charts
from .publish import publish
from .standing import standing

__all__ = [
    "RUNNING_MONTH",
    "TIMELINES",
    "Figures",
    "ModelsMissing",
    "Report",
    "WrittenReport",
    "asset_charts",
    "collect",
    "write_report",
]


@dataclass(frozen=True)
class WrittenReport:
    """Where a report is: the report itself, its HTML, its Markdown, its CSV files, its charts, the index of all."""

    report: Report
    html: Path
    markdown: Path
    csvs: list[Path]
    charts: list[Path]
    index: Path


def write_report(
    figures: Figures,
    page: str,
    folder: Path,
    *,
    title: str = "",
    period: str | None = None,
    policy: str | None = None,
    timelines: int = TIMELINES,
) -> WrittenReport:
    """Write a period's report into `<folder>/<page>/<period>/`, and the index of all pages anew.

    Args:
        figures: The page's models.
        page: The page's name, for the folder.
        folder: Where reports are kept.
        title: What the report calls the page; its name where it is empty.
        period: Such as `2026-10`, `2026-Q4`, `2026`, `2026-10-05..2026-11-20` or `last-30-days`; without one the
            last month that is over.
        policy: Name of the uptime policy; without one the default.
        timelines: How many incidents are told step by step, the longest ones.

    Raises:
        ModelsMissing: The models have not been built.
        SettingsError: There is no such period or policy.
        OSError: It cannot be written.
    """
    report = collect(figures, title or page, period, policy, timelines)
    place = folder / page / report.period.key
    charts = place / "charts"
    charts.mkdir(parents=True, exist_ok=True)
    drawn = {**report.charts, **{f"metric-{metric}": chart for metric, chart in report.metric_charts.items()}}
    paths = []
    for name, chart in drawn.items():
        paths.append(charts / f"{name}.svg")
        paths[-1].write_text(chart.svg(), encoding="utf-8")
    html, markdown = place / "report.html", place / "report.md"
    html.write_text(render.html(report), encoding="utf-8")
    markdown.write_text(render.markdown(report), encoding="utf-8")
    written = csvs.write(report, place)
    index = publish(standing(figures, page, title or page), folder)
    return WrittenReport(report, html, markdown, written, paths, index)
