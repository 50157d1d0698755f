"""Tables reach dlt as Arrow: the same rows, columns and hints as from dictionaries, which an older version sent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest

from cachet_dagster.source import TABLES, arrow, table_resource
from cachet_dagster.source.rows import Row
from cachet_dagster_tests.conftest import new_pipeline

AT = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
GROUPS = TABLES["components_groups"]


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


def load_dictionaries(pipeline: dlt.Pipeline, rows: Sequence[Row]) -> None:
    """Load rows as the first version did."""
    resource = dlt.resource(
        lambda: iter([[dict(row) for row in rows]]),
        name=GROUPS.name,
        primary_key=GROUPS.key,
        columns=GROUPS.hints(),
        write_disposition="replace",
        max_table_nesting=0,
    )
    pipeline.run(resource).raise_on_failed_jobs()


def stored(pipeline: dlt.Pipeline) -> list[Row]:
    with (
        pipeline.sql_client() as client,
        client.execute_query("SELECT * FROM components_groups ORDER BY id") as rows,
    ):
        names = [column[0] for column in rows.description]
        return [dict(zip(names, values, strict=True)) for values in rows.fetchall()]


def own(rows: Sequence[Row]) -> list[Row]:
    """Return rows without dlt's columns."""
    return [{name: value for name, value in row.items() if not name.startswith("_dlt_")} for row in rows]


def columns(pipeline: dlt.Pipeline) -> dict[str, Any]:
    return {
        name: {hint: value for hint, value in column.items() if hint not in ("description", "precision")}
        for name, column in pipeline.default_schema.get_table_columns("components_groups").items()
    }


@pytest.mark.parametrize("file_format", [None, "parquet", "insert_values", "jsonl"])
def test_rows_are_those_that_dictionaries_give_in_every_format(tmp_path: Path, file_format: Any) -> None:
    rows = [group(1), group(2, name=None, meta=None), group(3, name="ünïcode ☃ \"'")]
    plain, fast = new_pipeline(tmp_path / "plain", "plain"), new_pipeline(tmp_path / "fast", "fast")
    load_dictionaries(plain, rows)

    load(fast, rows, file_format)

    assert own(stored(fast)) == own(stored(plain))
    assert columns(fast) == columns(plain)


def test_each_row_has_an_id_of_its_own_and_the_load_that_brought_it(pipeline: dlt.Pipeline) -> None:
    load_id = load(pipeline, [group(number) for number in range(50)])

    rows = stored(pipeline)
    assert {row["_dlt_load_id"] for row in rows} == {load_id}
    assert len({row["_dlt_id"] for row in rows}) == 50


def test_a_table_of_an_older_version_is_loaded_on(pipeline: dlt.Pipeline) -> None:
    load_dictionaries(pipeline, [group(1), group(2)])
    before = columns(pipeline)

    load(pipeline, [group(2, name="Another"), group(3)])

    assert [(row["id"], row["name"]) for row in stored(pipeline)] == [(2, "Another"), (3, "Group 3")]
    assert columns(pipeline) == before


@pytest.mark.parametrize(
    "odd", [{"colour": "blue"}, {"order": "first"}, {"order": str(2**63)}, {"meta": "text"}]
)
def test_a_row_with_more_than_is_declared_loses_nothing_and_costs_no_other_its_way(
    tmp_path: Path, odd: Row
) -> None:
    rows = [group(1), group(2, **odd), group(3)]
    plain, fast = new_pipeline(tmp_path / "plain", "plain"), new_pipeline(tmp_path / "fast", "fast")
    load_dictionaries(plain, [arrow.fitted(row, GROUPS) for row in rows])
    tables, lists = split(arrow.items_of(rows, GROUPS, "1"))

    load(fast, rows)

    assert own(stored(fast)) == own(stored(plain))
    assert [table.column("id").to_pylist() for table in tables] == [[1, 3]]
    assert [[row["id"] for row in items] for items in lists] == [[2]]


def split(items: Any) -> tuple[list[pa.Table], list[list[Row]]]:
    found = [*items]
    return [item for item in found if isinstance(item, pa.Table)], [
        item for item in found if isinstance(item, list)
    ]


def test_dlt_warns_of_nothing(pipeline: dlt.Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    dlt_log = logging.getLogger("dlt")
    dlt_log.addHandler(caplog.handler)
    try:
        load(pipeline, [group(1)])
        load(pipeline, [group(1), group(2)])
    finally:
        dlt_log.removeHandler(caplog.handler)

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_outside_of_a_pipeline_the_resource_gives_dictionaries() -> None:
    rows = [group(1)]

    assert [*table_resource(GROUPS, lambda: rows)] == rows
