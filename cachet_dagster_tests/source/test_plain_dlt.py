"""The source as dlt's users handle one: refreshed, limited, run again, by a guest after an admin, in parts.

Real pipelines load a small page from a real server into DuckDB files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source import TABLES, cachet_source
from cachet_dagster_tests.conftest import ADMIN, Serve, new_pipeline

POINTS = 450
"""Points of each of two metrics: more pages than a load reads again."""


def small_world() -> World:
    """Return a page with something in each table."""
    return World.generate(
        incidents=5, components=3, groups=1, metrics=2, points=POINTS, subscribers=3, schedules=2, templates=1
    )


@dataclass(frozen=True)
class Served:
    """A server, the world of the test that uses it, and a folder into which an admin loaded that page once."""

    server: DemoServer
    worlds: list[World]
    folder: Path
    paths: Counter[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    worlds, folder = [small_world()], tmp_path_factory.mktemp("loaded")
    with DemoServer(lambda _: worlds[-1], tokens={ADMIN: {"*"}}) as server:
        new_pipeline(folder).run(source_of(server))
        yield Served(server, worlds, folder, asked(server))


@pytest.fixture
def small(served: Served) -> World:
    """Return the page's rows, to be changed at will."""
    served.worlds[:] = [small_world()]
    return served.worlds[0]


@pytest.fixture
def page(served: Served, small: World) -> DemoServer:
    """Return a server of that page."""
    served.server.settings.tokens = {ADMIN: {"*"}}
    served.server.clear_requests()
    return served.server


@pytest.fixture
def loaded(served: Served, page: DemoServer, tmp_path: Path) -> dict[str, int]:
    """Load the page as an admin into the test's folder; return the rows of each table."""
    shutil.copytree(served.folder, tmp_path, dirs_exist_ok=True)
    return counts(tmp_path / "cachet.duckdb")


def source_of(page: DemoServer, **arguments: Any) -> Any:
    """Return the source as an admin."""
    return cachet_source(base_url=page.url, **{"api_key": ADMIN, **arguments})


def counts(database: Path) -> dict[str, int]:
    """Return the rows of each table that there is."""
    with duckdb.connect(str(database), read_only=True) as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'cachet_data'"
        ).fetchall()
        return {
            name: connection.execute(f'SELECT count(*) FROM cachet_data."{name}"').fetchall()[0][0]
            for (name,) in names
            if name in TABLES
        }


def asked(page: DemoServer) -> Counter[str]:
    """Return how often each path was asked for since the last time."""
    paths = Counter(page.paths)
    page.clear_requests()
    return paths


def point_pages(paths: Counter[str]) -> int:
    return sum(number for path, number in paths.items() if path.endswith("/points"))


# A guest after an admin


def test_a_guest_s_load_leaves_subscribers_as_an_admin_s_load_left_them(
    page: DemoServer, loaded: dict[str, int], tmp_path: Path
) -> None:
    new_pipeline(tmp_path).run(source_of(page, api_key=None))

    assert loaded["subscribers"] == 3
    assert counts(tmp_path / "cachet.duckdb") == loaded


def test_what_a_guest_is_not_shown_is_a_table_without_rows(page: DemoServer, tmp_path: Path) -> None:
    new_pipeline(tmp_path).run(source_of(page, api_key=None))

    found = counts(tmp_path / "cachet.duckdb")
    assert found.keys() == TABLES.keys()
    assert (found["subscribers"], found["subscriber_components"], found["incidents"]) == (0, 0, 5)


def test_a_token_without_an_ability_loads_the_rest_unless_it_had_it_before(
    page: DemoServer, tmp_path: Path
) -> None:
    page.settings.tokens = {ADMIN: set()}
    new_pipeline(tmp_path).run(source_of(page))
    lacking = counts(tmp_path / "cachet.duckdb")
    page.settings.tokens = {ADMIN: {"*"}}
    new_pipeline(tmp_path).run(source_of(page))
    page.settings.tokens = {ADMIN: set()}

    with pytest.raises(Exception, match=r"subscribers\.manage"):
        new_pipeline(tmp_path).run(source_of(page))

    assert (lacking["incidents"], lacking["subscribers"]) == (5, 0)
    assert counts(tmp_path / "cachet.duckdb")["subscribers"] == 3


