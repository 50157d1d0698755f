"""A month of a page as a report: one HTML file, the same in Markdown, and its tables as CSV.

It holds what its audience may see and nothing that reaches out: no script, no request, no e-mail address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from . import csvs, render
from .content import Report, collect
from .figures import Figures, ModelsMissing, parse_month
from .pictures import asset_charts

__all__ = [
    "Figures",
    "ModelsMissing",
    "Report",
    "WrittenReport",
    "asset_charts",
    "collect",
    "parse_month",
    "write_report",
]


@dataclass(frozen=True)
class WrittenReport:
    """Where a report is: the report itself, its HTML, its Markdown and its CSV files."""

    report: Report
    html: Path
    markdown: Path
    csvs: list[Path]


def write_report(
    figures: Figures,
    page: str,
    folder: Path,
    *,
    title: str = "",
    month: date | None = None,
    policy: str | None = None,
) -> WrittenReport:
    """Write a month's report into `<folder>/<page>/<month>/`, in place of an earlier one of the same month.

    Args:
        figures: The page's models.
        page: The page's name, for the folder.
        folder: Where reports are kept.
        title: What the report calls the page; its name where it is empty.
        month: First day of the month; without one the last that is over.
        policy: Name of the uptime policy; without one the default.

    Raises:
        ModelsMissing: The models have not been built.
        SettingsError: There is no such month or policy.
        OSError: It cannot be written.
    """
    report = collect(figures, title or page, month, policy)
    place = folder / page / f"{report.period.month:%Y-%m}"
    place.mkdir(parents=True, exist_ok=True)
    html, markdown = place / "report.html", place / "report.md"
    html.write_text(render.html(report), encoding="utf-8")
    markdown.write_text(render.markdown(report), encoding="utf-8")
    return WrittenReport(report, html, markdown, csvs.write(report, place))
