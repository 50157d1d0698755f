"""History: a load adds a row where it sees a change, and none where it saw nothing or not all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cachet_dagster.analytics import HISTORY
from cachet_dagster.analytics.history import history_resources, read_history
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source import CachetReader, CachetSettings
from cachet_dagster.warehouse import DuckDBWarehouse
from cachet_dagster.warehouse.load import load

from .loads import Clock, Failing, Loads
from .pages import at

BEGIN = at("2026-03-02 08:00")


@pytest.fixture
def clock() -> Clock:
    return Clock(BEGIN)


def a_page() -> World:
    world = World()
    old = {"created_at": "2026-01-01 00:00:00", "updated_at": "2026-01-01 00:00:00"}
    world.add("component_groups", id=1, name="Internal", visible=0, **old)
    world.add("components", id=1, name="API", status=1, component_group_id=None, enabled=1, **old)
    world.add("components", id=2, name="Depot", status=1, component_group_id=1, enabled=1, **old)
    world.add("subscribers", id=1, email="a@example.com", **old)
    return world


@pytest.fixture
def world() -> World:
    return a_page()


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def server(world: World, clock: Clock, failing: Failing) -> Iterator[DemoServer]:
    with DemoServer(world, clock=clock, middleware=[failing]) as running:
        yield running


def changes(loads: Loads, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return a history table's rows in the order of time: the columns, since when, not before when, deleted."""
    named = [*columns, "observed_at", "previous_observed_at", "is_deleted"]
    order = ", ".join(["observed_at", *HISTORY[table].key])
    return [
        tuple(row[name] for name in named)
        for row in loads.rows(f"SELECT * FROM source.{table} ORDER BY {order}")
    ]


def test_the_first_look_remembers_everything_and_an_unchanged_load_adds_nothing(server, clock):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    clock.forward(hours=1)
    loads.load(server.url, DEMO_TOKEN)

    assert changes(loads, "component_history", "component_id", "name", "status") == [
        (1, "API", 1, BEGIN, None, False),
        (2, "Depot", 1, BEGIN, None, False),
    ]
    observed = loads.rows("SELECT * FROM source.endpoint_observations WHERE endpoint = 'components'")
    assert [(row["observed_at"], row["rights"], row["outcome"], row["row_count"]) for row in observed] == [
        (BEGIN, "full", "read", 2),
        (clock.now, "full", "read", 2),
    ]


def test_a_change_lies_between_the_look_that_saw_it_and_the_one_before(server, world, clock):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    clock.forward(hours=1)
    loads.load(server.url, DEMO_TOKEN)
    world.update("components", 1, status=4, updated_at="2026-03-02 09:30:00")
    clock.forward(hours=1)
    loads.load(server.url, DEMO_TOKEN)

    assert changes(loads, "component_history", "component_id", "status")[2:] == [
        (1, 4, at("2026-03-02 10:00"), at("2026-03-02 09:00"), False)
    ]


def test_a_deleted_row_ends_and_one_that_comes_back_begins_again(server, world, clock):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    world.update("components", 1, deleted_at="2026-03-02 08:30:00")
    clock.forward(hours=1)
    loads.load(server.url, DEMO_TOKEN)
    world.update("components", 1, deleted_at=None)
    clock.forward(hours=1)
    loads.load(server.url, DEMO_TOKEN)

    assert changes(loads, "component_history", "component_id", "status")[2:] == [
        (1, 1, at("2026-03-02 09:00"), at("2026-03-02 08:00"), True),
        (1, 1, at("2026-03-02 10:00"), at("2026-03-02 09:00"), False),
    ]


def test_a_failed_endpoint_ends_nothing_and_the_bound_stays_at_the_last_look_that_succeeded(
    server, world, clock, failing
):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    clock.forward(hours=1)
    failing.paths = {"/api/components"}
    outcomes = loads.load(server.url, DEMO_TOKEN)
    failing.paths = set()
    world.update("components", 1, status=2, updated_at="2026-03-02 09:10:00")
    clock.forward(hours=1)
    loads.load(server.url, DEMO_TOKEN)

    assert outcomes["components"] == "failed"
    assert changes(loads, "component_history", "component_id", "status")[2:] == [
        (1, 2, at("2026-03-02 10:00"), at("2026-03-02 08:00"), False)
    ]


def test_what_a_guest_does_not_see_is_not_deleted_and_what_he_sees_counts(server, world, clock):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    clock.forward(hours=1)
    world.update("components", 1, status=3, updated_at="2026-03-02 08:20:00")
    world.update("components", 2, status=4, updated_at="2026-03-02 08:20:00")
    loads.load(server.url)
    clock.forward(hours=1)
    loads.load(server.url, DEMO_TOKEN)

    # The guest saw the first; the second, in a hidden group, only the administrator, who had last looked at 8.
    assert changes(loads, "component_history", "component_id", "status")[2:] == [
        (1, 3, at("2026-03-02 09:00"), at("2026-03-02 08:00"), False),
        (2, 4, at("2026-03-02 10:00"), at("2026-03-02 08:00"), False),
    ]