def test_what_a_server_shows_again_is_replaced_again_by_the_same_source(
    page: DemoServer, small: World, tmp_path: Path
) -> None:
    pipeline = new_pipeline(tmp_path)
    source = source_of(page)
    page.settings.tokens = {ADMIN: set()}
    pipeline.run(source)
    page.settings.tokens = {ADMIN: {"*"}}
    pipeline.run(source)
    small.delete("subscribers", 1)

    pipeline.run(source)

    assert counts(tmp_path / "cachet.duckdb")["subscribers"] == 2


# Refreshed


@pytest.mark.parametrize("refresh", ["drop_sources", "drop_resources", "drop_data"])
def test_a_refreshed_load_reads_all_points_again_and_loses_none(
    refresh: Any, served: Served, page: DemoServer, loaded: dict[str, int], tmp_path: Path
) -> None:
    new_pipeline(tmp_path).run(source_of(page), refresh=refresh)

    assert loaded["metric_points"] == 2 * POINTS
    assert counts(tmp_path / "cachet.duckdb") == loaded
    assert point_pages(asked(page)) == point_pages(served.paths)


@pytest.mark.parametrize("refresh", ["drop_resources", pytest.param("drop_data", marks=pytest.mark.slow)])
def test_a_refresh_of_one_resource_reads_it_anew_and_leaves_the_others(
    refresh: Any, page: DemoServer, loaded: dict[str, int], tmp_path: Path
) -> None:
    new_pipeline(tmp_path).run(source_of(page).with_resources("system_status"), refresh=refresh)
    asked(page)
    new_pipeline(tmp_path).run(source_of(page))

    assert counts(tmp_path / "cachet.duckdb") == loaded
    assert point_pages(asked(page)) == 2, "points are read on from where they ended"


def test_a_refresh_where_dlt_has_forgotten_its_folder_loses_nothing(
    page: DemoServer, loaded: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / "pipelines").rename(tmp_path / "lost")

    new_pipeline(tmp_path).run(source_of(page), refresh="drop_sources")

    assert counts(tmp_path / "cachet.duckdb") == loaded


# Run again


