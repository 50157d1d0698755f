"""What happens on the page sets loads going, once each, and costs it three requests a round while it is quiet."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from dagster import DagsterInstance, SensorEvaluationContext

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World

from .automation import Automation, partition_range
from .dagster_runs import materialized

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=timezone.utc)

PARTITIONS = "cachet_metric_partitions"
CHANGES = "cachet_changes"
AFTER_SYNC = "cachet_points_after_sync"


def small_world(metrics: int = 3) -> World:
    return World.generate(
        incidents=7,
        components=4,
        groups=2,
        metrics=metrics,
        points=6,
        subscribers=2,
        schedules=1,
        templates=1,
    )


@pytest.fixture
def server():
    with DemoServer(small_world()) as running:
        yield running


@pytest.fixture
def project(tmp_path, server):
    return Automation(tmp_path, server.url, DEMO_TOKEN)


@pytest.fixture
def settled(project):
    """Return a project whose sensors have had their first look and found nothing to be in flight."""
    project.tick(PARTITIONS)
    project.tick(CHANGES)
    return project


# New metrics


def test_the_first_look_loads_every_metric_in_one_run(project):
    (request,) = project.tick(PARTITIONS).run_requests

    result = project.launch(request)

    assert partition_range(request) == ("1", "3")
    assert result.success
    assert sorted(materialized(result)) == ["metric_points/1", "metric_points/2", "metric_points/3"]
    assert project.count("metric_points") == 18


def test_the_pool_has_its_limit_before_the_first_run_is_requested_and_one_that_a_person_sets_stays(
    project, tmp_path
):
    settings = {"concurrency": {"pools": {"default_limit": 1}}}
    project.instance = DagsterInstance.local_temp(str(tmp_path), overrides=settings)
    storage = project.instance.event_log_storage

    assert project.tick(PARTITIONS).run_requests
    made = [(pool.name, pool.limit) for pool in storage.get_pool_limits()]
    storage.set_concurrency_slots("cachet_api", 2)
    assert project.tick(CHANGES).run_requests

    assert made == [("cachet_api", 1)]
    assert [pool.limit for pool in storage.get_pool_limits()] == [2]


def test_new_metrics_are_loaded_in_one_run_and_no_others(settled, server):
    for name in ("a", "b"):
        metric = server.world.add("metrics", name=name)
        server.world.post_point(metric["id"], 1.0, at=NOW)

    (request,) = settled.tick(PARTITIONS).run_requests
    result = settled.launch(request)

    assert list(settled.keys()) == ["1", "2", "3", "4", "5"]
    assert sorted(materialized(result)) == ["metric_points/4", "metric_points/5"]


def test_without_a_new_metric_one_request_is_made_and_no_run(settled, server):
    server.clear_requests()

    ticked = settled.tick(PARTITIONS)

    assert ticked.run_requests == []
    assert ticked.skip_message == "no new metric among 3"
    assert dict(server.paths) == {"/api/metrics": 1}


def test_the_list_is_read_back_to_a_known_metric(tmp_path):
    with DemoServer(small_world(metrics=150)) as server:
        project = Automation(tmp_path, server.url, DEMO_TOKEN)
        project.tick(PARTITIONS)
        for number in range(130):
            server.world.add("metrics", name=f"new {number}")
        server.clear_requests()

        (request,) = project.tick(PARTITIONS).run_requests

        assert partition_range(request) == ("151", "280")
        assert server.paths["/api/metrics"] == 2


def test_a_tick_that_is_repeated_before_its_cursor_is_saved_requests_the_same_run(settled, server):
    server.world.add("metrics", name="a")

    (lost,) = settled.tick(PARTITIONS, lost=True).run_requests
    (repeated,) = settled.tick(PARTITIONS).run_requests

    assert repeated.run_key == lost.run_key
    assert partition_range(repeated) == partition_range(lost) == ("4", "4")
    assert settled.tick(PARTITIONS).run_requests == []


def test_an_older_metric_that_moves_up_when_a_newer_one_is_deleted_is_not_loaded_again(tmp_path):
    with DemoServer(small_world(metrics=101)) as server:
        project = Automation(tmp_path, server.url, DEMO_TOKEN)
        project.tick(PARTITIONS)
        server.world.delete("metrics", 101)

        assert project.tick(PARTITIONS).run_requests == []


def test_a_quiet_look_for_changes_does_not_open_dagsters_storage(settled, monkeypatch):
    def opened(_context):
        raise AssertionError("a tick that finds nothing opened the instance")

    monkeypatch.setattr(SensorEvaluationContext, "instance", property(opened))

    assert settled.tick(CHANGES).skip_message == "nothing has changed"


def test_a_deleted_metric_keeps_its_partition_until_a_sync_sees_the_whole_list(settled, server):
    server.world.delete("metrics", 3)

    after_deletion = settled.tick(PARTITIONS)
    kept = list(settled.keys())
    settled.load_tables("metrics")
    after_sync = settled.tick(PARTITIONS)

    assert kept == ["1", "2", "3"]
    assert list(settled.keys()) == ["1", "2"]
    assert after_deletion.run_requests == after_sync.run_requests == []


def test_a_partition_that_is_added_while_a_sync_reads_the_metrics_is_left_to_the_next_sync(tmp_path):
    """A metric that is newer than the list read: the sensor has added it, and asked for its points."""

    def added_after_the_list(app):
        async def answer(scope, receive, send):
            await app(scope, receive, send)
            if scope["path"] == "/api/metrics" and not project.keys():
                project.instance.add_dynamic_partitions("cachet_metric_id", ["4"])

        return answer

    with DemoServer(small_world(), middleware=[added_after_the_list]) as server:
        project = Automation(tmp_path, server.url, DEMO_TOKEN)
        project.load_tables("metrics")
        kept = set(project.keys())
        project.load_tables("metrics")

    assert kept == {"1", "2", "3", "4"}
    assert set(project.keys()) == {"1", "2", "3"}


def test_a_metric_that_was_hidden_and_is_shown_again_is_loaded_again(settled, server):
    server.world.update("metrics", 3, visible=2)
    settled.load_tables("metrics")
    settled.tick(PARTITIONS)
    server.world.update("metrics", 3, visible=1)

    (request,) = settled.tick(PARTITIONS).run_requests

    assert partition_range(request) == ("3", "3")


# Changes


def test_the_first_look_requests_a_sync_and_the_next_one_nothing(project):
    (request,) = project.tick(CHANGES).run_requests
    again = project.tick(CHANGES)

    assert request.job_name == "cachet_sync"
    assert request.tags["cachet/changed"] == "first look"
    assert again.run_requests == []
    assert again.skip_message == "nothing has changed"


CHANGED = [
    (lambda world: world.post_incident("New", 1, at=NOW), "incidents 8"),
    (lambda world: world.post_update(2, 4, "done", at=NOW), "incidents 2"),
    (lambda world: world.update("incidents", 5, name="<b>|\"'; DROP"), "incidents 5"),
    (lambda world: world.delete("incidents", 7, at=NOW), "incidents 7"),
    (lambda world: world.update("components", 4, status=3), "components 4"),
    (lambda world: world.update("components", 1, enabled=0), "components 1"),
    (
        lambda world: [world.update("components", 2, status=3), world.delete("incidents", 3, at=NOW)],
        "incidents 3; components 2",
    ),
    (
        lambda world: [world.post_incident("New", 1, at=NOW) for _ in range(90)],
        "incidents 9,10,11,12,13 and 85 more",
    ),
]
"""One change of the page after the other, and what the sync's tag says of each."""


