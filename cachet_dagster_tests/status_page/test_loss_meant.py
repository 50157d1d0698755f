"""A load that would lose what was not meant to go stops first: rows hidden from guests, the last rows of a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source.loss import sudden_loss

from .dagster_runs import Project, failure


@pytest.fixture
def server():
    world = World.generate(incidents=4, components=3, metrics=0)
    world.update("components", 1, enabled=0)
    with DemoServer(world, me=True) as server:
        yield server


def test_a_guests_load_into_what_a_token_sees_stops_before_anything_is_written_until_it_is_meant(
    tmp_path, server
):
    project = Project(tmp_path, server.url, DEMO_TOKEN)
    project.load_tables("components")
    before = project.count("components")
    project.page = replace(project.page, token=None)

    refused = project.load_tables("components")
    kept = project.count("components")
    accepted = project.load_tables("components", accept_loss=True)
    later = project.load_tables("components")

    assert "there is no token: a guest's load would drop every hidden row" in failure(refused)
    assert "Set CACHET_API_TOKEN." in failure(refused)
    assert kept == before == 3
    assert accepted.success
    assert later.success
    assert project.count("components") == 2


def test_a_token_is_welcome_where_a_guest_loaded(tmp_path, server):
    project = Project(tmp_path, server.url)
    assert project.load_tables("components").success

    with_token = Project(tmp_path, server.url, DEMO_TOKEN)

    assert with_token.load_tables("components").success
    assert with_token.count("components") == 3


def test_a_small_table_never_goes_to_nothing_in_silence(tmp_path, server):
    project = Project(tmp_path, server.url, DEMO_TOKEN)
    project.load_tables("incidents")
    for row in server.world.rows("incidents"):
        server.world.delete("incidents", row["id"])

    refused = project.load_tables("incidents")

    assert "incidents held 4 rows and would hold 0: 4 would go at once" in failure(refused)
    assert project.count("incidents") == 4


def test_a_loss_is_sudden_where_more_than_the_share_goes_or_all_but_not_where_a_few_do():
    assert sudden_loss(4, 0, 0.5)
    assert not sudden_loss(4, 1, 0.5)
    assert sudden_loss(100, 49, 0.5)
    assert not sudden_loss(100, 50, 0.5)
    assert not sudden_loss(0, 0, 0.5)
    assert not sudden_loss(4, 0, 1.0)
