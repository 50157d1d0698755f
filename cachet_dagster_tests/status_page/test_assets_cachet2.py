"""Through Dagster, a Cachet 2 lands as a Cachet 3 does: complete, in the same tables, for whoever asks."""

from __future__ import annotations

import pytest

from cachet_dagster.source import TABLES
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN, WORLD, serving
from cachet_dagster_tests.source.cachet2.test_points import metric_world, point
from cachet_dagster_tests.truth_cachet2 import differences

from .dagster_runs import Project, materialized


@pytest.mark.parametrize("database", ["sqlite", "mysql"])
@pytest.mark.parametrize("token", [TOKEN, None], ids=["admin", "guest"])
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
