"""What strangers can write on a status page: it lands as it is, and does nothing."""

from __future__ import annotations

from pathlib import Path

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source import TABLES
from cachet_dagster_tests.defs.dagster_runs import Project

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

    with DemoServer(world) as server:
        project = Project(tmp_path, server.url, DEMO_TOKEN)
        first, second = project.load_tables(), project.load_tables()
        points = project.load_points()

    assert first.success
    assert second.success
    assert points.success
    assert project.rows("SELECT name, description FROM components ORDER BY id") == [(t, t) for t in HOSTILE]
    assert project.rows("SELECT name, message FROM incidents ORDER BY id") == [(t[:200], t) for t in HOSTILE]
    # `dashboards` is not offered by this server, and made all the same.
    found = {name for (name,) in project.rows("SELECT table_name FROM duckdb_tables()")}
    assert found == {*TABLES, "_dlt_loads", "_dlt_pipeline_state", "_dlt_version"}
    assert sorted(path.name for path in tmp_path.parent.iterdir()) == [tmp_path.name]


def test_what_no_database_can_hold_is_marked_and_nothing_else_is_lost(tmp_path: Path) -> None:
    world = World.generate(components=2)
    world.update("components", 1, name="before\0after", description="lone \ud800 surrogate")

    with DemoServer(world) as server:
        project = Project(tmp_path, server.url, DEMO_TOKEN)
        result = project.load_tables("components")

    assert result.success
    assert project.rows("SELECT name, description FROM components ORDER BY id") == [
        ("before\ufffdafter", "lone \ufffd surrogate"),
        ("Component 2", "What component 2 is for."),
    ]
