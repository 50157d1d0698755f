"""The models' charts as metadata of their assets, where Dagster shows them: images within Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from dagster import MarkdownMetadataValue, MetadataValue

from cachet_dagster.analytics.report import Figures, asset_charts
from cachet_dagster.warehouse import Session


def chart_metadata(session: Session) -> Mapping[str, Mapping[str, MarkdownMetadataValue]]:
    """Return what each model's asset shows, by model and name.

    Args:
        session: The page's dataset, open, its models built.
    """
    return {
        model: {name: MetadataValue.md(chart.markdown()) for name, chart in charts.items()}
        for model, charts in asset_charts(Figures(session.execute, session.dataset)).items()
    }
