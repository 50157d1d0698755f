"""What a load of lists costs, by the server's own count: a request a page, one for the proof, few by id."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from cachet_dagster.demo import World
from cachet_dagster.source import (
    ENDPOINTS,
    TABLES,
    ByIdRequest,
    CachetReader,
    CachetSettings,
    EndpointRead,
    stored_tables,
)
from cachet_dagster.source.stored import Stored
from cachet_dagster_tests import recordings, truth
from cachet_dagster_tests.conftest import ADMIN, Serve

LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)


def stored_of(reads: dict[str, EndpointRead]) -> Stored:
    """Return what a destination holds after these reads."""
    tables = {table: rows for read in reads.values() for table, rows in read.rows.items()}
    wanted = stored_tables([read.endpoint for read in reads.values()])
    return Stored(
        counts={table: len(rows) for table, rows in tables.items()},
        rows={
            table: [
                {column.name: row.get(column.name) for column in TABLES[table].columns}
                for row in tables[table]
            ]
            for table in wanted
            if table in tables
        },
    )


def in_order(reads: dict[str, EndpointRead]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of incidents by id and of their links, whatever order they came in."""
    return {
        table: sorted(
            tuple(str(row.get(column.name)) for column in TABLES[table].columns)
            for row in reads["incidents_by_id"].rows[table]
        )
        for table in ("incidents_by_id", "incident_components")
    }


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 150, 200, 250, 1000, 1050])
def test_a_list_takes_a_request_a_page_and_one_for_the_proof(serve: Serve, count: int) -> None:
    server = serve(World.generate(incidents=count, updates=1))
    settings = CachetSettings(base_url=server.url)
    pages = max(1, math.ceil(count / 100))

    first = CachetReader(settings).read(["incidents"])
    unknown_length = server.paths["/api/incidents"]
    server.clear_requests()
    second = CachetReader(settings, stored_of(first)).read(["incidents"])

    assert len(first["incidents"].rows["incidents"]) == len(second["incidents"].rows["incidents"]) == count
    assert unknown_length <= (1 if pages == 1 else pages + 2)
    assert server.paths["/api/incidents"] <= (1 if pages == 1 else pages + 1)
    assert second["incidents"].requests == server.paths["/api/incidents"]


def test_updates_components_and_meta_come_with_the_pages_of_their_list(serve: Serve) -> None:
    server = serve(World.generate(incidents=250, components=30, groups=3, schedules=5, subscribers=120))

    reads = CachetReader(CachetSettings(base_url=server.url)).read(["incidents", "components"])

    assert len(reads["incidents"].rows["incident_updates"]) == 750
    assert server.request_count <= 1 + 5 + 1


def by_id(server: Any, name: str = "incidents") -> set[int]:
    prefix = f"/api/{name}/"
    return {int(path.removeprefix(prefix)) for path in server.paths if path.startswith(prefix)}


def doubtful() -> set[int]:
    """Return the incidents that have, on every page read, a component which stands earlier on that page.

    Read are the pages by ascending id, but for the last, and the newest page, by descending id.
    """
    incidents = sorted(row["id"] for row in truth.tables("admin")["incidents"])
    pages = [incidents[:100], incidents[100:200], incidents[:-101:-1]]
    links: dict[int, set[int]] = {}
    for row in truth.tables("admin")["incident_components"]:
        links.setdefault(row["incident_id"], set()).add(row["component_id"])
    sure: set[int] = set()
    for page in pages:
        seen: set[int] = set()
        for number in page:
            if not seen & links.get(number, set()):
                sure.add(number)
            seen |= links.get(number, set())
    return {*incidents} - sure


def test_incidents_are_asked_for_by_id_only_where_a_list_page_can_be_wrong_and_components_never(
    serve: Serve,
) -> None:
    server = serve()

    CachetReader(CachetSettings(base_url=server.url, api_key=ADMIN)).read(
        ["incidents", "incidents_by_id", "components", "components_by_id", "schedules"]
    )

    assert len(doubtful()) > 50
    assert by_id(server) == doubtful()
    assert not by_id(server, "components")


