"""A public Python client for Cachet 2 reads the embedded server as it would a real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import cachetclient
import pytest

from cachet_dagster.demo.cachet2 import Cachet2World
from cachet_dagster.demo.server import DemoServer
from cachet_dagster_tests import recordings

WORLD = recordings.world("v2")
TOKEN = recordings.tokens("v2")["admin"]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with DemoServer(Cachet2World.load(WORLD), api=2, tokens={TOKEN: {"*"}}) as server:
        yield cachetclient.Client(endpoint=server.api_url, api_token=TOKEN)


def rows(table: str, **columns: Any) -> dict[int, dict[str, Any]]:
    """Return the rows of a table that Cachet has not deleted, by id."""
    return {
        row["id"]: row
        for row in WORLD[table]
        if not row.get("deleted_at") and all(row[name] == value for name, value in columns.items())
    }


def seen(resources: Any, *names: str) -> dict[int, tuple[Any, ...]]:
    """Return some attributes of what the client lists, by id; each id may come once only."""
    listed = list(resources)
    found = {resource.id: tuple(getattr(resource, name) for name in names) for resource in listed}
    assert len(found) == len(listed)
    return found


def expected(table: str, *names: str, **columns: Any) -> dict[int, tuple[Any, ...]]:
    return {row_id: tuple(row[name] for name in names) for row_id, row in rows(table, **columns).items()}


def test_it_pings_and_knows_the_version(client):
    assert client.ping.get() is True
    assert client.version.get().value == "2.4.1"


def test_it_sees_the_components_of_the_world(client):
    names = ("name", "description", "link", "status", "order", "group_id", "enabled")

    assert seen(client.components.list(), *names) == expected("components", *names)
    assert client.components.count() == len(rows("components"))


def test_it_sees_the_component_groups_of_the_world(client):
    names = ("name", "order", "collapsed")

    assert seen(client.component_groups.list(), *names) == expected("component_groups", *names)


def test_it_sees_the_incidents_of_the_world_and_their_updates(client):
    names = ("name", "message", "status", "component_id", "visible", "stickied")

    assert seen(client.incidents.list(per_page=50), *names) == expected("incidents", *names)
    updates = ("incident_id", "status", "message")
    assert seen(client.incident_updates.list(3), *updates) == expected(
        "incident_updates", *updates, incident_id=3
    )


def test_it_sees_the_metrics_of_the_world_and_their_points(client):
    names = ("name", "suffix", "description", "calc_type", "places", "threshold", "order", "visible")
    points = ("metric_id", "value", "counter")

    assert seen(client.metrics.list(), *names) == expected("metrics", *names)
    assert seen(client.metric_points.list(1), *points) == expected("metric_points", *points, metric_id=1)


def test_it_sees_the_schedules_of_the_world_and_their_times(client):
    found = seen(client.schedules.list(), "name", "message", "status", "scheduled_at")

    assert found == {
        row["id"]: (row["name"], row["message"], row["status"], datetime.fromisoformat(row["scheduled_at"]))
        for row in rows("schedules").values()
    }


def test_it_sees_the_subscribers_of_the_world(client):
    names = ("email", "verify_code")

    assert seen(client.subscribers.list(per_page=50), *names) == expected("subscribers", *names)