def test_each_change_requests_one_sync_whose_tag_says_what_changed(settled, server):
    for change, said in CHANGED:
        change(server.world)

        (request,) = settled.tick(CHANGES).run_requests

        assert request.tags["cachet/changed"] == said
        assert settled.tick(CHANGES).run_requests == []


def test_what_falls_off_the_first_page_is_no_change(tmp_path):
    with DemoServer(World.generate(incidents=130, components=110)) as server:
        project = Automation(tmp_path, server.url, DEMO_TOKEN)
        project.tick(CHANGES)
        incident = server.world.post_incident("New", 1, at=NOW)

        (request,) = project.tick(CHANGES).run_requests

        assert request.tags["cachet/changed"] == f"incidents {incident['id']}"


def test_texts_that_change_with_the_time_are_no_change(tmp_path):
    time = [NOW]
    with DemoServer(small_world(), clock=lambda: time[0]) as server:
        project = Automation(tmp_path, server.url, DEMO_TOKEN)
        project.tick(CHANGES)
        time[0] += timedelta(days=2)

        assert project.tick(CHANGES).run_requests == []


def test_a_change_that_is_undone_and_done_again_is_synced_each_time(settled, server):
    keys = []
    for status in (3, 1, 3):
        server.world.update("components", 1, status=status)
        keys += [request.run_key for request in settled.tick(CHANGES).run_requests]

    assert len(set(keys)) == len(keys) >= 2