def test_a_later_load_asks_again_only_for_doubtful_incidents_that_are_open_or_recent(serve: Serve) -> None:
    server = serve()
    settings = CachetSettings(base_url=server.url, api_key=ADMIN, by_id_days=7)
    first = CachetReader(settings).read(["incidents_by_id"])
    asked_first = by_id(server)
    server.clear_requests()

    second = CachetReader(settings, stored_of(first)).read(["incidents_by_id"])

    recent = datetime.now(timezone.utc) - timedelta(days=7)
    changeable = {
        row["id"]
        for row in truth.tables("admin")["incidents"]
        if row["status"] != 4 or row["updated_at"] >= recent
    }
    assert by_id(server) == asked_first & changeable
    assert in_order(second) == in_order(first)


def settled_world() -> World:
    """Return 60 incidents, all fixed long ago, that share three components."""
    world = World.generate(incidents=60, components=3, schedules=8, end=LONG_AGO)
    for incident in world.rows("incidents"):
        world.update("incidents", incident["id"], status=4)
    return world


def test_a_quiet_page_carries_everything_over_and_asks_nothing_by_id(serve: Serve) -> None:
    server = serve(settled_world())
    settings = CachetSettings(base_url=server.url)
    first = CachetReader(settings).read(["incidents_by_id", "schedules"])
    assert by_id(server)
    server.clear_requests()

    second = CachetReader(settings, stored_of(first)).read(["incidents_by_id"])

    assert server.request_count == 2
    assert in_order(second) == in_order(first)


def test_an_incident_that_differs_from_what_is_stored_is_asked_for_again(serve: Serve) -> None:
    world = settled_world()
    server = serve(world)
    settings = CachetSettings(base_url=server.url)
    first = CachetReader(settings).read(["incidents_by_id"])
    server.clear_requests()
    world.update("incidents", 50, name="Renamed")
    link = world.where("incident_components", incident_id=55)[0]
    world.delete("incident_components", link["id"])

    second = CachetReader(settings, stored_of(first)).read(["incidents_by_id"])

    assert by_id(server) == {50, 55}
    rows = {row["id"]: row for row in second["incidents_by_id"].rows["incidents_by_id"]}
    assert rows[50]["name"] == "Renamed"
    links = second["incidents_by_id"].rows["incident_components"]
    assert [row["component_id"] for row in links if row["incident_id"] == 55] == [
        row["component_id"] for row in world.where("incident_components", incident_id=55)
    ]


def test_ids_that_are_named_are_asked_for_and_a_full_refresh_asks_for_all(serve: Serve) -> None:
    server = serve(World.generate(incidents=4, components=9))
    settings = CachetSettings(base_url=server.url)

    CachetReader(settings, by_id={"components_by_id": ByIdRequest(ids=[3, 5])}).read(["components_by_id"])
    named = by_id(server, "components")
    server.clear_requests()
    CachetReader(settings, by_id={"components_by_id": ByIdRequest(full_refresh=True)}).read(
        ["components_by_id"]
    )

    assert named == {3, 5}
    assert by_id(server, "components") == set(range(1, 10))


def test_an_id_that_does_not_exist_is_said_so(serve: Serve) -> None:
    server = serve(World.generate(incidents=4))

    read = CachetReader(
        CachetSettings(base_url=server.url), by_id={"incidents_by_id": ByIdRequest(ids=[99])}
    ).read(["incidents_by_id"])

    assert read["incidents_by_id"].outcome == "failed"
    assert str(read["incidents_by_id"].error).startswith("incidents_by_id: the server does not know it (404)")


def test_every_page_is_asked_for_with_100_rows_by_id(serve: Serve) -> None:
    server = serve(World(recordings.world("v3")))

    lists = [name for name, endpoint in ENDPOINTS.items() if endpoint.kind.has_ids]
    CachetReader(CachetSettings(base_url=server.url, api_key=ADMIN)).read(lists)

    lists_asked = [one for one in server.requests if "page=" in one.query and one.path.count("/") == 2]
    assert {one.path for one in lists_asked} == {
        "/api/incidents",
        "/api/components",
        "/api/component-groups",
        "/api/metrics",
        "/api/schedules",
        "/api/subscribers",
        "/api/incident-templates",
    }
    assert all("per_page=100" in one.query and "sort=" in one.query for one in lists_asked)
    assert {one.status for one in server.requests} == {200}
