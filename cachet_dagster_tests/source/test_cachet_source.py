"""The source in plain dlt: what it loads, cell by cell, and how it is configured."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cachet_dagster.demo import World
from cachet_dagster.source import TABLES, CachetReader, CachetSettings, cachet_source
from cachet_dagster.source.settings import DEFAULT_BASE_URL
from cachet_dagster_tests import recordings, truth
from cachet_dagster_tests.conftest import ADMIN, Serve, new_pipeline, serve_recorded
from cachet_dagster_tests.processes import python

SNAPSHOT = Path(__file__).parent / "snapshots" / "tables.txt"
UPDATE = "UPDATE_SNAPSHOTS"


@dataclass
class Loads:
    """Two loads of the recorded world, one after the other, and what was seen after each."""

    database: Path
    differences: list[list[str]] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    requests: list[dict[str, int]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


def load_twice(folder: Path, caller: truth.Caller) -> Loads:
    loads = Loads(folder / "cachet.duckdb")
    with serve_recorded() as server:
        for _ in range(2):
            server.clear_requests()
            source = cachet_source(base_url=server.url, api_key=ADMIN if caller == "admin" else None)
            new_pipeline(folder).run(source)
            with duckdb.connect(str(loads.database), read_only=True) as connection:
                loads.differences.append(truth.differences(connection, caller))
                loads.counts.append(
                    {
                        table: connection.execute(f"SELECT count(*) FROM cachet_data.{table}").fetchall()[0][
                            0
                        ]
                        for table in TABLES
                    }
                )
            loads.requests.append(dict(server.paths))
        loads.errors = server.errors
    return loads


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Loads:
    return load_twice(tmp_path_factory.mktemp("admin"), "admin")


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Loads:
    return load_twice(tmp_path_factory.mktemp("guest"), "guest")


# The truth itself


def test_every_column_of_the_recorded_database_is_compared_or_named_as_hidden() -> None:
    for table, rows in recordings.world("v3").items():
        shown, hidden = {*truth.SHOWN[table]}, {*truth.HIDDEN.get(table, ())}
        assert shown | hidden == {name for row in rows for name in row}, table
        assert not shown & hidden


@pytest.mark.parametrize("caller", ["admin", "guest"])
def test_the_truth_has_as_many_rows_as_the_real_server_showed(caller: truth.Caller) -> None:
    rows = truth.tables(caller)

    assert {table: len(rows[table]) for table in truth.COUNTS[caller]} == truth.COUNTS[caller]


def test_the_truth_is_what_the_real_server_said_of_every_component_and_link() -> None:
    components = {row["id"]: row for row in truth.tables("admin")["components"]}
    links = {
        (row["incident_id"], row["component_id"]): row["component_status"]
        for row in truth.tables("admin")["incident_components"]
    }
    seen: set[Any] = set()
    for exchange in recordings.exchanges("v3", "bulk"):
        path, _, query = exchange["path"].partition("?")
        parts = path.split("/")[2:]
        if exchange["status"] != 200 or exchange["auth"] != "bearer:admin" or len(parts) != 2:
            continue
        document = exchange["body"]
        if parts[0] == "components":
            attributes = document["data"]["attributes"]
            assert components[attributes["id"]]["latest_status"] == attributes["latest_status"]["value"]
            seen.add(attributes["id"])
        if parts[0] == "incidents" and "components" in query:
            for included in document.get("included", []):
                if included["type"] == "components":
                    status = included["attributes"].get("pivot", {}).get("component_status") or {}
                    key = (int(parts[1]), int(included["id"]))
                    assert links[key] == status.get("value")
                    seen.add(key)

    assert links.keys() <= seen


def test_a_difference_of_one_cell_is_found(admin: Loads, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(admin.database.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("UPDATE cachet_data.metric_points SET value = value + 1e-9 WHERE id = 7")
        connection.execute(
            "UPDATE cachet_data.incidents SET created_at = created_at + INTERVAL 1 HOUR WHERE id = 3"
        )
        connection.execute("DELETE FROM cachet_data.incident_components WHERE incident_id = 3")

        found = truth.differences(connection, "admin")

    assert any(line.startswith("metric_points (7,) value: ") for line in found)
    assert any(line.startswith("incidents (3,) created_at: ") for line in found)
    assert any(line.startswith("incident_components (3, ") and line.endswith("is missing") for line in found)


# What is loaded


def test_an_administrator_s_load_holds_every_cell_that_the_api_shows(admin: Loads) -> None:
    assert admin.differences[0] == []
    assert {table: admin.counts[0][table] for table in truth.COUNTS["admin"]} == truth.COUNTS["admin"]
    assert admin.errors == []


def test_a_guest_s_load_holds_every_public_cell_and_no_other(guest: Loads) -> None:
    assert guest.differences[0] == []
    assert {table: guest.counts[0][table] for table in truth.COUNTS["guest"]} == truth.COUNTS["guest"]
    assert guest.errors == []


def test_a_second_load_duplicates_and_changes_nothing(admin: Loads, guest: Loads) -> None:
    for loads in (admin, guest):
        assert loads.differences[1] == []
        assert loads.counts[1] == loads.counts[0]


def test_a_guest_is_told_why_there_are_no_subscribers(serve: Serve) -> None:
    read = CachetReader(CachetSettings(base_url=serve().url)).read(["subscribers", "components_groups"])

    assert read["components_groups"].outcome == "read"
    assert read["subscribers"].outcome == "refused"
    assert str(read["subscribers"].error) == (
        "subscribers: the server wants an API token. Its tables are unchanged. Set CACHET_API_TOKEN."
    )


def test_the_whole_recorded_world_takes_at_most_150_requests(admin: Loads, guest: Loads) -> None:
    assert sum(admin.requests[0].values()) <= 150
    assert sum(guest.requests[0].values()) <= 150


def test_a_second_load_asks_once_a_page_and_for_two_incidents_by_id(admin: Loads) -> None:
    first, second = admin.requests

    assert len([path for path in second if path.startswith("/api/incidents/")]) == 2
    assert second["/api/incidents"] <= 4 + 9
    assert {n for path, n in second.items() if path.endswith("/points")} == {1}
    assert not [path for path in first.keys() | second.keys() if path.startswith("/api/components/")]


def test_the_tables_are_as_in_the_snapshot(admin: Loads) -> None:
    with duckdb.connect(str(admin.database), read_only=True) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'cachet_data' ORDER BY table_name, ordinal_position"
        ).fetchall()
    lines: list[str] = []
    for table in TABLES:
        lines.append(table)
        lines += [
            f"    {name} {data_type}{'' if nullable == 'YES' else ' NOT NULL'}"
            for its, name, data_type, nullable in columns
            if its == table
        ]
    found = "\n".join(lines) + "\n"
    if os.environ.get(UPDATE):
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(found)

    assert found == SNAPSHOT.read_text(), f"if that is meant, run again with {UPDATE}=1 and commit {SNAPSHOT}"


# How it is configured


def test_without_a_word_it_reads_the_public_demo_of_cachet_3() -> None:
    assert DEFAULT_BASE_URL == "https://v3.cachethq.io/api"
    assert inspect.signature(cachet_source).parameters["base_url"].default == DEFAULT_BASE_URL
    assert CachetSettings().base_url == "https://v3.cachethq.io"


@pytest.fixture
def small() -> World:
    """Return a small page, one of whose three incidents a guest does not see."""
    world = World.generate(incidents=3, components=2, metrics=1, points=3, subscribers=2)
    world.update("incidents", 2, visible=0)
    return world


def test_the_recipe_works_in_another_folder_with_its_secrets_and_can_be_queried_there(
    serve: Serve, small: World, tmp_path: Path
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text(f'[sources.cachet_source]\napi_key = "{ADMIN}"\n')
    load = f"""