def test_a_change_seen_twice_before_the_cursor_is_saved_requests_the_same_sync(settled, server):
    server.world.update("components", 1, status=5)

    (lost,) = settled.tick(CHANGES, lost=True).run_requests
    (repeated,) = settled.tick(CHANGES).run_requests

    assert repeated.run_key == lost.run_key


@pytest.mark.parametrize("job", ["cachet_sync", "cachet_full_refresh"])
def test_while_a_sync_is_in_flight_none_is_requested_and_no_change_is_lost(settled, server, job):
    run = settled.under_way(job)
    server.world.update("components", 1, status=5)

    meanwhile = settled.tick(CHANGES)
    settled.ended(run)
    (request,) = settled.tick(CHANGES).run_requests

    assert meanwhile.run_requests == []
    assert meanwhile.skip_message == f"run {run.run_id[:8]} ({job}) is still started"
    assert request.tags["cachet/changed"] == "components 1"


# Loaded metrics


def test_loaded_metrics_are_followed_by_one_run_over_the_points_of_all(settled):
    sync = settled.load_tables("metrics")

    (request,) = settled.tick(AFTER_SYNC).run_requests
    result = settled.launch(request)

    assert request.run_key == sync.run_id
    assert request.job_name == "cachet_all_points"
    assert sorted(materialized(result)) == ["metric_points/1", "metric_points/2", "metric_points/3"]
    assert settled.tick(AFTER_SYNC).run_requests == []


def test_a_sync_in_which_another_endpoint_failed_is_followed_by_the_points_all_the_same(tmp_path):
    with DemoServer(small_world(), tokens={"limited": {"components.manage"}}) as server:
        project = Automation(tmp_path, server.url, "limited", subscribers_required=True)
        sync = project.load_tables("metrics", "subscribers")

        requests = project.tick(AFTER_SYNC).run_requests

        assert not sync.success
        assert [request.run_key for request in requests] == [sync.run_id]


def test_while_all_points_are_being_loaded_their_next_run_waits(settled):
    first = settled.load_tables("metrics")
    (request,) = settled.tick(AFTER_SYNC, lost=True).run_requests
    run = settled.under_way("cachet_all_points", **request.tags)

    meanwhile = settled.tick(AFTER_SYNC)
    settled.ended(run)
    (waited,) = settled.tick(AFTER_SYNC).run_requests

    assert meanwhile.skip_message == f"run {run.run_id[:8]} (cachet_all_points) is still started"
    assert waited.run_key == first.run_id


