"""Through Dagster, a Cachet 2 lands as a Cachet 3 does: complete, in the same tables, for whoever asks."""

from __future__ import annotations

import pytest

from cachet_dagster.source import TABLES
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN, WORLD, serving
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
