"""The models through Dagster: built after a sync that changed something, else not, and held against the page."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from dagster import AssetKey, Definitions, evaluate_automation_conditions, materialize

from cachet_dagster.analytics import HISTORY, MODELS
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.status_page.analytics_assets import STATUS_CHECK, history_specs, models_asset
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.tables_asset import tables_asset

from .dagster_runs import QUIET, Project

TABLES = (
    "components",
    "components_groups",
    "incidents",
    "incidents_by_id",
    "incident_components",
    "schedules",
)


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(
        incidents=6,
        components=4,
        groups=1,
        metrics=0,
        points=0,
        subscribers=1,
        schedules=2,
        templates=0,
        updates=2,
    )


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[DemoServer]:
    with DemoServer(world) as running:
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, server: DemoServer) -> Project:
    return Project(tmp_path_factory.mktemp("models"), server.url, DEMO_TOKEN)


def wanted(project: Project, cursor: object = None) -> tuple[set[AssetKey], object]:
    """Return what declarative automation would build now, and its cursor."""
    defs = Definitions(
        assets=[tables_asset(project.page), *history_specs(project.page), models_asset(project.page)]
    )
    found = evaluate_automation_conditions(defs, project.instance, cursor=cursor)  # pyright: ignore[reportArgumentType]
    return {wanted.asset_key for wanted in found._requested_asset_partitions}, found.cursor


def test_the_models_are_built_once_after_a_sync_that_changed_something_and_say_what_they_hold(project, world):
    models = {project.page.asset_key(name) for name in MODELS}
    nothing, cursor = wanted(project)
    project.load_tables(*TABLES)
    first, cursor = wanted(project, cursor)
    built = materialize(
        [models_asset(project.page)], instance=project.instance, run_config=QUIET, raise_on_error=False
    )
    project.load_tables(*TABLES)
    unchanged, cursor = wanted(project, cursor)
    world.update("components", 1, name="Renamed")
    project.load_tables(*TABLES)
    changed, _ = wanted(project, cursor)

    assert nothing == set()
    assert first == changed == models
    assert unchanged == set()
    assert built.success
    events = {event.asset_key: event for event in built.get_asset_materialization_events()}
    assert events.keys() == models
    intervals = events[project.page.asset_key("component_lives")].materialization
    assert intervals.metadata["dagster/row_count"].value == 4
    (check,) = built.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (STATUS_CHECK, True)
    with project.opened() as connection:
        found = connection.execute("SELECT count(*) FROM cachet_analytics.uptime_monthly").fetchone()
    assert found
    assert found[0] > 0


def test_a_shown_status_that_cannot_be_explained_is_named_in_a_warning_and_an_older_rule_is_recognized(
    tmp_path,
):
    """Two incidents are open: in older versions the newest one's impact won, now the worst of all does."""
    page, times = World(), {"created_at": "2026-01-01 00:00:00", "updated_at": "2026-01-01 00:00:00"}
    page.add("components", id=1, name="API", status=1, enabled=1, component_group_id=None, **times)
    for number, status in ((1, 4), (2, 2)):
        day = {"created_at": f"2026-01-0{number} 00:00:00", "updated_at": f"2026-01-0{number} 00:00:00"}
        page.add("incidents", id=number, name="Slow", status=1, visible=1, message="", **day)
        page.add(
            "incident_components",
            id=number,
            incident_id=number,
            component_id=1,
            component_status=status,
            **day,
        )
    with DemoServer(page) as server:
        project = Project(tmp_path, server.url, DEMO_TOKEN)
        project.load_tables(*TABLES)

    checks = []
    for shown in (6, 2):
        with duckdb.connect(str(project.database)) as connection:
            connection.execute(f"UPDATE cachet_data.components SET latest_status = {shown}")
        built = materialize(
            [models_asset(project.page)], instance=project.instance, run_config=QUIET, raise_on_error=False
        )
        assert built.success
        checks += built.get_asset_check_evaluations()

    assert [(check.passed, check.severity.value) for check in checks] == [(False, "WARN")] * 2
    assert [check.metadata["rule"].value for check in checks] == ["neither", "newest incident"]
    assert "components 1 " in str(checks[0].description)
    assert checks[0].metadata["rows"].records[0].data["component_id"] == 1
    assert "an older Cachet" in str(checks[1].description)


def test_models_and_history_are_assets_with_lineage_and_described_columns(project):
    specs = {spec.key: spec for spec in page_definitions(project.page).resolve_all_asset_specs()}

    for name, table in {**MODELS, **HISTORY}.items():
        spec = specs[project.page.asset_key(name)]
        columns = spec.metadata["dagster/column_schema"].columns
        assert [column.name for column in columns] == [column.name for column in table.columns]
        assert all(column.description for column in columns)
        assert list(spec.deps) or name == "uptime_policies"
    spans = specs[project.page.asset_key("incident_spans")]
    assert {dep.asset_key.path[-1] for dep in spans.deps} == {
        "incidents", "incident_updates", "incident_history"
    }  # fmt: skip
