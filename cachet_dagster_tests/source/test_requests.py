"""What a load of lists costs, by the server's own count: a request a page, one for the proof, few by id."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from cachet_dagster.demo import World
from cachet_dagster.demo.answers import App, Receive, Scope, Send
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
from cachet_dagster_tests import recordings
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


IMPACTS = ["incidents_by_id", "schedules"]


def links_of(world: World, kind: str = "incident") -> dict[tuple[int, int], int | None]:
    return {
        (row[f"{kind}_id"], row["component_id"]): row["component_status"]
        for row in world.rows(f"{kind}_components")
    }


def loaded_links(reads: dict[str, EndpointRead], kind: str = "incident") -> dict[tuple[int, int], int | None]:
    rows = reads["incidents_by_id" if kind == "incident" else "schedules"].rows[f"{kind}_components"]
    found = {(row[f"{kind}_id"], row["component_id"]): row["component_status"] for row in rows}
    assert len(found) == len(rows)
    return found


def test_every_link_is_read_in_a_few_planned_pages_and_two_by_id_as_proof(serve: Serve) -> None:
    server = serve()
    settings = CachetSettings(base_url=server.url, api_key=ADMIN)

    CachetReader(settings).read([*IMPACTS, "components", "components_by_id"])
    first = server.request_count
    server.clear_requests()
    CachetReader(settings).read(["incidents", "components"])

    # By id alone it was one for each incident with a component that stands earlier on its page.
    assert first - server.request_count <= 40
    assert not by_id(server, "components")


def settled_world(incidents: int = 60, components: int = 3) -> World:
    """Return incidents, all fixed long ago, that share components."""
    world = World.generate(incidents=incidents, components=components, schedules=8, end=LONG_AGO)
    for incident in world.rows("incidents"):
        world.update("incidents", incident["id"], status=4)
    return world


@pytest.mark.parametrize("most", [1, 1_000])
def test_links_are_right_whether_few_requests_are_allowed_or_many(serve: Serve, most: int) -> None:
    world = settled_world()
    server = serve(world)
    settings = CachetSettings(base_url=server.url, impact_requests=most)
    first = CachetReader(settings).read(IMPACTS)

    second = CachetReader(settings, stored_of(first)).read(IMPACTS)

    for kind in ("incident", "schedule"):
        assert loaded_links(first, kind) == links_of(world, kind)
        assert loaded_links(second, kind) == links_of(world, kind)


def test_what_is_new_changed_or_unresolved_is_read_at_once_and_the_rest_within_a_day(serve: Serve) -> None:
    world = settled_world(300)
    server = serve(world)
    settings = CachetSettings(base_url=server.url, impact_requests=1)
    reads = CachetReader(settings).read(["incidents_by_id"])
    world.update("incidents", 50, name="Renamed", status=2)
    at_once = world.where("incident_components", incident_id=50)[0]
    in_silence = [world.where("incident_components", incident_id=number)[0] for number in (7, 120, 290)]
    for link in (at_once, *in_silence):
        world.update(
            "incident_components", link["id"], component_status=(link["component_status"] or 0) % 4 + 1
        )

    counts = []
    for hour in range(24):
        server.clear_requests()
        reader = CachetReader(
            settings, stored_of(reads), now=lambda hour=hour: LONG_AGO + timedelta(hours=hour)
        )
        reads = reader.read(["incidents_by_id"])
        counts.append(server.request_count)
        if hour == 0:
            link = (50, at_once["component_id"])
            assert loaded_links(reads)[link] == links_of(world)[link]

    assert loaded_links(reads) == links_of(world)
    # Not more than the first load, by far.
    assert max(counts) <= 60


def test_rows_that_go_while_planned_pages_are_read_cost_no_other_link(serve: Serve) -> None:
    world = settled_world(250, 12)
    gone = iter([3, 30, 101, 102, 240])

    def delete(app: App) -> App:
        async def deleting(scope: Scope, receive: Receive, send: Send) -> None:
            if b"include=components&" in scope["query_string"] and (number := next(gone, None)):
                for link in world.where("incident_components", incident_id=number):
                    world.delete("incident_components", link["id"])
                world.delete("incidents", number)
            await app(scope, receive, send)

        return deleting

    server = serve(world, middleware=[delete])

    reads = CachetReader(CachetSettings(base_url=server.url)).read(["incidents_by_id"])

    assert next(gone, None) is None
    found = loaded_links(reads)
    assert {link: found[link] for link in links_of(world)} == links_of(world)


def test_a_row_that_cannot_be_read_costs_that_row_only(serve: Serve) -> None:
    world = settled_world()
    link = world.where("incident_components", incident_id=30)[0]

    def broken(app: App) -> App:
        async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
            alone = scope["path"].endswith("/incidents/30") or (
                b"include=components&" in scope["query_string"]
                and b"per_page=100" not in scope["query_string"]
            )
            if not alone:
                return await app(scope, receive, send)
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        return breaking

    said: list[str] = []
    server = serve(world, middleware=[broken])
    settings = CachetSettings(base_url=server.url, attempts=1)

    read = CachetReader(settings, log=said.append).read(["incidents_by_id"])["incidents_by_id"]

    assert read.error is None
    assert read.unreadable == [30]
    assert any("row 30 cannot be read" in line for line in said)
    truth_of = links_of(world)
    found = loaded_links({"incidents_by_id": read})
    assert {key for key in truth_of if found[key] != truth_of[key]} <= {
        key for key in truth_of if key[0] == 30
    }
    assert found[30, link["component_id"]] in (5, link["component_status"])
    assert 5 in {status for (number, _), status in found.items() if number == 30}


def test_a_server_that_answers_every_id_with_its_first_incident_is_found_out(serve: Serve) -> None:
    def first(app: App) -> App:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith("/api/incidents/"):
                scope = {**scope, "path": "/api/incidents/1", "raw_path": b"/api/incidents/1"}
            await app(scope, receive, send)

        return answer

    server = serve(settled_world(), middleware=[first])

    read = CachetReader(CachetSettings(base_url=server.url)).read(["incidents_by_id"])["incidents_by_id"]

    assert str(read.error).startswith("incidents_by_id: asked for ")
    assert "the server answers 1" in str(read.error)
    assert "Update Cachet" in str(read.error)
    assert not read.rows


def test_ids_that_are_named_are_asked_for(serve: Serve) -> None:
    server = serve(World.generate(incidents=4, components=9))
    settings = CachetSettings(base_url=server.url)

    CachetReader(settings, by_id={"components_by_id": ByIdRequest(ids=[3, 5])}).read(["components_by_id"])

    assert by_id(server, "components") == {3, 5}


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
    planned = [one for one in lists_asked if "include=components&" in one.query]
    assert all("sort=" in one.query for one in lists_asked)
    assert all("per_page=100" in one.query for one in lists_asked if one not in planned)
    assert {one.status for one in server.requests} == {200}
