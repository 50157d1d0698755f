"""What strangers can write on a status page: it lands as it is, and does nothing."""

from __future__ import annotations

from pathlib import Path

import duckdb

from cachet_dagster.analytics import HISTORY
from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source import TABLES
from cachet_dagster.source.identity import IDENTITY

from .children import load_all, load_tables

HOSTILE = [
    '"; DROP TABLE cachet_data.components; --',
    "'); DROP SCHEMA cachet_data CASCADE; --",
    "<script>alert(1)</script>",
    "| a | b |\n|---|---|",
    "[x](javascript:alert(1)) `{table}` {0} %s ? $1",
    "../../../../etc/passwd",
    "\u202egnp.exe \u200b\ufeff \U0001f9e8 e\u0301 \u0130\u0131 \x1b[31m \r\n\t",
    "NULL",
    "nan",
    "",
    "x" * 1_000_000,
]


def test_names_and_messages_land_as_they_are_and_do_nothing(tmp_path: Path) -> None:
    world = World.generate(incidents=len(HOSTILE), components=len(HOSTILE), metrics=1, points=1)
    for number, text in enumerate(HOSTILE, 1):
        world.update("components", number, name=text, description=text)
        world.update("incidents", number, name=text[:200], message=text)
    world.update("metrics", 1, name=HOSTILE[0], suffix=HOSTILE[2])

    path = tmp_path / "cachet.duckdb"
    with DemoServer(world) as server:
        assert load_all(path, server.url, checks=True) == []
        # What is stored is compared with what is read.
        assert load_all(path, server.url) == []

    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("USE cachet_data")
        names = connection.execute("SELECT name, description FROM components ORDER BY id").fetchall()
        messages = connection.execute("SELECT name, message FROM incidents_by_id ORDER BY id").fetchall()
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert names == [(text, text) for text in HOSTILE]
    assert messages == [(text[:200], text) for text in HOSTILE]
    assert tables == {*TABLES, *HISTORY, IDENTITY.name, "_dlt_loads", "_dlt_pipeline_state", "_dlt_version"}


def test_a_character_that_no_database_can_hold_is_marked_and_nothing_else_is_lost(tmp_path: Path) -> None:
    world = World.generate(components=2)
    world.update("components", 1, name="before\0after")
    path = tmp_path / "cachet.duckdb"

    with DemoServer(world) as server:
        assert load_tables(path, server.url) == []

    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute("SELECT name FROM cachet_data.components ORDER BY id").fetchall()
    assert names == [("before\ufffdafter",), ("Component 2",)]
