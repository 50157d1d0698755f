"""Old runs go, with their events, logs and files; what Dagster shows as the present stays, and what is others'."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from dagster import AssetCheckKey, asset, materialize

from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.housekeeping import delete_runs
from cachet_dagster.status_page.page import StatusPage

from .automation import Automation, points, sync
from .dagster_runs import QUIET

LATER = datetime.now(timezone.utc) + timedelta(days=40)


def run_ids(project: Automation) -> set[str]:
    return {run.run_id for run in project.instance.get_runs()}


def test_a_run_that_holds_nothing_newest_is_deleted_with_its_events_and_its_files(loaded, tmp_path):
    project, first = loaded, run_ids(loaded)
    second = sync(project)
    third = sync(project)

    deleted, kept = delete_runs(project.page, project.instance, LATER)

    # The checks and the points are as the first load recorded them.
    assert (deleted, kept) == (1, 3)
    assert run_ids(project) == {*first, third.run_id}
    key = project.page.asset_key("components")
    assert third.run_id == project.instance.fetch_materializations(key, limit=9).records[0].run_id
    project.instance.event_log_storage.dispose()
    assert not [
        path for path in tmp_path.rglob(f"{second.run_id}*") if path.is_file() and path.stat().st_size > 0
    ]


def test_a_deleted_runs_checks_are_found_no_more_and_the_newest_ones_are(loaded, small_server):
    project, runs = loaded, []
    for name in ("one", "two"):
        small_server.world.update("incident_templates", 1, name=name)
        runs.append(sync(project).run_id)

    deleted, _kept = delete_runs(project.page, project.instance, LATER)

    key = AssetCheckKey(project.page.asset_key("incident_templates"), "consistent")
    history = project.instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
    assert deleted == 1
    assert runs[0] not in {record.run_id for record in history}
    assert history[0].run_id == runs[1]


def test_the_newest_event_of_each_asset_and_partition_and_check_outlives_housekeeping(loaded, small_server):
    project, server = loaded, small_server
    server.world.post_point(1, 5.0, at=LATER)
    points(project)
    server.world.update("components", 1, name="new")
    sync(project)
    instance = project.instance
    keys = [*instance.get_asset_keys(), project.page.asset_key("metrics")]
    before = {key: instance.get_latest_materialization_event(key) for key in keys}
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        list(project.repository.asset_graph.asset_check_keys)
    )

    delete_runs(project.page, instance, LATER)

    assert {key: instance.get_latest_materialization_event(key) for key in keys} == before
    points_key = project.page.asset_key("metric_points")
    assert instance.get_materialized_partitions(points_key) == {"1", "2", "3"}
    runs = run_ids(project)
    assert {record.run_id for record in checks.values()} <= runs
    assert all(event is None or event.run_id in runs for event in before.values())


def test_young_runs_unfinished_ones_and_those_of_others_stay(loaded):
    project = loaded

    @asset
    def of_somebody_else() -> None:
        pass

    for _ in range(2):
        materialize([of_somebody_else], instance=project.instance, run_config=QUIET)
        project.load_tables("components")
        sync(project)
    project.under_way("cachet_sync", **project.page.run_tags)
    before = run_ids(project)

    young = delete_runs(project.page, project.instance, datetime.now(timezone.utc) - timedelta(days=1))
    another = delete_runs(StatusPage(name="another"), project.instance, LATER)
    untouched = run_ids(project)
    deleted, _kept = delete_runs(project.page, project.instance, LATER)

    assert young == another == (0, 0)
    assert untouched == before
    assert deleted == 1
    assert len(run_ids(project)) == len(before) - 1


def test_the_job_says_what_it_did_and_a_schedule_runs_it_daily(loaded):
    project = loaded
    result = project.repository.get_job("cachet_housekeeping").execute_in_process(
        instance=project.instance, run_config=QUIET
    )
    schedule = project.repository.get_schedule_def("cachet_housekeeping_schedule")

    assert result.success
    assert schedule.job_name == "cachet_housekeeping"
    assert schedule.cron_schedule == "45 4 * * *"


@pytest.mark.parametrize(("days", "there"), [("off", False), ("7", True), ("soon", True)])
def test_how_long_runs_are_kept_is_a_setting_that_can_be_off_and_never_stops_the_code_location(days, there):
    repository = page_definitions(StatusPage(values={"keep_runs_days": days})).get_repository_def()

    assert repository.has_job("cachet_housekeeping") is there
