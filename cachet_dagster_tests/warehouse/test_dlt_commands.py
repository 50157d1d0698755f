"""What dlt's own commands and the public recipe's snippets see of the last load, from any folder and process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dlt
import pytest
from dlt.common.pipeline import get_dlt_pipelines_dir

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source import TABLES, table_resource
from cachet_dagster.warehouse import DuckDBWarehouse, load

from .children import load_tables


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database into which two runs have loaded, the first of which found leftovers of a killed one."""
    path = tmp_path_factory.mktemp("project") / "cachet.duckdb"
    left = Path(get_dlt_pipelines_dir()) / ".cachet_pipeline-left"
    left.mkdir(parents=True)
    with DemoServer(World.generate(incidents=7, components=2)) as server:
        assert load_tables(path, server.url) == []
        assert load_tables(path, server.url) == []
    return path


def elsewhere(tmp_path: Path, *command: str) -> str:
    """Run a command in an empty folder, which has to stay empty, and return what it prints."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [], "something was made where the command was run"
    return done.stdout


def test_the_public_recipes_snippet_finds_the_rows_from_another_folder(loaded: Path, tmp_path: Path) -> None:
    snippet = "import dlt; print(len(dlt.pipeline('cachet_pipeline').dataset().incidents.df()))"

    assert elsewhere(tmp_path, sys.executable, "-c", snippet).strip() == "7"


@pytest.mark.slow
def test_dlts_commands_tell_of_the_last_load_from_another_folder(loaded: Path, tmp_path: Path) -> None:
    command = str(Path(sys.executable).with_name("dlt"))

    assert "dataset_name: cachet_data" in elsewhere(tmp_path, command, "pipeline", "cachet_pipeline", "info")
    trace = elsewhere(tmp_path, command, "pipeline", "cachet_pipeline", "trace")
    assert "Step load COMPLETED" in trace
    assert str(loaded) in trace


def test_what_is_published_is_the_last_load_and_nothing_beside_it(loaded: Path) -> None:
    pipelines = Path(get_dlt_pipelines_dir())

    assert sorted(path.name for path in pipelines.iterdir() if "cachet_pipeline" in path.name) == [
        "cachet_pipeline",
        "cachet_pipeline.lock",
    ]
    assert sorted(path.name for path in (pipelines / "cachet_pipeline").iterdir()) == [
        "published-by-cachet_dagster",
        "schemas",
        "state.json",
        "trace.pickle",
    ]


def test_nothing_of_a_load_lies_beside_the_database_or_in_it_twice(loaded: Path) -> None:
    beside = {path.name for path in loaded.parent.iterdir()}
    assert beside <= {"cachet.duckdb", "cachet.duckdb.lock", "cachet.duckdb.cachet_metric_id.lock"}
    with DuckDBWarehouse(loaded).reading() as opened:
        schemas = opened.execute("SELECT DISTINCT schema_name FROM duckdb_tables()").fetchall()
    assert schemas == [("cachet_data",)]


def test_the_oldest_records_of_loads_go_and_dlt_still_finds_its_state(tmp_path: Path) -> None:
    database = DuckDBWarehouse(tmp_path / "cachet.duckdb", keep_loads=2)
    for number in range(5):
        load(database, [table_resource(TABLES["components_groups"], lambda number=number: [{"id": number}])])

    with database.reading() as opened:
        query = opened
        # Two, and the one that brought dlt's state.
        assert query("_dlt_loads", "SELECT count(*) AS n FROM {table}") == [{"n": 3}]
        assert query("components_groups", "SELECT id FROM {table}") == [{"id": 4}]
    synced = dlt.pipeline(
        "cachet_pipeline",
        pipelines_dir=str(tmp_path / "pipelines"),
        destination=dlt.destinations.duckdb(str(database.path)),
        dataset_name="cachet_data",
    )
    synced.sync_destination()
    assert synced.default_schema_name == "cachet_pipeline"
