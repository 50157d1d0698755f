"""One status page, served by a Cachet 3 and by a Cachet 2, lands in the same tables.

What differs is listed by name, and why: each is something that Cachet 2 does not keep, does not show, or
shows to more people.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.source import TABLES, cachet_source
from cachet_dagster_tests import recordings
from cachet_dagster_tests.conftest import new_pipeline
from cachet_dagster_tests.truth_cachet2 import KEYS, stored_rows

TOKEN = "one-token"

COLUMNS = {
    "incidents.guid": "Cachet 2 has none",
    "incidents.published_at": "Cachet 2 has none",
    "incident_components.component_status": "Cachet 2 keeps an incident's component, not its status",
    "incident_components.component_status_label": "as its code",
    "incident_components.component_name": "the API of Cachet 2 names only components that it lists",
    "components.status": "Cachet 2 knows no maintenance: it is unknown",
    "components.status_label": "as its code",
    "components.order": "Cachet 2 has 0 where there is none",
    "components.latest_status": "in Cachet 2 nothing but the component's own status is shown",
    "components.latest_status_label": "as its code",
    "components_groups.order_column": "Cachet 2 has none",
    "components_groups.order_direction": "Cachet 2 has none",
    "components_groups.meta": "Cachet 2 has none",
    "metrics.default_value": "Cachet 2's API cuts it to a whole number",
    "schedules.published_at": "Cachet 2 has none",
    "schedules.meta": "Cachet 2 has none",
    "schedule_components.component_status": "Cachet 2 knows no maintenance: it is unknown",
    "schedule_components.component_status_label": "as its code",
    "schedule_components.component_name": "the API of Cachet 2 names only components that it lists",
    "subscribers.meta": "Cachet 2 has none",
    "subscribers.verified_at": "Cachet 2 tells the day only",
    "subscriber_components.component_name": "the API of Cachet 2 names only components that it lists",
    "incident_templates.engine": "Cachet 2 has none",
    "system_status.status": "Cachet 2 counts other components",
    "system_status.message": "as its status",
    "versions.version": "it is another version",
    "versions.api_version": "it is another version",
    **dict.fromkeys(
        (
            *(
                f"{table}.status_source"
                for table in ("incidents", "incident_updates", "components", "schedules")
            ),
            *("schedule_components.component_status_source", "system_status.status_source"),
        ),
        "Cachet 2's own code, before it is translated",
    ),
    "incidents.permalink": "Cachet 3's API has none",
    "incident_updates.permalink": "Cachet 3's API has none",
    "incident_updates.user_id": "Cachet 3's API does not tell it",
    "components.tags": "Cachet 3 has none",
}
"""Columns in which some rows differ → why."""

FEWER = {
    "schedule_updates": "Cachet 2 has none",
    "incident_components": "an incident of Cachet 2 has one component at most",
}
"""Tables of which Cachet 2 gives fewer rows → why."""

MORE = dict.fromkeys(
    ("incident_components", "schedule_components", "subscriber_components"),
    "Cachet 2 still names a component that was deleted, Cachet 3 does not",
)
"""Tables of which Cachet 2 gives rows that Cachet 3 does not → why."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, list[dict[str, Any]]]]:
    """Return what an administrator's load of the one world leaves, by the Cachet version that served it."""
    world = World(recordings.world("v3"))
    found = {}
    for api in (3, 2):
        with DemoServer(world, api=api, tokens={TOKEN: {"*"}}) as server:
            path = load(server, tmp_path_factory.mktemp(f"cachet{api}"))
        with duckdb.connect(str(path), read_only=True) as connection:
            found[api] = {table: stored_rows(connection, table) for table in TABLES}
    return found


def load(server: DemoServer, folder: Path) -> Path:
    new_pipeline(folder).run(cachet_source(base_url=server.url, api_key=TOKEN))
    return folder / "cachet.duckdb"


def keyed(table: str, rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    key = KEYS.get(table, () if "observed_at" in TABLES[table].key else ("id",))
    return {tuple(row[name] for name in key): row for row in rows}


def shared(table: str) -> str:
    """Return the table that a by-id table equals."""
    return table.removesuffix("_by_id")


def test_the_same_rows_are_there_but_for_what_cachet_2_does_not_keep(both):
    deleted = {row["id"] for row in recordings.world("v3")["components"] if row["deleted_at"]}
    fewer, more, linked = set(), set(), set()
    for table in TABLES:
        rows3, rows2 = (set(keyed(table, both[api][table])) for api in (3, 2))
        if rows3 - rows2:
            fewer.add(shared(table))
        if rows2 - rows3:
            more.add(table)
            linked |= {component_id for _, component_id in rows2 - rows3}

    assert (fewer, more) == (set(FEWER), set(MORE))
    assert linked <= deleted


def test_the_same_cells_are_there_but_for_the_columns_named_here(both):
    differing = set()
    for table, declared in TABLES.items():
        rows3, rows2 = (keyed(table, both[api][table]) for api in (3, 2))
        for number in rows3.keys() & rows2.keys():
            differing |= {
                f"{shared(table)}.{column.name}"
                for column in declared.columns
                if column.name != "observed_at" and rows3[number][column.name] != rows2[number][column.name]
            }

    assert differing == set(COLUMNS)
