"""A run that is killed or finds the disk full: the database opens, each table is whole, the next run is right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source import TABLES, table_resource
from cachet_dagster.warehouse import DuckDBWarehouse, LoadFailed, load

from .children import Child, load_tables
from .comparing import REPLACED, differences, rows
from .proofs import a_page, killed_point_loads, killed_table_loads


@pytest.mark.slow
def test_a_load_killed_at_any_stage_leaves_each_table_before_or_after_and_the_next_run_ends_with_the_truth(
    tmp_path: Path,
) -> None:
    counted = killed_table_loads(tmp_path, 2)

    assert counted["survived"] == counted["kills"] == 2
    assert counted["differences"] == 0


@pytest.mark.slow
def test_points_killed_while_they_are_loaded_go_on_where_the_database_ends(tmp_path: Path) -> None:
    counted = killed_point_loads(tmp_path, 2, points=10_000, step_rows=2_000)

    assert counted["survived"] == counted["kills"] == 2
    assert counted["differences"] == 0


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Return a database that was loaded once, and the port of its page."""
    path = tmp_path_factory.mktemp("loaded") / "cachet.duckdb"
    with DemoServer(a_page("old")) as server:
        assert Child(load_tables, path, server.url).result() == []
    return path, server.port


def a_long_page() -> World:
    """Return a page whose incidents take more room than the disk will have."""
    world = World.generate(
        incidents=50, components=50, groups=3, metrics=3, updates=1, subscribers=30, schedules=12, templates=3
    )
    for row in world.rows("incidents"):
        message = random.Random(row["id"]).randbytes(60_000).hex()
        world.update("incidents", row["id"], message=message)
    return world


@pytest.mark.parametrize("room", ["for nothing", pytest.param("for a part", marks=pytest.mark.slow)])
def test_a_full_disk_is_said_in_words_and_costs_no_table(
    loaded: tuple[Path, int], tmp_path: Path, room: str
) -> None:
    before, port = loaded
    path = tmp_path / "cachet.duckdb"
    path.write_bytes(before.read_bytes())
    limit = 20_000 if room == "for nothing" else path.stat().st_size + 1_000_000

    with DemoServer(a_long_page(), port=port) as server:
        (said,) = Child(load_tables, path, server.url, file_limit=limit).result()

        assert "The disk is full: make room, then run again." in said
        assert "Each table is whole" in said
        assert "pending" not in said
        assert "Traceback" not in said
        assert differences(path, before, "incidents") == 0
        if room == "for nothing":
            assert [table for table in REPLACED if differences(path, before, table)] == []

        assert Child(load_tables, path, server.url).result() == []
        assert rows(path, "incidents") == 50
        assert not list(tmp_path.glob("*.load-*"))


def test_a_folder_that_a_killed_run_left_is_removed_by_the_next_load(tmp_path: Path) -> None:
    (left := tmp_path / "cachet.duckdb.load-left").mkdir()
    (left / "rows.parquet").write_bytes(b"...")

    load(
        DuckDBWarehouse(tmp_path / "cachet.duckdb"),
        [table_resource(TABLES["components_groups"], lambda: [{"id": 1}])],
    )

    assert sorted(path.name for path in tmp_path.iterdir()) == ["cachet.duckdb", "cachet.duckdb.lock"]


def test_a_table_that_cannot_be_filled_is_not_emptied_either(tmp_path: Path) -> None:
    database = DuckDBWarehouse(tmp_path / "cachet.duckdb")
    link = {"incident_id": 1, "component_id": 1, "component_name": "kept"}
    load(database, [table_resource(TABLES["incident_components"], lambda: [link])])
    with database.writing() as connection:
        assert connection is not None
        connection.execute("USE cachet_data; ALTER TABLE incident_components RENAME TO before")
        columns = ", ".join(
            f'"{name}" {kind}'
            for name, kind in connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'before'"
            ).fetchall()
        )
        connection.execute(f"CREATE TABLE incident_components ({columns}, CHECK (component_id < 100))")
        connection.execute("INSERT INTO incident_components FROM before; DROP TABLE before")

    refused = {**link, "component_id": 100, "component_name": "refused"}
    with pytest.raises(LoadFailed, match=r"failed at load .*CHECK constraint"):
        load(database, [table_resource(TABLES["incident_components"], lambda: [refused])])

    with database.reading() as opened:
        found = opened("incident_components", "SELECT component_name FROM {table}")
    assert found == [{"component_name": "kept"}]