def test_a_source_that_is_kept_reads_again_each_time_it_is_run(
    page: DemoServer, small: World, tmp_path: Path
) -> None:
    source = source_of(page)
    pipeline = new_pipeline(tmp_path)
    pipeline.run(source)
    before, paths = counts(tmp_path / "cachet.duckdb"), asked(page)
    small.update("incidents", 1, name="Renamed since")
    small.delete("subscribers", 1)

    pipeline.run(source)

    # Once a run, though several resources share an endpoint; three pages at most tell who was hit how badly.
    for path, most in {"/api/incidents": 4, "/api/schedules": 4, "/api/version": 1}.items():
        assert 1 <= paths[path] <= most
        assert 1 <= page.paths[path] <= most
    # Observations are added only where something changed.
    assert (before["system_status"], before["versions"]) == (1, 1)
    after = counts(tmp_path / "cachet.duckdb")
    assert after == before | {"subscribers": 2, "subscriber_components": after["subscriber_components"]}
    with duckdb.connect(str(tmp_path / "cachet.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT name FROM cachet_data.incidents WHERE id = 1").fetchall()
    assert found == [("Renamed since",)]


def test_iterating_over_the_source_reads_the_page_whatever_was_loaded_before(
    page: DemoServer, small: World, tmp_path: Path
) -> None:
    source = source_of(page).with_resources("incidents", "metric_points")
    new_pipeline(tmp_path).run(source)

    points = {row["id"] for row in source_of(page).metric_points}
    first = [row["name"] for row in source.incidents]
    small.update("incidents", 1, name="Renamed since")
    second = [row["name"] for row in source.incidents]

    assert len(points) == 2 * POINTS
    assert [name for name in second if name not in first] == ["Renamed since"]


# In parts


def test_only_what_the_selected_resources_need_is_asked_for(page: DemoServer, tmp_path: Path) -> None:
    source = source_of(page).with_resources("incidents", "components_groups")
    new_pipeline(tmp_path).run(source)

    assert sorted(source.selected_resources) == ["components_groups", "incidents"]
    assert counts(tmp_path / "cachet.duckdb") == {"incidents": 5, "components_groups": 1}
    # The token is proven by subscribers.
    assert asked(page).keys() == {
        "/api/version",
        "/api/subscribers",
        "/api/incidents",
        "/api/component-groups",
    }


def test_a_resource_that_is_deselected_is_left_out(page: DemoServer, tmp_path: Path) -> None:
    source = source_of(page)
    source.resources["metric_points"].selected = False
    source.resources["subscribers"].selected = False

    new_pipeline(tmp_path).run(source)

    assert counts(tmp_path / "cachet.duckdb").keys() == TABLES.keys() - {"metric_points", "subscribers"}
    assert point_pages(asked(page)) == 0


def test_a_resource_can_be_run_alone(page: DemoServer, tmp_path: Path) -> None:
    new_pipeline(tmp_path).run(source_of(page).incidents)

    assert counts(tmp_path / "cachet.duckdb") == {"incidents": 5}


def test_a_limited_source_loads_something_of_each_resource_and_the_next_load_the_rest(
    page: DemoServer, tmp_path: Path
) -> None:
    new_pipeline(tmp_path).run(source_of(page).add_limit(1))
    limited = counts(tmp_path / "cachet.duckdb")
    new_pipeline(tmp_path).run(source_of(page).with_resources("metric_points"))

    whole = counts(tmp_path / "cachet.duckdb")
    assert limited.keys() == whole.keys() == TABLES.keys()
    assert 0 < limited["metric_points"] <= whole["metric_points"] == 2 * POINTS
    assert limited["incidents"] == whole["incidents"]


def test_resources_extracted_in_threads_load_the_same(
    page: DemoServer, loaded: dict[str, int], tmp_path: Path
) -> None:
    new_pipeline(tmp_path).run(source_of(page, api_key=None).parallelize())

    assert counts(tmp_path / "cachet.duckdb") == loaded
    # The list, and three pages at most that tell who was hit how badly.
    assert asked(page)["/api/incidents"] <= 4


def test_a_write_disposition_of_the_run_s_own_is_taken(page: DemoServer, tmp_path: Path) -> None:
    for _ in range(2):
        new_pipeline(tmp_path).run(source_of(page).with_resources("incidents"), write_disposition="append")

    assert counts(tmp_path / "cachet.duckdb") == {"incidents": 10}


def test_maps_filters_and_transformers_get_rows(page: DemoServer, tmp_path: Path) -> None:
    source = source_of(page).with_resources("incidents", "components", "metric_points")
    source.incidents.add_map(lambda row: {**row, "name": row["name"].upper()})
    source.metric_points.add_filter(lambda row: row["metric_id"] == 1)

    @dlt.transformer(data_from=source.components)
    def component_names(rows: Any) -> Any:
        yield [{"name": row["name"]} for row in rows]

    new_pipeline(tmp_path).run([source, component_names])

    with duckdb.connect(str(tmp_path / "cachet.duckdb"), read_only=True) as connection:
        names = connection.execute("SELECT name FROM cachet_data.incidents").fetchall()
        points = connection.execute(
            "SELECT metric_id, count(*) FROM cachet_data.metric_points GROUP BY 1"
        ).fetchall()
        components = connection.execute("SELECT count(name) FROM cachet_data.component_names").fetchall()
    assert all(name == name.upper() for (name,) in names)
    assert (len(names), points, components) == (5, [(1, POINTS)], [(3,)])


def test_a_map_of_what_is_empty_or_not_shown_loads_nothing(serve: Serve, tmp_path: Path) -> None:
    source = cachet_source(
        base_url=serve(World.generate(incidents=1, metrics=1, points=0, subscribers=2)).url
    )
    source = source.with_resources("subscribers", "metric_points")
    source.metric_points.add_map(lambda row: {**row, "value": 0})

    @dlt.transformer(data_from=source.subscribers)
    def domains(rows: Any) -> Any:
        yield [{"domain": row["email"].partition("@")[2]} for row in rows]

    new_pipeline(tmp_path).run([source, domains])

    assert counts(tmp_path / "cachet.duckdb") == {"subscribers": 0}


# Pipelines


@pytest.mark.slow
def test_a_pipeline_in_dev_mode_loads_everything_into_each_of_its_datasets(
    page: DemoServer, tmp_path: Path
) -> None:
    datasets: list[str] = []
    for _ in range(2):
        pipeline = dlt.pipeline(
            "cachet_in_dev",
            pipelines_dir=str(tmp_path / "pipelines"),
            destination=dlt.destinations.duckdb(str(tmp_path / "cachet.duckdb")),
            dataset_name=f"cachet_data_{len(datasets)}",
            dev_mode=True,
        )
        pipeline.run(source_of(page))
        datasets.append(pipeline.dataset_name)
        found = pipeline.dataset().row_counts(table_names=["metric_points", "versions"]).fetchall()
        assert found == [("metric_points", 2 * POINTS), ("versions", 1)]

    assert len(set(datasets)) == 2


def test_a_pipeline_without_a_destination_extracts_everything(page: DemoServer, tmp_path: Path) -> None:
    pipeline = dlt.pipeline("cachet_extracted", pipelines_dir=str(tmp_path / "pipelines"))

    info = pipeline.extract(source_of(page))

    metrics = info.metrics[info.loads_ids[0]][0]["table_metrics"]
    assert metrics["metric_points"].items_count == 2 * POINTS
    assert metrics["incidents"].items_count == 5


@pytest.mark.slow
def test_another_process_may_load_into_the_same_file_while_this_one_reads(
    page: DemoServer, tmp_path: Path
) -> None:
    other = f"""
import dlt
from pathlib import Path
from cachet_dagster.source import cachet_source
from cachet_dagster_tests.conftest import new_pipeline
new_pipeline(Path({str(tmp_path)!r}), "another").run(cachet_source(base_url={page.url!r}, api_key={ADMIN!r}))
"""
    ran: list[int] = []

    def while_reading(row: Any) -> Any:
        if not ran:
            ran.append(subprocess.run([sys.executable, "-c", other], timeout=60, check=False).returncode)
        return row

    source = source_of(page)
    source.incidents.add_map(while_reading)
    new_pipeline(tmp_path).run(source)

    new_pipeline(tmp_path / "alone").run(source_of(page))
    alone = counts(tmp_path / "alone" / "cachet.duckdb")
    assert ran == [0]
    # Neither could know of the other's observations.
    assert counts(tmp_path / "cachet.duckdb") == alone | {"system_status": 2, "versions": 2}


def test_a_destination_that_speaks_no_sql_gets_everything_each_time(page: DemoServer, tmp_path: Path) -> None:
    received: Counter[str] = Counter()

    @dlt.destination(batch_size=0, loader_file_format="parquet")
    def elsewhere(file: str, table: Any) -> None:
        import pyarrow.parquet

        received[table["name"]] += pyarrow.parquet.read_metadata(file).num_rows

    for _ in range(2):
        dlt.pipeline(
            "cachet_elsewhere", pipelines_dir=str(tmp_path / "pipelines"), destination=elsewhere
        ).run(source_of(page))

    assert received["metric_points"] == 2 * 2 * POINTS
    assert received["incidents"] == 2 * 5


# Points that a Cachet 2 has no more


def test_most_points_of_a_metric_are_never_deleted_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World.generate(metrics=1, points=40)

    with DemoServer(world, api=2) as server:
        source = cachet_source(base_url=server.url).with_resources("metric_points")
        new_pipeline(tmp_path).run(source)
        for number in world.ids("metric_points")[:30]:
            world.delete("metric_points", number, hard=True)
        new_pipeline(tmp_path).run(source)
        kept = counts(tmp_path / "cachet.duckdb")
        new_pipeline(tmp_path).run(source, refresh="drop_data")

    assert kept == {"metric_points": 40}
    assert "metric 1 has lost 30 of its 40 points, which stay" in caplog.text
    assert counts(tmp_path / "cachet.duckdb") == {"metric_points": 10}


def test_a_table_that_points_are_appended_to_loses_none_of_them(tmp_path: Path) -> None:
    world = World.generate(metrics=1, points=40)

    with DemoServer(world, api=2) as server:
        source = cachet_source(base_url=server.url).with_resources("metric_points")
        new_pipeline(tmp_path).run(source, write_disposition="append")
        world.delete("metric_points", 7, hard=True)
        new_pipeline(tmp_path).run(source, write_disposition="append")

    assert counts(tmp_path / "cachet.duckdb") == {"metric_points": 79}
