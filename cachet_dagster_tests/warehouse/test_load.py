"""Packages that one run loads through one pipeline: what is left between them, and what other runs do meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.extract import DltResource

from cachet_dagster.source import metric_points_resource
from cachet_dagster.source.points.columns import SCHEMA
from cachet_dagster.warehouse import load
from cachet_dagster.warehouse.load import Loader, LoadFailed

from .places import Place, make_place


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return make_place(request, tmp_path)


def points(*ids: int, **columns: Any) -> list[DltResource]:
    """Return points with a value in each of these columns, beside those that every point has."""
    given = pa.table(
        {
            "id": ids,
            "metric_id": [1] * len(ids),
            **{name: [value] * len(ids) for name, value in columns.items()},
        }
    )
    return [metric_points_resource(lambda: iter([given.cast(_schema(given))]))]


def _schema(table: pa.Table) -> pa.Schema:
    return pa.schema([SCHEMA.field(at.name) if at.name in SCHEMA.names else at for at in table.schema])


def published_columns(place: Place) -> set[str]:
    """Return the columns of points that dlt's own commands see."""
    name = place.warehouse().pipeline_name
    stored = Path(get_dlt_pipelines_dir(), name, "schemas", f"{name}.schema.json")
    return set(json.loads(stored.read_text())["tables"]["metric_points"]["columns"])


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.parquet") if path.is_file())


def test_what_is_loaded_leaves_no_file_while_the_run_goes_on(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a SQL warehouse keeps a run's folder; DuckDB's lies beside its file, in the same folder here.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Loader(place.warehouse()) as loader:
        for number in (1, 2, 3):
            loader.load(points(number, value=1.0))
            assert not list(files(tmp_path))

    assert place.rows("metric_points", "id, value") == [(1, 1.0), (2, 1.0), (3, 1.0)]


def test_a_column_that_another_run_adds_meanwhile_is_known_to_the_next_package(place: Place) -> None:
    with Loader(place.warehouse()) as loader:
        loader.load(points(1, value=1.0))
        load(place.warehouse(), points(2, theirs="theirs"))
        loader.load(points(3, ours=3))

        assert {"theirs", "ours"} <= published_columns(place)
    # Whoever comes next finds the columns of both, each of its type.
    load(place.warehouse(), points(4, ours=4, theirs="four"))

    rows = place.rows("metric_points", "id, theirs, ours")
    assert rows == [(1, None, None), (2, "theirs", None), (3, None, 3), (4, "four", 4)]
    with place.warehouse().reading() as session:
        found = session("_dlt_version", "SELECT schema FROM {table} ORDER BY inserted_at DESC LIMIT 1")
    assert found
    newest = json.loads(found[0]["schema"])["tables"]["metric_points"]["columns"]
    assert {"theirs", "ours"} <= newest.keys()


def test_after_a_package_that_fails_the_next_one_is_loaded_alone(place: Place) -> None:
    with Loader(place.warehouse()) as loader:
        loader.load(points(1, value=1.0))
        with place.warehouse().writing() as session:
            session.execute(f"CREATE UNIQUE INDEX one_value ON {session.table('metric_points')} (value)")
        with pytest.raises(LoadFailed, match="at load"):
            loader.load(points(2, value=1.0))
        with place.warehouse().writing() as session:
            session.execute(f'DROP INDEX "{session.dataset}".one_value')
        loader.load(points(3, value=3.0))

    assert place.rows("metric_points", "id, value") == [(1, 1.0), (3, 3.0)]
