"""The notebook runs from top to bottom over a database on disk, and leaves it free for others."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb
import pytest

from cachet_dagster.analytics.build import build_models
from cachet_dagster.analytics.model_settings import ModelSettings
from cachet_dagster.warehouse.duckdb_session import DuckDBSession
from cachet_dagster_tests.analytics.pages import DATASET, arrow
from cachet_dagster_tests.cli.commands import PROJECT
from cachet_dagster_tests.truth import RECORDED_AT, tables

pytest.importorskip("marimo", reason="the extra `show` brings marimo")

pytestmark = pytest.mark.slow


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cachet.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"SET TimeZone = 'UTC'; CREATE SCHEMA {DATASET}")
        for name, rows in tables("admin").items():
            connection.register("given", arrow(name, rows))
            connection.execute(f'CREATE TABLE {DATASET}."{name}" AS SELECT * FROM given')
        build_models(DuckDBSession(connection, DATASET), DATASET, settings=ModelSettings(as_of=RECORDED_AT))
    monkeypatch.setenv("CACHET_DATABASE", str(path))
    return path


def test_the_notebook_shows_a_component_its_days_and_its_incidents_and_closes_the_database(database: Path):
    found = importlib.util.spec_from_file_location("uptime_notebook", PROJECT / "notebooks" / "uptime.py")
    assert found is not None
    assert found.loader is not None
    notebook = importlib.util.module_from_spec(found)
    found.loader.exec_module(notebook)

    outputs, defined = notebook.app.run()

    assert 0 <= defined["uptime"][0] <= defined["uptime"][1] <= 1
    shown = "".join(getattr(output, "text", "") for output in outputs if output is not None)
    assert defined["bars"].data_url() in shown
    assert defined["calendar"].data_url() in shown
    assert (
        defined["calendar"].title
        == f"Which days hurt {defined['component'].selected_key.rpartition(' (#')[0]}?"
    )
    assert {row["incident_id"] for row in defined["incidents"]} <= {
        row["id"] for row in tables("admin")["incidents"]
    }
    # A writer has its turn at once.
    duckdb.connect(str(database)).close()
