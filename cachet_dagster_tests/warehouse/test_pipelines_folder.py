"""What is published in dlt's own pipelines folder replaces what was published there, and nothing of anybody's.

Each test has a pipeline of its own name: one that loads in a folder of its own and is published, and somebody's
in dlt's folder.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import dlt
import pytest
from dlt.common.pipeline import get_dlt_pipelines_dir

from cachet_dagster.warehouse.pipelines_folder import publish

WARNING = "belongs to another pipeline of that name, and is left as it is"


@pytest.fixture
def name() -> str:
    """Return a pipeline's name that no other test uses."""
    return f"pipeline_{uuid.uuid4().hex}"


def pipeline_of(name: str, folder: Path, pipelines: Path | None = None) -> dlt.Pipeline:
    """Return a pipeline into a database of its own, in dlt's pipelines folder unless another is given."""
    folder.mkdir(exist_ok=True)
    return dlt.pipeline(
        name,
        pipelines_dir=str(pipelines) if pipelines else None,
        destination=dlt.destinations.duckdb(destination_name="store", local_dir=str(folder)),
        dataset_name="rows",
    )


def load_and_publish(name: str, folder: Path, table: str) -> None:
    """Load a table in a folder of its own, as a run under Dagster does, and publish the load."""
    loading = pipeline_of(name, folder, folder / "run")
    # Or dlt looks for the database in the folder that it is read from.
    loading.set_local_state_val("initial_cwd", str(folder))
    loading.extract([{"id": 1}], table_name=table)
    loading.normalize()
    loading.load()
    loading.deactivate()
    publish(Path(loading.working_dir))


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return each file in a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def published(name: str) -> Path:
    return Path(get_dlt_pipelines_dir()) / name


def extracts(name: str, folder: Path) -> None:
    pipeline_of(name, folder).extract([{"id": 7}], table_name="theirs")


def normalizes(name: str, folder: Path) -> None:
    extracts(name, folder)
    pipeline_of(name, folder).normalize()


def runs(name: str, folder: Path) -> None:
    pipeline_of(name, folder).run([{"id": 7}], table_name="theirs")


def is_made(name: str, folder: Path) -> None:
    pipeline_of(name, folder).activate()


@pytest.mark.parametrize(
    ("when", "theirs"),
    [
        ("before", is_made),
        *((when, theirs) for when in ("before", "after") for theirs in (extracts, normalizes, runs)),
    ],
)
def test_a_pipeline_of_somebody_else_keeps_its_folder_and_its_pending_package(
    name: str,
    when: str,
    theirs: Callable[[str, Path], None],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if when == "after":
        load_and_publish(name, tmp_path / "ours", "first")
    theirs(name, tmp_path / "theirs")
    dlt.pipeline().deactivate()
    before = bytes_of(published(name))

    load_and_publish(name, tmp_path / "ours", "second")

    assert bytes_of(published(name)) == before
    assert [record.getMessage() for record in caplog.records if WARNING in record.getMessage()]
    if theirs in (extracts, normalizes):
        pending = pipeline_of(name, tmp_path / "theirs")
        pending.normalize()
        pending.load()
        assert pending.dataset().row_counts(table_names=["theirs"]).fetchall() == [("theirs", 1)]


def test_a_load_replaces_what_was_published_though_dlt_has_read_it_since(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_and_publish(name, tmp_path / "ours", "first")
    reading = dlt.attach(name)
    reading.sync_destination()
    assert reading.last_trace is not None
    assert len(reading.dataset()["first"].fetchall()) == 1
    reading.deactivate()

    load_and_publish(name, tmp_path / "ours", "second")

    assert "second" in dlt.attach(name).default_schema.tables
    assert WARNING not in caplog.text


def test_a_folder_that_cannot_be_written_only_warns(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published(name).parent.mkdir(parents=True, exist_ok=True)
    published(name).with_name(f"{name}.lock").mkdir()

    load_and_publish(name, tmp_path / "ours", "first")

    assert "dlt's own commands will not see it" in caplog.text
    assert not published(name).exists()