def test_a_guest_who_has_always_been_one_sees_deletions(server, world, clock):
    loads = Loads()
    loads.load(server.url)
    world.update("components", 1, deleted_at="2026-03-02 08:30:00")
    clock.forward(hours=1)
    loads.load(server.url)

    assert changes(loads, "component_history", "component_id")[1:] == [
        (1, at("2026-03-02 09:00"), at("2026-03-02 08:00"), True)
    ]


def test_a_token_that_cannot_be_proven_ends_nothing(server, world, clock, failing):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    clock.forward(hours=1)
    failing.paths = {"/api/subscribers"}
    world.update("components", 1, status=2, updated_at="2026-03-02 08:20:00")
    loads.load(server.url, DEMO_TOKEN)
    world.delete("components", 1)
    clock.forward(hours=1)
    outcomes = loads.load(server.url, DEMO_TOKEN)

    assert outcomes["components"] == "failed"
    assert changes(loads, "component_history", "component_id", "status")[2:] == [
        (1, 2, at("2026-03-02 09:00"), at("2026-03-02 08:00"), False)
    ]


def test_a_lost_token_records_nothing(server, world, clock):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    world.delete("components", 1)
    clock.forward(hours=1)

    assert loads.load(server.url, "expired") == {}
    assert len(changes(loads, "component_history")) == 2


def test_two_looks_at_the_same_second_are_told_apart(server, world):
    loads = Loads()
    loads.load(server.url, DEMO_TOKEN)
    world.update("components", 1, status=2)
    loads.load(server.url, DEMO_TOKEN)

    newest = read_history(loads.query).newest["component_history"]
    assert newest[(1,)]["status"] == 2
    assert newest[(1,)]["observed_at"] > BEGIN


def test_an_incident_its_links_and_a_schedule_leave_a_trace_of_each_change(server, world, clock):
    loads = Loads()
    times = {"created_at": "2026-03-02 07:00:00", "updated_at": "2026-03-02 07:00:00"}
    world.add("incidents", id=7, name="Slow", status=1, visible=1, message="", **times)
    world.add("incident_components", id=1, incident_id=7, component_id=1, component_status=2, **times)
    world.add("schedules", id=5, name="Works", scheduled_at="2026-03-02 09:00:00", completed_at=None, **times)
    loads.load(server.url, DEMO_TOKEN)
    clock.forward(hours=2)
    world.update("incident_components", 1, component_status=4)
    world.post_update(7, 4, "Fixed.", at=at("2026-03-02 09:50"))
    world.update("schedules", 5, completed_at="2026-03-02 09:55:00")
    loads.load(server.url, DEMO_TOKEN)

    now, before = at("2026-03-02 10:00"), BEGIN
    assert changes(loads, "incident_history", "incident_id", "status") == [
        (7, 1, before, None, False),
        (7, 4, now, before, False),
    ]
    assert changes(
        loads, "incident_component_history", "incident_id", "component_id", "component_status"
    ) == [
        (7, 1, 2, before, None, False),
        (7, 1, 4, now, before, False),
    ]
    assert changes(loads, "schedule_history", "schedule_id", "completed_at") == [
        (5, None, before, None, False),
        (5, at("2026-03-02 09:55"), now, before, False),
    ]


def test_dlt_loads_history_beside_the_tables_and_the_next_load_goes_on_from_it(
    server, world, clock, tmp_path
):
    database = DuckDBWarehouse(tmp_path / "cachet.duckdb")
    loaded: list[set[str]] = []

    def load_history() -> None:
        with database.reading() as session:
            remembered = read_history(session)
        reader = CachetReader(CachetSettings(base_url=server.url))
        resources = history_resources(remembered, reader.read(["components", "incidents"]).values(), reader)
        loaded.append({resource.name for resource in resources})
        load(database, resources)

    load_history()
    world.update("components", 1, status=4, updated_at="2026-03-02 08:30:00")
    clock.forward(hours=1)
    load_history()

    assert loaded == [{*HISTORY}, {"component_history", "endpoint_observations"}]
    with database.reading() as session:
        found = session(
            "component_history",
            "SELECT component_id, status, observed_at, previous_observed_at FROM {table} ORDER BY observed_at",
        )
    assert found == [
        {"component_id": 1, "status": 1, "observed_at": BEGIN, "previous_observed_at": None},
        {"component_id": 1, "status": 4, "observed_at": clock.now, "previous_observed_at": BEGIN},
    ]
