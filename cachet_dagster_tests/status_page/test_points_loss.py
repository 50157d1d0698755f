"""Points do not go in a landslide: a metric that would lose too many keeps them until somebody lets it through."""

from __future__ import annotations

import pytest
from dagster import ExecuteInProcessResult

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World

from .dagster_runs import Project, failure


@pytest.fixture
def loaded(tmp_path):
    """Return a project with two metrics of 60 points, and its server, which has 5 left of the first."""
    world = World.generate(incidents=0, components=0, metrics=2, points=60)
    with DemoServer(world) as server:
        project = Project(tmp_path, server.url, DEMO_TOKEN)
        project.load_tables("metrics")
        assert project.load_points().success
        for point in [row for row in world.rows("metric_points") if row["metric_id"] == 1][5:]:
            world.delete("metric_points", point["id"])
        yield project, world


def points(project: Project) -> list[tuple[int, int]]:
    return project.rows("SELECT metric_id, count(*) FROM metric_points GROUP BY ALL ORDER BY ALL")


def test_a_full_refresh_that_would_delete_most_of_a_metric_keeps_it_until_it_is_let_through(loaded):
    project, _ = loaded

    refused = project.load_points(full_refresh=True)
    kept = points(project)
    accepted = project.load_points(full_refresh=True, accept_loss=True)

    said = failure(refused)
    assert "metric 1 held 60 rows and would hold 5: 55 would go at once" in said
    assert "accept_loss: true" in said
    assert kept == [(1, 60), (2, 60)]
    (check,) = refused.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("complete", False)
    assert accepted.success
    assert points(project) == [(1, 5), (2, 60)]


def test_a_prune_that_would_delete_most_points_keeps_them_until_it_is_let_through(loaded):
    project, world = loaded
    for row in world.rows("metrics"):
        world.delete("metrics", row["id"])

    refused = project.load_points(prune=True)
    kept = points(project)
    project.load_points(prune=True, accept_loss=True)

    assert "the table held 120 rows and would hold 0: 120 would go at once" in failure(refused)
    assert kept == [(1, 60), (2, 60)]
    assert points(project) == []


def test_the_check_of_points_that_a_prune_held_back_stays_red_until_they_are_let_go(loaded):
    project, world = loaded
    world.delete("metrics", 1)
    project.set(max_loss=0.4)

    refused = project.load_points(["2"], prune=True)
    later = project.load_points(["2"])
    pruned = project.load_points(["2"], prune=True, accept_loss=True)
    last = project.load_points(["2"])

    assert not refused.success
    assert [run.success for run in (later, pruned, last)] == [True, True, True]
    assert [complete(run) for run in (refused, later, pruned, last)] == [False, False, True, True]
    assert points(project) == [(2, 60)]
    # Nothing else is left unlooked at meanwhile.
    assert {check.check_name for check in later.get_asset_check_evaluations()} == {
        check.check_name for check in last.get_asset_check_evaluations()
    }


def complete(run: ExecuteInProcessResult) -> bool:
    (check,) = [check for check in run.get_asset_check_evaluations() if check.check_name == "complete"]
    return check.passed
