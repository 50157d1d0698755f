"""Loads happen by the clock as well, never two of a kind at once, and whatever the environment says."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from dagster import DagsterInstance, DefaultScheduleStatus

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.schedules import page_schedules

from .automation import Automation
from .dagster_runs import materialized

SYNC = "cachet_sync_schedule"
POINTS = "cachet_metric_points_schedule"
FULL_REFRESH = "cachet_full_refresh_schedule"
HOUSEKEEPING = "cachet_housekeeping_schedule"


@pytest.fixture
def project(tmp_path):
    with DemoServer(World.generate(metrics=3, points=4)) as server:
        yield Automation(tmp_path, server.url, DEMO_TOKEN)


def test_sync_and_points_run_hourly_from_the_start_and_the_full_refresh_when_switched_on():
    schedules = {schedule.name: schedule for schedule in page_schedules(StatusPage())}

    on = [name for name, it in schedules.items() if it.default_status is DefaultScheduleStatus.RUNNING]

    assert sorted(on) == [HOUSEKEEPING, POINTS, SYNC]
    assert {name: it.cron_schedule for name, it in schedules.items()} == {
        SYNC: "0 * * * *",
        POINTS: "30 * * * *",
        FULL_REFRESH: "15 3 * * *",
        HOUSEKEEPING: "45 4 * * *",
    }
    assert {it.execution_timezone for it in schedules.values()} == {"UTC"}


def test_times_and_their_zone_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("CACHET_SYNC_CRON", "*/10 * * * *")
    monkeypatch.setenv("CACHET_POINTS_CRON", "5 * * * *")
    monkeypatch.setenv("CACHET_FULL_REFRESH_CRON", "@daily")
    monkeypatch.setenv("CACHET_SCHEDULE_TIMEZONE", "Europe/Berlin")

    schedules = page_schedules(StatusPage.from_environment())

    assert [schedule.cron_schedule for schedule in schedules][:3] == ["*/10 * * * *", "5 * * * *", "@daily"]
    assert {schedule.execution_timezone for schedule in schedules} == {"Europe/Berlin"}


@pytest.mark.parametrize("cron", ["soon", "99 * * * *", "* * * * * *", "0 0 31 2 *", "0 0 31 4 *"])
def test_a_wrong_time_is_replaced_by_the_default_and_the_description_says_so(cron):
    sync = page_schedules(StatusPage(values={"sync_cron": cron}))[0]

    assert sync.cron_schedule == "0 * * * *"
    assert f"CACHET_SYNC_CRON is {cron!r}, which cannot be used: `0 * * * *` is used instead." in (
        sync.description or ""
    )


def test_the_code_location_loads_with_a_time_that_never_comes():
    environment = {**os.environ, "CACHET_SYNC_CRON": "0 0 31 4 *", "CACHET_POINTS_CRON": "0 0 31 4 *"}

    loading = subprocess.run(
        [sys.executable, "-c", "import cachet_dagster.definitions"],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert loading.returncode == 0, loading.stderr


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd"])
def test_a_wrong_zone_is_replaced_by_utc_and_every_description_says_so(zone):
    schedules = page_schedules(StatusPage(values={"schedule_timezone": zone}))

    assert [schedule.execution_timezone for schedule in schedules] == ["UTC"] * 4
    assert all("CACHET_SCHEDULE_TIMEZONE" in (schedule.description or "") for schedule in schedules)


@pytest.mark.parametrize("schedule", [SYNC, FULL_REFRESH, POINTS])
def test_a_load_is_requested_when_none_is_under_way_and_its_pool_has_its_limit_before(
    project, tmp_path, schedule
):
    settings = {"concurrency": {"pools": {"default_limit": 1}}}
    project.instance = DagsterInstance.local_temp(str(tmp_path), overrides=settings)
    project.instance.add_dynamic_partitions("cachet_metric_id", ["1"])

    assert len(project.scheduled(schedule).run_requests) == 1
    limits = project.instance.event_log_storage.get_pool_limits()
    assert [(pool.name, pool.limit) for pool in limits] == [("cachet_api", 1)]


@pytest.mark.parametrize(
    ("schedule", "job", "skipped"),
    [
        (SYNC, "cachet_sync", True),
        (SYNC, "cachet_full_refresh", True),
        (FULL_REFRESH, "cachet_full_refresh", True),
        (FULL_REFRESH, "cachet_sync", False),
        (SYNC, "cachet_metric_points", False),
    ],
)
def test_a_tick_is_skipped_with_a_reason_while_such_a_run_is_in_flight(project, schedule, job, skipped):
    run = project.under_way(job)

    during = project.scheduled(schedule)
    project.ended(run)
    after = project.scheduled(schedule)

    assert during.skip_message == (f"run {run.run_id[:8]} ({job}) is still started" if skipped else None)
    assert len(during.run_requests) == (0 if skipped else 1)
    assert len(after.run_requests) == 1


def test_a_run_by_hand_that_loads_tables_is_waited_for_as_well(project):
    by_hand = project.under_way("__ASSET_JOB", only=["incidents"])

    assert by_hand.run_id[:8] in project.scheduled(SYNC).skip_message


def test_the_points_of_all_metrics_are_requested_as_one_run(project):
    project.load_tables("metrics")

    (request,) = project.scheduled(POINTS).run_requests
    result = project.launch(request)

    assert request.job_name == "cachet_all_points"
    assert sorted(materialized(result)) == ["metric_points/1", "metric_points/2", "metric_points/3"]


def test_without_partitions_there_are_no_points_to_request(project):
    assert "no metric partitions yet" in project.scheduled(POINTS).skip_message


def test_points_are_not_requested_while_they_are_being_loaded_or_just_were(project):
    project.load_tables("metrics")
    (request,) = project.tick("cachet_points_after_sync").run_requests
    running = project.under_way("cachet_all_points", **request.tags)

    during = project.scheduled(POINTS)
    project.ended(running)
    loaded = project.launch(request)
    soon_after = project.scheduled(POINTS)
    later = project.scheduled(POINTS, datetime.now(timezone.utc) + timedelta(minutes=29))

    assert "is still started" in during.skip_message
    assert soon_after.skip_message == f"run {loaded.run_id[:8]} has just loaded all points"
    assert len(later.run_requests) == 1


def test_a_run_that_was_killed_and_never_ended_does_not_stop_the_schedule_for_ever(project):
    project.under_way("cachet_sync", begun=datetime.now(timezone.utc) - timedelta(hours=7))

    assert len(project.scheduled(SYNC).run_requests) == 1