def test_after_a_full_refresh_the_points_are_read_from_the_start(settled, server):
    settled.load_tables("metrics")
    settled.launch(settled.tick(AFTER_SYNC).run_requests[0])
    point = server.world.where("metric_points", metric_id=1)[0]
    server.world.delete("metric_points", point["id"], hard=True)

    refreshed = settled.load_metrics_as("cachet_full_refresh")
    settled.load_tables("metrics")
    (request,) = settled.tick(AFTER_SYNC).run_requests
    result = settled.launch(request)

    assert refreshed.success
    assert result.success
    assert settled.count("metric_points") == 17


# A server that is away, slow or another


@pytest.mark.parametrize("sensor", [PARTITIONS, CHANGES])
def test_a_server_that_is_down_is_a_reason_to_skip_and_nothing_is_forgotten(settled, server, sensor):
    port, before = server.port, settled.cursors[sensor]
    server.stop()

    ticked = settled.tick(sensor)

    assert ticked.run_requests == []
    assert "refuses connections" in ticked.skip_message
    assert settled.cursors[sensor] == before
    with DemoServer(server.world, port=port):
        assert settled.tick(sensor).skip_message in ("no new metric among 3", "nothing has changed")


@pytest.mark.parametrize("sensor", [PARTITIONS, CHANGES])
@pytest.mark.parametrize(
    ("base_url", "token", "reason"),
    [
        ("ftp://status.example.com", None, "Set CACHET_BASE_URL"),
        (None, "a-token", "unset CACHET_API_TOKEN for the demo"),
    ],
)
def test_a_wrong_setting_is_a_reason_to_skip(tmp_path, sensor, base_url, token, reason):
    ticked = Automation(tmp_path, base_url, token).tick(sensor)

    assert reason in ticked.skip_message


def test_a_database_that_cannot_be_written_is_a_reason_to_skip(tmp_path, server):
    project = Automation(tmp_path, server.url, DEMO_TOKEN)
    project.set(database=str(tmp_path / "no" / "x.duckdb"))

    assert "Set CACHET_DATABASE" in project.tick(PARTITIONS).skip_message


@pytest.mark.parametrize("sensor", [PARTITIONS, CHANGES])
def test_cachet_2_is_looked_at_as_well(tmp_path, sensor):
    with DemoServer(small_world(), api=2) as server:
        project = Automation(tmp_path, server.url, DEMO_TOKEN)
        first = project.tick(sensor)
        quiet = project.tick(sensor)
        server.world.add("metrics", name="a")
        server.world.update("components", 2, status=4)
        changed = project.tick(sensor)

    assert [len(ticked.run_requests) for ticked in (first, quiet, changed)] == [1, 0, 1]


def test_a_server_that_changes_its_api_is_found_out_at_the_tick_after(tmp_path):
    with DemoServer(small_world(), api=2) as old:
        project = Automation(tmp_path, old.url, DEMO_TOKEN)
        project.tick(PARTITIONS)
    with DemoServer(small_world(metrics=4), port=old.port):
        at_first = project.tick(PARTITIONS)
        (request,) = project.tick(PARTITIONS).run_requests

    assert at_first.run_requests == []
    assert partition_range(request) == ("4", "4")


def test_another_server_is_looked_at_anew(settled, tmp_path):
    with DemoServer(small_world()) as other:
        settled.set(base_url=other.url)

        (request,) = settled.tick(CHANGES).run_requests

        assert request.tags["cachet/changed"] == "first look"


def test_the_demo_is_looked_at_without_being_told_of_a_cachet(tmp_path):
    project = Automation(tmp_path, None)

    (points,) = project.tick(PARTITIONS).run_requests
    (sync,) = project.tick(CHANGES).run_requests

    assert partition_range(points) == ("1", "4")
    assert sync.job_name == "cachet_sync"


def test_a_quiet_round_costs_three_requests(settled, server):
    server.clear_requests()

    for sensor in (PARTITIONS, CHANGES, AFTER_SYNC):
        settled.tick(sensor)

    assert dict(server.paths) == {"/api/metrics": 1, "/api/incidents": 1, "/api/components": 1}
