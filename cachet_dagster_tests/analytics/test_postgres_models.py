"""PostgreSQL gives the same rows as DuckDB, model by model, from one text of SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from cachet_dagster.analytics import MODELS
from cachet_dagster.analytics.build import build_models
from cachet_dagster.analytics.model_settings import ModelSettings, SloTarget
from cachet_dagster.analytics.model_sql import SOURCES
from cachet_dagster.warehouse import Session, make_warehouse
from cachet_dagster_tests.truth import RECORDED_AT, tables
from cachet_dagster_tests.warehouse.postgres import postgres_server

from .pages import DATASET, Models, Rows, arrow

TYPES = {
    "bigint": "bigint", "text": "text", "bool": "boolean", "double": "double precision",
    "timestamp": "timestamptz", "json": "text",
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "as_of": RECORDED_AT,
    "time_zone": "Europe/Berlin",
    "audience": "all",
    "slo_targets": (SloTarget(0.999), SloTarget(0.9, "page", 0, "strict", 90)),
}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with (
        postgres_server() as server,
        make_warehouse("postgres", credentials=server.create("models")).writing() as opened,
    ):
        yield opened


def fill(session: Session, rows: Rows) -> None:
    session.run(f"CREATE SCHEMA {DATASET}")
    for name, given in rows.items():
        columns = ", ".join(f'"{column.name}" {TYPES[column.data_type]}' for column in SOURCES[name].columns)
        session.run(f'CREATE TABLE {DATASET}."{name}" ({columns})')
        session.write(f'{DATASET}."{name}"', arrow(name, given))


def ordered(name: str) -> str:
    columns = ", ".join(f'"{column.name}"' for column in MODELS[name].columns)
    keys = ", ".join(f'"{column}" NULLS FIRST' for column in MODELS[name].key)
    last_days = " WHERE day > '2026-10-15'" if name == "component_uptime_daily" else ""
    return f"SELECT {columns} FROM cachet_analytics.{name}{last_days} ORDER BY {keys}"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
    return one == other


def test_postgres_has_the_same_rows_in_every_model(session):
    rows = {
        name: [
            row
            for row in given
            if row.get("component_id", 0) < 15 and (name != "components" or row["id"] < 15)
        ]
        for name, given in tables("admin").items()
    }
    fill(session, rows)

    duckdb = Models(rows, **SETTINGS)
    for _ in range(2):
        # A second build replaces the first.
        built = build_models(session, DATASET, settings=ModelSettings(**SETTINGS))

    assert built.rows == duckdb.built.rows
    for name in MODELS:
        expected = duckdb.connection.execute(ordered(name)).fetchall()
        actual = session.run(ordered(name))
        odd = [
            (row, other)
            for row, other in zip(expected, actual, strict=True)
            if not all(map(same, row, other))
        ]
        assert odd[:3] == [], name
