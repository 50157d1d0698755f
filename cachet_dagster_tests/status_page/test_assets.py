"""Through Dagster: what a person materializes is what the page holds, and what fails says why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, Definitions, materialize
from dagster_duckdb import DuckDBResource
from pydantic import SecretStr

from cachet_dagster.demo import DEMO_TOKEN
from cachet_dagster.source import TABLES
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.run_context import open_run
from cachet_dagster_tests.conftest import ADMIN
from cachet_dagster_tests.truth import differences

from .dagster_runs import QUIET, Project, failure, materialized

GUEST = None
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-project.md"


@pytest.fixture
def admin_server(serve):
    return serve(), ADMIN


@pytest.fixture
def project(tmp_path, small_server):
    """Return a project of the small page, into which nothing is loaded."""
    return Project(tmp_path, small_server.url, DEMO_TOKEN)


def test_the_recorded_page_lands_cell_by_cell_and_again_with_fewer_requests(tmp_path, admin_server):
    server, token = admin_server
    project = Project(tmp_path, server.url, token)

    tables = project.load_tables()
    points = project.load_points()

    assert tables.success
    assert points.success
    with project.opened() as connection:
        assert differences(connection, "admin") == []
    counts = {
        table: project.count(table) for table in ("incidents", "components", "metric_points", "subscribers")
    }
    assert counts == {"incidents": 222, "components": 97, "metric_points": 1250, "subscribers": 130}
    assert server.request_count <= 150
    server.clear_requests()

    project.load_tables()
    project.load_points()

    with project.opened() as connection:
        assert differences(connection, "admin") == []
    assert server.request_count <= 60


@pytest.mark.slow
def test_a_guest_gets_all_public_rows_and_is_told_why_there_are_no_subscribers(tmp_path, admin_server):
    server, _token = admin_server
    project = Project(tmp_path, server.url, GUEST)

    tables = project.load_tables()
    project.load_points()

    assert tables.success
    with project.opened() as connection:
        assert differences(connection, "guest") == []
    assert "subscribers" not in materialized(tables)
    assert project.count("metric_points") == 1000


@pytest.mark.parametrize("table", ["incidents", "incidents_by_id", "incident_updates", "schedule_components"])
def test_any_asset_can_be_materialized_alone(project, table):
    result = project.load_tables(table)

    assert result.success
    assert table in materialized(result)
    assert project.count(table) > 0


def test_a_by_id_asset_alone_reads_its_list_without_writing_it(project):
    project.load_tables("incidents_by_id")

    assert {name for (name,) in project.rows("SHOW TABLES")} >= {"incidents_by_id", "incident_components"}
    assert ("incidents",) not in project.rows("SHOW TABLES")


def test_tables_of_one_endpoint_are_loaded_and_recorded_together(project):
    result = project.load_tables("incident_updates")

    assert set(materialized(result)) == {"incidents", "incident_updates"}


def test_an_endpoint_that_the_server_does_not_offer_is_recorded_and_its_table_is_empty(
    tmp_path, admin_server
):
    server, token = admin_server
    project = Project(tmp_path, server.url, token)

    result = project.load_tables("dashboards")

    assert result.success
    assert materialized(result)["dashboards"]["what_happened"] == "this server does not offer it"
    assert project.count("dashboards") == 0


def test_named_ids_are_asked_for(loaded, small_server):
    small_server.clear_requests()

    loaded.load_tables("components_by_id", component_ids=[1, 4])

    assert {"/api/components/1", "/api/components/4"} <= set(small_server.paths)


def test_every_metric_seen_becomes_a_partition_and_a_deleted_one_stops_being_one(project, small_server):
    project.load_tables("metrics")
    seen = list(project.keys())

    small_server.world.delete("metrics", 2)
    project.load_tables("metrics")

    assert seen == ["1", "2", "3"]
    assert list(project.keys()) == ["1", "3"]


def test_each_partition_of_a_range_gets_one_event_with_its_own_metadata(project):
    project.load_tables("metrics")

    result = project.load_points(["2", "3"])

    events = materialized(result)
    assert set(events) == {"metric_points/2", "metric_points/3"}
    assert [events[name]["dagster/partition_row_count"] for name in sorted(events)] == [6, 6]
    assert all(events[name]["rows_new"] == 6 and events[name]["last_values"] for name in events)


def test_a_metric_that_does_not_exist_is_named_and_the_others_are_loaded(project):
    project.load_tables("metrics")
    project.instance.add_dynamic_partitions("cachet_metric_id", ["998", "999"])

    result = project.load_points()

    assert not result.success
    assert failure(result).count("Cachet shows no") == 1
    assert "Cachet shows no metrics 998, 999, to this token at least" in failure(result)
    assert project.count("metric_points") == 18


def test_a_full_refresh_of_points_removes_what_cachet_deleted(loaded, small_server):
    for point in small_server.world.ids("metric_points", metric_id=2)[:2]:
        small_server.world.delete("metric_points", point)
    for point in list(small_server.world.ids("metric_points", metric_id=3)):
        small_server.world.delete("metric_points", point)

    refreshed = loaded.load_points(full_refresh=True, accept_loss=True)

    assert materialized(refreshed)["metric_points/2"]["dagster/partition_row_count"] == 4
    assert materialized(refreshed)["metric_points/3"]["dagster/partition_row_count"] == 0
    assert materialized(refreshed)["metric_points/2"]["rows_deleted"] == 2


def test_points_of_a_deleted_metric_are_kept_until_they_are_pruned(loaded, small_server):
    small_server.world.delete("metrics", 3)
    loaded.load_tables("metrics")

    loaded.load_points()
    kept = loaded.count("metric_points")
    loaded.load_points(prune=True)

    assert (kept, loaded.count("metric_points")) == (18, 12)


def test_a_token_that_cachet_does_not_know_fails_the_run_before_anything_is_lost(
    loaded, small_server, tmp_path
):
    bad = Project(tmp_path, small_server.url, "not-a-token")

    result = bad.load_tables("incidents", "components")

    assert not result.success
    assert "does not know the API token" in failure(result)
    assert "CACHET_API_TOKEN" in failure(result)
    assert loaded.count("incidents") == 7


@pytest.mark.slow
def test_without_a_cachet_the_demo_lands_in_a_database_of_its_own(tmp_path):
    project = Project(tmp_path, None)

    result = project.load_tables()

    assert result.success
    assert not project.database.exists()
    assert (tmp_path / "cachet_demo.duckdb").exists()
    events = materialized(result)
    assert set(events) == set(TABLES) - {"metric_points"}
    assert all(event["demo"] for event in events.values())
    assert all(event["dagster/row_count"] > 0 for event in events.values())


@pytest.mark.parametrize("name", ["cachet.db", ".", "/", "my data.duckdb", "~nobody-here/cachet.duckdb"])
def test_a_database_that_dlt_cannot_find_again_is_refused_before_anything_is_requested(name, admin_server):
    server, token = admin_server

    for base_url in (server.url, None):
        values = {"database": name, **({"base_url": base_url} if base_url else {})}
        page = StatusPage(values=values, token=SecretStr(token) if base_url else None)
        with pytest.raises(SettingsError, match="Set CACHET_DATABASE to a path"), open_run(page, print):
            pass

    assert server.request_count == 0


@pytest.mark.parametrize("seconds", ["nan", "inf", "soon"])
def test_a_wait_without_a_bound_is_refused(project, monkeypatch, seconds):
    monkeypatch.setenv("CACHET_LOCK_WAIT", seconds)

    result = project.load_tables("components")

    assert failure(result) == (
        f"CACHET_LOCK_WAIT is '{seconds}'. Nothing was requested or changed. Set it to a number of seconds."
    )


def test_a_metric_named_twice_is_loaded_once(project):
    job = page_definitions(project.page).resolve_job_def("cachet_reload_metrics")

    loaded = job.execute_in_process(
        instance=project.instance,
        run_config={**QUIET, "ops": {"cachet_reload": {"config": {"metric_ids": [1, 2, 1, 2]}}}},
    )

    assert sorted(materialized(loaded)) == ["metric_points/1", "metric_points/2"]
    assert project.rows("SELECT count(*), count(DISTINCT id) FROM metric_points") == [(12, 12)]


def test_a_partition_that_is_no_metric_stops_nothing_and_the_next_sync_drops_it(project):
    project.load_tables("metrics")
    metrics = project.instance.get_dynamic_partitions("cachet_metric_id")
    project.instance.add_dynamic_partitions("cachet_metric_id", ["by hand", "007"])

    points = project.load_points(["1", "by hand"])

    assert failure(points).startswith("'by hand' is no metric's id: remove that partition.")
    assert len(materialized(points)) == 3
    tables = project.load_tables("metrics")
    assert tables.success
    assert project.instance.get_dynamic_partitions("cachet_metric_id") == metrics


def test_partitions_that_cannot_be_made_cost_no_load(project):
    lock = project.database.with_name(f"{project.database.name}.cachet_metric_id.lock")
    lock.mkdir()

    result = project.load_tables("metrics", "components")

    assert "The partitions of metric_points are as they were" in failure(result)
    assert sorted(materialized(result)) == ["components", "metrics"]
    assert project.count("metrics") == 3


def test_what_is_not_loaded_is_observed_with_the_reason(tmp_path, admin_server):
    server, _token = admin_server

    result = Project(tmp_path, server.url, GUEST).load_tables("subscribers", "dashboards")

    (seen,) = [event.asset_observation_data for event in result.all_events if event.is_asset_observation]
    assert seen.asset_observation.asset_key == AssetKey(["cachet", "subscribers"])
    assert seen.asset_observation.metadata["what_happened"].value == "refused: the server wants an API token"


def test_the_guides_asset_of_ones_own_reads_what_was_loaded(tmp_path, admin_server):
    server, token = admin_server
    project = Project(tmp_path, server.url, token)
    project.load_tables("incidents")
    (sample,) = re.findall(r"```python\n(# mine.py.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(sample, names)
    config = names["reader"].connection_config

    result = materialize(
        [names["solved_incidents"]],
        instance=project.instance,
        resources={"duckdb": DuckDBResource(database=str(project.database), connection_config=config)},
    )

    ((_, metadata),) = materialized(result).items()
    assert [(metadata["solved"],)] == project.rows(
        "SELECT count(*) FROM incidents WHERE status_label = 'Fixed'"
    )
    assert metadata["solved"] > 0
    # Or Dagster would not know which of them a file means.
    assert [name for name, value in names.items() if isinstance(value, Definitions)] == ["defs"]
    assert names["defs"].resolve_job_def("cachet_sync")


def test_a_sync_records_history_in_the_load_of_its_tables(tmp_path, serve, world):
    project = Project(tmp_path, serve(world).url, ADMIN)
    project.load_tables("components")
    world.update("components", 1, status=4)
    project.load_tables("components")

    with project.opened() as connection:
        rows = connection.execute(
            "SELECT status, previous_observed_at IS NULL FROM cachet_data.component_history"
            " WHERE component_id = 1 ORDER BY observed_at"
        ).fetchall()
        loads = connection.execute(
            "SELECT count(DISTINCT h._dlt_load_id) FROM cachet_data.component_history AS h"
            " JOIN cachet_data._dlt_loads AS l ON l.load_id = h._dlt_load_id"
        ).fetchone()
    assert [status for status, _ in rows][-1] == 4
    assert [first for _, first in rows] == [True, False]
    assert loads == (2,)
