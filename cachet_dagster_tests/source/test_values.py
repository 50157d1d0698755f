"""Values as they land: instants of another time zone, and whatever a later Cachet may send."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dlt
import duckdb
import orjson
import pytest

from cachet_dagster.demo import World
from cachet_dagster.demo.answers import App, Message, Receive, Scope, Send
from cachet_dagster.demo.world import text
from cachet_dagster.source import CachetReader, CachetSettings, cachet_source
from cachet_dagster.source.points.read import read_points
from cachet_dagster_tests.conftest import Serve


def rewriting(change: Callable[[str, Any], None]) -> Callable[[App], App]:
    """Return a middleware that changes each answer's document, given its path, before it is sent."""

    def around(app: App) -> App:
        async def rewrite(scope: Scope, receive: Receive, send: Send) -> None:
            start: list[Message] = []

            async def send_changed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    start.append(message)
                    return
                document = orjson.loads(message["body"])
                change(scope["path"], document)
                body = orjson.dumps(document)
                headers = [
                    (name, b"%d" % len(body) if name == b"content-length" else value)
                    for name, value in start[0]["headers"]
                ]
                await send({**start[0], "headers": headers})
                await send({**message, "body": body})

            await app(scope, receive, send_changed)

        return rewrite

    return around


def rows_of(database: Path, table: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        cursor = connection.execute(f"SELECT * FROM cachet_data.{table} ORDER BY id")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# Time zones

# New York's clocks went from 02:00 back to 01:00 at 06:00 UTC.
AUTUMN = datetime(2025, 11, 2, 6, 0, tzinfo=timezone.utc)


@pytest.fixture
def autumn() -> World:
    """Return incidents and points from two hours before the clocks went back to two hours after."""
    world = World.generate(incidents=9, metrics=1, points=9, updates=1)
    for number in range(1, 10):
        at = text(AUTUMN + timedelta(minutes=30 * (number - 5)))
        world.update("incidents", number, created_at=at, updated_at=at, occurred_at=None)
        world.update("metric_points", number, created_at=at, updated_at=at)
    return world


def test_a_server_in_new_york_lands_as_the_right_instants_an_ambiguous_hour_as_the_first(
    serve: Serve, autumn: World
) -> None:
    server = serve(autumn, timezone="America/New_York")
    reader = CachetReader(CachetSettings(base_url=server.url, timezone="America/New_York"))

    incidents = reader.read(["incidents"])["incidents"].rows["incidents"]
    points = [
        row for batch in read_points(reader, [1], {}) for step in batch for row in step.rows.to_pylist()
    ]

    expected = [AUTUMN + timedelta(minutes=30 * (number - 5)) for number in range(1, 10)]
    # 06:00 and 06:30 UTC are printed as 01:00 and 01:30 once more, and nothing tells them from 05:00 and 05:30.
    expected[4:6] = [AUTUMN - timedelta(hours=1), AUTUMN - timedelta(minutes=30)]
    assert [row["created_at"] for row in incidents] == expected
    assert [row["created_at"] for row in points] == expected
    assert [row["updated_at"] for row in points] == expected
    assert {row["occurred_at"] for row in incidents} == {None}


def test_all_instants_land_in_utc_in_the_database(
    serve: Serve, autumn: World, pipeline: dlt.Pipeline, tmp_path: Path
) -> None:
    server = serve(autumn, timezone="America/New_York")

    source = cachet_source(base_url=server.url, timezone="America/New_York")
    pipeline.run(source.with_resources("incidents", "metrics", "metric_points"))

    first = AUTUMN - timedelta(hours=2)
    assert rows_of(tmp_path / "cachet.duckdb", "incidents")[0]["created_at"] == first
    assert rows_of(tmp_path / "cachet.duckdb", "metric_points")[0]["created_at"] == first


# What nobody foresaw


def test_what_nobody_foresaw_arrives_and_nothing_is_lost(
    serve: Serve, pipeline: dlt.Pipeline, tmp_path: Path
) -> None:
    def change(path: str, document: Any) -> None:
        rows = document.get("data")
        for row in rows if isinstance(rows, list) else []:
            attributes = row["attributes"]
            if path == "/api/incidents":
                attributes["impact"] = {"human": "High", "value": 3}
                attributes["resolved"] = {"human": "now", "string": "2026-01-02 03:04:05"}
                attributes["labels"] = {"team": ["a", "b"]}
                if attributes["id"] == 2:
                    attributes |= {"status": None, "occurred": None, "message": None}
                if attributes["id"] == 3:
                    attributes |= {"notifications": "many", "created": {"human": "?", "string": "long ago"}}
            elif path.endswith("/points"):
                attributes["source"] = "probe"
                if attributes["id"] == 2:
                    attributes |= {"value": "12,5", "updated": {"human": "?", "string": "long ago"}}
                if attributes["id"] == 3:
                    attributes |= {"value": None, "source": None}

    server = serve(
        World.generate(incidents=3, metrics=1, points=3, updates=1), middleware=[rewriting(change)]
    )

    pipeline.run(cachet_source(base_url=server.url))

    first, second, third = rows_of(tmp_path / "cachet.duckdb", "incidents")
    assert (first["impact"], first["impact_label"]) == (3, "High")
    assert first["resolved_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert json.loads(first["labels"]) == {"team": ["a", "b"]}
    assert [second[name] for name in ("status", "status_label", "occurred_at", "message")] == [None] * 4
    assert (third["notifications"], third["notifications__v_text"]) == (None, "many")
    assert (third["created_at"], third["created_at__v_text"]) == (None, "long ago")
    first, second, third = rows_of(tmp_path / "cachet.duckdb", "metric_points")
    assert [row["source"] for row in (first, second, third)] == ["probe", "probe", None]
    assert (second["value"], second["value__v_text"]) == (None, "12,5")
    assert (second["updated_at"], second["updated_at__v_text"]) == (None, "long ago")
    assert second["created_at"] is not None
    assert (third["value"], third["value__v_text"]) == (None, None)
    assert first["value"] is not None


@pytest.mark.parametrize(
    ("time", "kept"),
    [
        ("long ago", "long ago"),
        ("0000-01-01 00:00:00", "0000-01-01 00:00:00"),
        ("now\x00", "now\ufffd"),
    ],
)
def test_times_of_points_that_are_none_are_kept_as_text(time: str, kept: str, serve: Serve) -> None:
    def change(path: str, document: Any) -> None:
        for row in document["data"] if path.endswith("/points") else []:
            if row["attributes"]["id"] == 2:
                row["attributes"]["created"]["string"] = time

    server = serve(World.generate(metrics=1, points=3), middleware=[rewriting(change)])
    reader = CachetReader(CachetSettings(base_url=server.url))

    (batch,) = read_points(reader, [1], {})

    assert batch[-1].rows.column("created_at__v_text").to_pylist() == [None, kept, None]
    assert [at is None for at in batch[-1].rows.column("created_at").to_pylist()] == [False, True, False]


def test_an_attribute_of_points_that_changes_its_type_from_page_to_page_is_kept_as_text(serve: Serve) -> None:
    def change(path: str, document: Any) -> None:
        for row in document["data"] if path.endswith("/points") else []:
            number = row["attributes"]["id"]
            row["attributes"]["source"] = number if number <= 100 else f"probe {number}"

    server = serve(World.generate(metrics=1, points=350), middleware=[rewriting(change)])
    reader = CachetReader(CachetSettings(base_url=server.url))

    steps = [step for batch in read_points(reader, [1], {}) for step in batch]

    assert [step.error for step in steps] == [None] * len(steps)
    sources = {row["id"]: row["source"] for step in steps for row in step.rows.to_pylist() if "source" in row}
    assert [sources[number] for number in (1, 100, 350)] == ["1", "100", "probe 350"]


def test_a_later_load_can_change_the_type_of_what_nobody_foresaw(
    serve: Serve, pipeline: dlt.Pipeline, tmp_path: Path
) -> None:
    sources: list[Any] = [7, 8.5, {"name": "a"}]

    def change(path: str, document: Any) -> None:
        for row in document["data"] if path.endswith("/points") else []:
            row["attributes"]["source"] = sources[row["attributes"]["id"] - 1]

    server = serve(World.generate(metrics=1, points=3), middleware=[rewriting(change)])
    pipeline.run(cachet_source(base_url=server.url).with_resources("metrics", "metric_points"))
    sources[:] = ["probe", None, 9]

    pipeline.run(cachet_source(base_url=server.url).with_resources("metrics", "metric_points"))

    rows = rows_of(tmp_path / "cachet.duckdb", "metric_points")
    assert [row["source"] for row in rows] == ["probe", None, "9"]
