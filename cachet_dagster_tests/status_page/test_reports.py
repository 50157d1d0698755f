"""Charts and the report through Dagster: they are there when the models are built, as pictures and as a file."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from dagster import ExecuteInProcessResult, MarkdownMetadataValue, materialize

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.status_page.analytics_assets import models_asset
from cachet_dagster.status_page.reports import report_asset

from .dagster_runs import QUIET, Project

CHARTS = {
    "component_uptime_daily": {"component_uptime_90_days", "uptime_calendar"},
    "uptime_monthly": {"uptime_by_month"},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, ExecuteInProcessResult]:
    world = World.generate(incidents=4, components=3, metrics=1, points=5, subscribers=1, updates=2)
    with DemoServer(world) as server:
        project = Project(tmp_path_factory.mktemp("report"), server.url, DEMO_TOKEN)
        project.load_tables(
            "components",
            "components_groups",
            "incidents",
            "incidents_by_id",
            "incident_components",
            "schedules",
        )
        assets = [models_asset(project.page), report_asset(project.page)]
        return project, materialize(assets, instance=project.instance, run_config=QUIET)


def metadata(built: tuple[Project, ExecuteInProcessResult], name: str) -> dict:
    project, result = built
    (event,) = [
        event
        for event in result.get_asset_materialization_events()
        if event.asset_key == project.page.asset_key(name)
    ]
    return dict(event.materialization.metadata)


def test_the_charts_of_a_build_take_less_than_40_kilobytes_of_dagsters_storage(built):
    texts = [
        str(value.md_str)
        for model in CHARTS
        for value in metadata(built, model).values()
        if isinstance(value, MarkdownMetadataValue)
    ]

    assert sum(map(len, texts)) < 40_000


@pytest.mark.parametrize("model", CHARTS)
def test_a_models_asset_shows_its_charts_as_images_within_markdown(built, model: str):
    shown = {
        name: value
        for name, value in metadata(built, model).items()
        if isinstance(value, MarkdownMetadataValue)
    }

    assert shown.keys() == CHARTS[model]
    for value in shown.values():
        found = re.fullmatch(r"!\[.+\]\(<data:image/svg\+xml;charset=utf-8,([^<>]+)>\)", str(value.md_str))
        assert found is not None
        ElementTree.fromstring(unquote(found[1]))


def test_the_report_is_written_with_the_models_and_its_asset_says_where_and_what(built):
    found = metadata(built, "report")
    path = Path(found["path"].value)

    assert path.name == "report.html"
    assert path.parent.parent.name == built[0].page.name
    assert found["verdict"].value in path.read_text(encoding="utf-8")
    assert found["policy"].value == "statuspage"