import dlt
from cachet_dagster.source import cachet_source
pipeline = dlt.pipeline("cachet_pipeline", destination="duckdb", dataset_name="cachet_data")
pipeline.run(cachet_source(base_url={serve(small).url!r}))
"""
    look = """
import dlt
incidents = dlt.pipeline("cachet_pipeline").dataset().incidents.df()
print(sorted(incidents["id"]), len(dlt.pipeline("cachet_pipeline").dataset().subscribers.df()))
"""

    python(tmp_path, load)

    assert python(tmp_path, look) == "[1, 2, 3] 2\n"


@pytest.mark.parametrize(("token", "ids"), [(ADMIN, [1, 2, 3]), (None, [1, 3])])
def test_the_token_comes_from_the_environment_too(
    serve: Serve, small: World, monkeypatch: pytest.MonkeyPatch, token: str | None, ids: list[int]
) -> None:
    if token:
        monkeypatch.setenv("SOURCES__CACHET_SOURCE__API_KEY", token)

    source = cachet_source(base_url=serve(small).url).with_resources("incidents")

    assert [row["id"] for row in source] == ids


def test_the_source_needs_no_dagster(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["dagster"] = None
import cachet_dagster.source
print(sorted(name for name in sys.modules if name.startswith("dagster") and sys.modules[name]))
"""

    assert python(tmp_path, code) == "[]\n"
