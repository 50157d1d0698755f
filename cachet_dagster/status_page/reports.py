"""A page's report, and its charts as metadata: what Dagster and the command line both show of the models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from dagster import MarkdownMetadataValue, MetadataValue

from cachet_dagster.analytics.build import build_models
from cachet_dagster.analytics.engines import engine_of
from cachet_dagster.analytics.report import Figures, ModelsMissing, WrittenReport, asset_charts, write_report
from cachet_dagster.warehouse import Session

from .page import Connection, StatusPage

FOLDER = Path("reports")
"""Where reports are kept, below the current folder."""


def write_page_report(
    page: StatusPage,
    connection: Connection,
    *,
    month: date | None = None,
    policy: str | None = None,
    folder: Path = FOLDER,
) -> WrittenReport:
    """Write a month's report of a page, from models as new as its tables: see `write_report`.

    Args:
        page: The page.
        connection: Where it is loaded.
        month: First day of the month; without one the last that is over.
        policy: Name of the uptime policy; without one the default.
        folder: Where reports are kept.

    Raises:
        SettingsError: There is no such month or policy, or models are not built in such a destination.
        DatabaseBusy: Others held the database for longer than the bound.
        OSError: It cannot be written.
    """
    _build_where_stale(connection)
    with connection.warehouse.reading() as session:
        return write_report(
            _figures(session),
            f"{page.name}_demo" if connection.demo else page.name,
            folder,
            title="Demo status page" if connection.demo else connection.identity.partition("://")[2],
            month=month,
            policy=policy,
        )


def chart_metadata(session: Session) -> Mapping[str, Mapping[str, MarkdownMetadataValue]]:
    """Return what each model's asset shows: charts as images within Markdown, by model and name.

    Args:
        session: The page's dataset, open, its models built.
    """
    return {
        model: {name: MetadataValue.md(chart.markdown()) for name, chart in charts.items()}
        for model, charts in asset_charts(_figures(session)).items()
    }


def _figures(session: Session) -> Figures:
    return Figures(session.execute, session.dataset)


def _build_where_stale(connection: Connection) -> None:
    with connection.warehouse.reading() as session:
        try:
            if _figures(session).is_current:
                return
        except ModelsMissing:
            pass
    with connection.warehouse.writing() as session:
        build_models(engine_of(session), session.dataset)
