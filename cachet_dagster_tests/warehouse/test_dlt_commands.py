"""What dlt's own commands and the public recipe's snippets see of the last load, from any folder and process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dlt.common.pipeline import get_dlt_pipelines_dir

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.warehouse import Database
from cachet_dagster_tests.defs.dagster_runs import Project


@pytest.fixture
def loaded(tmp_path: Path) -> Project:
    """Return a project whose incidents were loaded."""
    folder = tmp_path / "project"
    folder.mkdir()
    with DemoServer(World.generate(incidents=7, components=2)) as server:
        project = Project(folder, server.url, DEMO_TOKEN)
        assert project.load_tables("incidents", "components").success
    return project


def elsewhere(tmp_path: Path, *command: str) -> str:
    """Run a command in an empty folder, which has to stay empty, and return what it prints."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [], "something was made where the command was run"
    return done.stdout


def test_the_public_recipes_snippet_finds_the_rows_from_another_folder(
    loaded: Project, tmp_path: Path
) -> None:
    snippet = "import dlt; print(len(dlt.pipeline('cachet_pipeline').dataset().incidents.df()))"

    assert elsewhere(tmp_path, sys.executable, "-c", snippet).strip() == "7"


def test_dlts_commands_tell_of_the_last_load_from_another_folder(loaded: Project, tmp_path: Path) -> None:
    dlt = str(Path(sys.executable).with_name("dlt"))

    assert "dataset_name: cachet_data" in elsewhere(tmp_path, dlt, "pipeline", "cachet_pipeline", "info")
    trace = elsewhere(tmp_path, dlt, "pipeline", "cachet_pipeline", "trace")
    assert "Step load COMPLETED" in trace
    assert str(loaded.database) in trace


def test_what_is_published_is_the_last_load_and_nothing_beside_it(loaded: Project) -> None:
    pipelines = Path(get_dlt_pipelines_dir())
    (pipelines / ".cachet_pipeline-left").mkdir()

    with DemoServer(World.generate(incidents=1)) as server:
        loaded.resource.base_url = server.url
        Project.load_tables(loaded, "incidents")

    assert sorted(path.name for path in pipelines.iterdir() if "cachet_pipeline" in path.name) == [
        "cachet_pipeline",
        "cachet_pipeline.lock",
    ]
    assert sorted(path.name for path in (pipelines / "cachet_pipeline").iterdir()) == [
        "schemas",
        "state.json",
        "trace.pickle",
    ]


def test_nothing_of_a_load_lies_beside_the_database_or_in_it_twice(loaded: Project) -> None:
    beside = {path.name for path in loaded.database.parent.iterdir() if path.name.startswith("cachet.duckdb")}
    assert beside <= {"cachet.duckdb", "cachet.duckdb.lock", "cachet.duckdb.partitions.lock"}
    with Database(loaded.database).reading() as opened:
        assert opened is not None
        schemas = opened.execute("SELECT DISTINCT schema_name FROM duckdb_tables()").fetchall()
    assert schemas == [("cachet_data",)]


def test_the_oldest_records_of_loads_go_and_dlt_still_finds_its_state(tmp_path: Path) -> None:
    before = os.environ.get("CACHET_KEEP_LOADS")
    os.environ["CACHET_KEEP_LOADS"] = "2"
    try:
        with DemoServer(World.generate(components=2)) as server:
            project = Project(tmp_path, server.url, DEMO_TOKEN)
            for _ in range(4):
                assert project.load_tables("components_groups").success
    finally:
        os.environ.pop("CACHET_KEEP_LOADS") if before is None else os.environ.update(CACHET_KEEP_LOADS=before)

    # Two, and the one that brought dlt's state.
    assert project.count("_dlt_loads") == 3
    found = project.rows("SELECT count(*) FROM _dlt_pipeline_state JOIN _dlt_loads ON load_id = _dlt_load_id")
    assert found == [(1,)]
