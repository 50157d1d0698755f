"""Rows of a table through dlt: the same in each file format, and with tables of an earlier version."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import dlt
import pyarrow as pa
import pytest
from dlt.common.schema.utils import dlt_id_column, dlt_load_id_column

from cachet_dagster.source import TABLES, table_resource
from cachet_dagster.source.rows import Row
from cachet_dagster.source.types import arrow_schema

AT = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
GROUPS = TABLES["components_groups"]
SCHEMA = arrow_schema(GROUPS)
OWN: dict[str, Any] = {"_dlt_load_id": dlt_load_id_column(), "_dlt_id": dlt_id_column()}


def group(number: int, **other: Any) -> Row:
    return {
        "id": number,
        "name": f"Group {number}",
        "visible": 1,
        "meta": {"a": [number]},
        "created_at": AT,
        **other,
    }


def load(pipeline: dlt.Pipeline, rows: Sequence[Row], loader_file_format: Any = None) -> str:
    """Load rows, and return the id of the load."""
    info = pipeline.run(table_resource(GROUPS, lambda: rows), loader_file_format=loader_file_format)
    info.raise_on_failed_jobs()
    return info.loads_ids[0]


def load_arrow(pipeline: dlt.Pipeline, rows: Sequence[Row]) -> None:
    """Load rows as an earlier version did."""
    arrays = [
        pa.array([json.dumps(row["meta"]) if name == "meta" else row.get(name) for row in rows], kind)
        for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
    ]
    own = [pa.array(["1.0"] * len(rows)), pa.array([f"row-{row['id']}" for row in rows])]
    fields = [*SCHEMA, *(pa.field(name, pa.string(), nullable=False) for name in OWN)]
    resource = dlt.resource(
        lambda: iter([pa.table([*arrays, *own], schema=pa.schema(fields))]),
        name=GROUPS.name,
        primary_key=GROUPS.key,
        columns={**GROUPS.hints(), **OWN},
        write_disposition="replace",
    )
    pipeline.run(resource).raise_on_failed_jobs()


def stored(pipeline: dlt.Pipeline) -> list[Row]:
    with (
        pipeline.sql_client() as client,
        client.execute_query("SELECT * FROM components_groups ORDER BY id") as rows,
    ):
        names = [column[0] for column in rows.description]
        return [dict(zip(names, values, strict=True)) for values in rows.fetchall()]


def columns(pipeline: dlt.Pipeline) -> dict[str, Any]:
    return {
        name: {hint: value for hint, value in column.items() if hint not in ("description", "precision")}
        for name, column in pipeline.default_schema.get_table_columns("components_groups").items()
    }


@pytest.mark.parametrize("file_format", [None, "parquet", "insert_values", "jsonl"])
def test_rows_are_the_same_in_every_format(pipeline: dlt.Pipeline, file_format: Any) -> None:
    rows = [group(1), group(2, name=None, meta=None), group(3, name="ünïcode ☃ \"'")]

    load_id = load(pipeline, rows, file_format)

    found = stored(pipeline)
    assert {row["_dlt_load_id"] for row in found} == {load_id}
    assert len({row["_dlt_id"] for row in found}) == 3
    assert [(row["name"], row["created_at"]) for row in found] == [(row["name"], AT) for row in rows]
    metas = [row["meta"] if row["meta"] is None else json.loads(row["meta"]) for row in found]
    assert metas == [row["meta"] for row in rows]


def test_a_table_of_an_older_version_is_loaded_on(pipeline: dlt.Pipeline) -> None:
    load_arrow(pipeline, [group(1), group(2)])
    before = columns(pipeline)

    load(pipeline, [group(2, name="Another"), group(3)])

    assert [(row["id"], row["name"]) for row in stored(pipeline)] == [(2, "Another"), (3, "Group 3")]
    assert columns(pipeline) == before


@pytest.mark.parametrize(
    ("odd", "column"),
    [
        ({"colour": "blue"}, "colour"),
        ({"order": "first"}, "order__v_text"),
        ({"order": str(2**63)}, "order__v_text"),
    ],
)
def test_a_row_with_more_than_is_declared_loses_nothing(
    pipeline: dlt.Pipeline, odd: Row, column: str
) -> None:
    load(pipeline, [group(1), group(2, **odd), group(3)])

    (value,) = odd.values()
    assert [row[column] for row in stored(pipeline)] == [None, str(value), None]


def test_dlt_warns_of_nothing(pipeline: dlt.Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    dlt_log = logging.getLogger("dlt")
    dlt_log.addHandler(caplog.handler)
    try:
        load(pipeline, [group(1)])
        load(pipeline, [group(1), group(2, unforeseen=None)])
    finally:
        dlt_log.removeHandler(caplog.handler)

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_outside_of_a_pipeline_the_resource_gives_dictionaries() -> None:
    rows = [group(1)]

    assert [*table_resource(GROUPS, lambda: rows)] == rows
