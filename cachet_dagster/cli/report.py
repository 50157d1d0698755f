"""`report`: a period of each page as HTML, Markdown and CSV. Nothing is asked of a Cachet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cachet_dagster.analytics.report import WrittenReport
from cachet_dagster.source.errors import CachetError
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.reports import write_page_report
from cachet_dagster.status_page.run_context import open_run


def report(pages: Sequence[StatusPage], period: str | None, policy: str | None) -> int:
    """Write a report of each page, print where it is, and return 0 where all were written.

    Args:
        pages: The pages.
        period: Such as `2026-10`, `2026-Q4` or `last-30-days`; without one the last month that is over.
        policy: Name of an uptime policy; without one the default.
    """
    console = Console(highlight=False, soft_wrap=True)
    failed = False
    for page in pages:
        try:
            with open_run(page, lambda _: None) as connection:
                print_report(console, write_page_report(page, connection, period=period, policy=policy))
        except (CachetError, OSError) as error:
            failed = True
            if isinstance(error, CachetError):
                error = error.with_setting_names(page.configuration.setting_name)
            console.print(f"{page.name}: {error}", markup=False, style="red")
    return 1 if failed else 0


def print_report(console: Console, written: WrittenReport) -> None:
    """Print a report's verdict, and where it is."""
    shown = _shown(written.html)
    console.print(written.report.verdict, markup=False)
    console.print(
        f"The report: {shown} (beside it the same in Markdown, and its tables as CSV)", markup=False
    )
    console.print(f"All reports: {_shown(written.index)}", markup=False)


def _shown(path: Path) -> str:
    inside = path.absolute().is_relative_to(Path.cwd())
    return os.path.relpath(path) if inside else str(path)
