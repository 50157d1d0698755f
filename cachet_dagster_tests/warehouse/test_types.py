"""Every column has a type that each destination takes in the format that it is loaded by; no server is asked."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import dlt
import pyarrow.parquet as pq
import pytest
from dlt.common.destination import Destination
from dlt.common.destination.utils import prepare_load_table, verify_supported_data_types
from dlt.common.storages.load_package import ParsedLoadJobFileName

from cachet_dagster.analytics import HISTORY
from cachet_dagster.source import TABLES, metric_points_resource, table_resource
from cachet_dagster.source.destinations import DESTINATIONS
from cachet_dagster.source.points.columns import SCHEMA
from cachet_dagster.source.rows import Row
from cachet_dagster.source.tables import Table

NAMES = [name for name, strategy in DESTINATIONS.items() if not strategy.table_format]
JSON = {"owner": 'team "a"', "nested": [1, None, {"é": "it's \\n"}]}
VALUES: dict[str, Any] = {
    "bigint": 1,
    "text": 'it\'s "quoted"',
    "bool": True,
    "double": 0.5,
    "timestamp": datetime(2026, 11, 1, 12, tzinfo=timezone.utc),
    "date": date(2026, 11, 1),
    "json": JSON,
}
LISTED = [table for name, table in TABLES.items() if name != "metric_points"]


def row(table: Table) -> Row:
    return {column.name: VALUES[column.data_type] for column in table.columns}


def resources() -> list[Any]:
    points = SCHEMA.empty_table().from_pylist([row(TABLES["metric_points"])], schema=SCHEMA)
    return [
        *(table_resource(table, lambda table=table: [row(table)]) for table in LISTED),
        metric_points_resource(lambda: iter([points])),
    ]


@pytest.fixture(params=NAMES)
def package(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dlt.Pipeline, list[Path]]:
    """A package with a row of each table, as dlt would load it into a destination, and its files."""
    monkeypatch.setenv("DATA_WRITER__DISABLE_COMPRESSION", "true")
    # dlt's libraries of a destination are taken only where it connects.
    pipeline = dlt.pipeline("p", pipelines_dir=str(tmp_path), destination=request.param, dataset_name="d")
    pipeline.extract(resources(), loader_file_format=DESTINATIONS[request.param].file_format)
    pipeline.normalize()
    return pipeline, [*Path(pipeline.working_dir, "load", "normalized").glob("*/new_jobs/*")]


def test_every_column_of_every_file_is_of_a_type_that_the_destination_takes(
    package: tuple[dlt.Pipeline, list[Path]],
) -> None:
    pipeline, files = package
    assert isinstance(pipeline.destination, Destination)
    can, schema = pipeline.destination.capabilities(), pipeline.default_schema
    jobs = [ParsedLoadJobFileName.parse(file.name) for file in files]
    tables: Any = [prepare_load_table(schema.tables, schema.tables[job.table_name], can) for job in jobs]
    for table in tables:
        # Databricks' client adds it.
        table["x-insert-api"] = "copy_into"

    assert {job.table_name for job in jobs} >= TABLES.keys()
    assert verify_supported_data_types(tables, jobs, can, pipeline.destination.destination_type) == []
    for declared in [*TABLES.values(), *HISTORY.values()]:
        for column in declared.columns:
            described: Any = {"name": column.name, "data_type": column.data_type}
            assert can.get_type_mapper().to_destination_type(described, tables[0])


def test_json_is_handed_over_as_json_and_not_as_a_text_in_quotes(
    package: tuple[dlt.Pipeline, list[Path]],
) -> None:
    _, files = package
    (file,) = [file for file in files if file.name.startswith("components.")]

    if file.suffix == ".parquet":
        # Where parquet is taken, JSON is text: these destinations read it as such.
        (meta,) = pq.read_table(file).column("meta").to_pylist()
        assert json.loads(meta) == JSON
    elif file.suffix == ".jsonl":
        assert json.loads(file.read_text())["meta"] == JSON
    else:
        assert "json_parse(" in file.read_text().lower()
