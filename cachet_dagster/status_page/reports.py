"""A page's report: an asset that is written whenever its models are built, and what the command line writes.

A report that cannot be written fails its own step and nothing that was loaded or built.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    AutomationCondition,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from cachet_dagster.analytics.build import build_models
from cachet_dagster.analytics.report import RUNNING_MONTH, Figures, ModelsMissing, WrittenReport, write_report
from cachet_dagster.warehouse import Session

from .analytics_assets import REPORT, model_settings
from .failures import connected
from .page import StatusPage
from .run_context import RunContext

_SHOWN = (
    "component_uptime_daily",
    "uptime_monthly",
    "uptime_restatements",
    "slo_status",
    "incident_facts",
    "incident_stats_monthly",
    "maintenance_facts",
    "metric_rollups",
    "hygiene",
)
"""Models that it shows rows of; all are built together."""


def report_asset(page: StatusPage) -> AssetsDefinition:
    """Return the report of the last month that is over, written whenever the models were built."""
    spec = AssetSpec(
        page.asset_key(REPORT),
        deps=[page.asset_key(name) for name in _SHOWN],
        description="The last month that is over and the running one, each as one HTML file, the same in Markdown, "
        "and its tables as CSV; with them an index of all pages, badges, `status.json` and `metrics.prom`. For "
        "everyone to see, unless CACHET_AUDIENCE is `all`. Other periods and policies: `make report`.",
        automation_condition=AutomationCondition.eager() if page.load_time.has_sensors else None,
        group_name=page.analytics_group,
        owners=page.owners,
        tags=page.tags,
        kinds={"html"},
    )

    @multi_asset(specs=[spec], name=page.named(REPORT))
    def report(context: AssetExecutionContext) -> MaterializeResult:
        """Write the report from the models."""
        with connected(page, context.log.info) as connection:
            write_page_report(page, connection, period=RUNNING_MONTH)
            written = write_page_report(page, connection)
        return MaterializeResult(asset_key=page.asset_key(REPORT), metadata=_metadata(written))

    return report


def _metadata(written: WrittenReport) -> dict[str, Any]:
    report = written.report
    return {
        "verdict": report.verdict,
        "period": report.period.key,
        "policy": report.policy["policy"],
        "report": MetadataValue.url(written.html.absolute().as_uri()),
        "index": MetadataValue.url(written.index.absolute().as_uri()),
        "path": MetadataValue.path(str(written.html.absolute())),
        "component_uptime_90_days": MetadataValue.md(report.charts["bars"].markdown()),
    }


def write_page_report(
    page: StatusPage,
    connection: RunContext,
    *,
    period: str | None = None,
    policy: str | None = None,
) -> WrittenReport:
    """Write a period's report of a page and the index, from models as new as its tables: see `write_report`.

    Args:
        page: The page.
        connection: Where it is loaded.
        period: Such as `2026-10` or `last-30-days`; without one the last month that is over.
        policy: Name of the uptime policy; without one the default.

    Raises:
        SettingsError: There is no such period or policy, or models are not built in such a destination.
        DatabaseBusy: Others held the database for longer than the bound.
        OSError: It cannot be written.
    """
    _build_where_stale(connection)
    settings = connection.page
    title = settings.title or (
        "Demo status page" if connection.demo else urlsplit(connection.identity).hostname
    )
    with connection.warehouse.reading() as session:
        return write_report(
            _figures(session),
            f"{page.name}_demo" if connection.demo else page.name,
            Path(settings.reports),
            title=title or page.name,
            period=period,
            policy=policy,
            timelines=settings.report_timelines,
        )


def _figures(session: Session) -> Figures:
    return Figures(session.execute, session.dataset)


def _build_where_stale(connection: RunContext) -> None:
    with connection.warehouse.reading() as session:
        try:
            if _figures(session).is_current:
                return
        except (ModelsMissing, *session.errors):
            pass
    with connection.warehouse.writing() as session:
        build_models(session, session.dataset, settings=model_settings(connection))
