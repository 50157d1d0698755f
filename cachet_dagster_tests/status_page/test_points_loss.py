"""Points do not go in a landslide: a metric that would lose too many keeps them until somebody lets it through."""

from __future__ import annotations

import pytest

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
