"""Through Dagster, a Cachet 2 lands as a Cachet 3 does: complete, in the same tables, for whoever asks."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from cachet_dagster.demo import living_world
from cachet_dagster.demo.cachet2 import Cachet2World
from cachet_dagster.source import TABLES
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN, WORLD, answering, serving
from cachet_dagster_tests.source.cachet2.test_points import metric_world, point
from cachet_dagster_tests.truth_cachet2 import differences

from .dagster_runs import Project, failure, materialized


@pytest.mark.parametrize(
    ("database", "token"), [("sqlite", TOKEN), ("mysql", None)], ids=["admin-sqlite", "guest-mysql"]
)
def test_the_recorded_page_lands_cell_by_cell(tmp_path, database, token):
    with serving(database=database) as server:
        project = Project(tmp_path, server.url, token)

        tables = project.load_tables()
        points = project.load_points()

        assert tables.success
        assert points.success
        with project.opened() as connection:
            assert differences(connection, WORLD, admin=token is not None, page=server.url) == []


def test_what_cachet_2_does_not_offer_is_recorded_and_its_tables_are_present_and_empty(tmp_path):
    with serving() as server:
        project = Project(tmp_path, server.url, TOKEN)

        tables = materialized(project.load_tables())
        project.load_points()

        assert tables["dashboards"]["what_happened"] == "Cachet 2 does not offer it"
        assert tables["incidents"]["cachet_api"] == 2
        assert {name for (name,) in project.rows("SHOW TABLES")} >= set(TABLES)
        assert project.count("dashboards") == project.count("schedule_updates") == 0


def test_points_that_were_deleted_go_with_the_next_load_which_costs_no_more_than_once(tmp_path):
    world = metric_world([point(number) for number in range(1, 1_500)])
    with serving(world) as server:
        project = Project(tmp_path, server.url, TOKEN)
        project.load_tables("metrics")
        project.load_points()
        for number in (1, 700, 1_499):
            world.delete("metric_points", number, hard=True)

        first, second = (materialized(project.load_points())["metric_points/1"] for _ in range(2))
        ids = [number for (number,) in project.rows("SELECT id FROM metric_points ORDER BY id")]

    assert ids == world.ids("metric_points")
    assert (first["rows_deleted"], first["requests"], first["dagster/partition_row_count"]) == (3, 2, 1_496)
    assert (second["rows_deleted"], second["requests"], second["rows_changed"]) == (0, 1, 0)


def test_totals_that_points_never_make_up_are_one_sentence_with_the_metrics_for_which_it_is_so(tmp_path):
    def more(path: str, status: int, document: Any) -> tuple[int, Any] | None:
        if not path.endswith("/points"):
            return None
        document["meta"]["pagination"]["total"] += 1
        return status, document

    points = [point(number, metric_id=number % 12 % 4 + 1) for number in range(1, 40)]
    with serving(metric_world(points, metrics=4), middleware=[answering(more)]) as server:
        project = Project(tmp_path, server.url, TOKEN)
        project.load_tables("metrics")
        said = failure(project.load_points())

    assert said.count("different rows where the server names") == 1
    assert "So it is with metrics 2, 3, 4." in said
    assert "Everything else is loaded" not in said


def test_every_check_of_a_healthy_page_is_green(tmp_path):
    with serving(partial(living_world, 1)) as server:
        project = Project(tmp_path, server.url, TOKEN)

        evaluations = [
            evaluation
            for result in (project.load_tables_and_checks(), project.load_points())
            for evaluation in result.get_asset_check_evaluations()
        ]

    assert {
        (found.asset_key.path[-1], found.check_name): found.description
        for found in evaluations
        if not found.passed
    } == {}
    assert {found.asset_key.path[-1] for found in evaluations} == set(TABLES)


def test_on_a_page_without_metrics_the_table_of_points_is_there_and_empty(tmp_path):
    with serving(Cachet2World()) as server:
        project = Project(tmp_path, server.url, TOKEN)

        tables = project.load_tables()

        assert tables.success, failure(tables)

        assert project.count("metric_points") == 0


def test_a_second_load_asks_for_no_null_again_since_the_database_tells_them(tmp_path):
    with serving() as server:
        project = Project(tmp_path, server.url, TOKEN)

        first, second = (materialized(project.load_tables()) for _ in range(2))

    counted = [
        {name: load[name]["requests"] for name in ("incidents", "schedules", "subscribers")}
        for load in (first, second)
    ]
    assert counted == [
        {"incidents": 4 + 3, "schedules": 1 + 1, "subscribers": 1 + 1},
        {"incidents": 4, "schedules": 1, "subscribers": 1},
    ]
