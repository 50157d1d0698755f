"""The rows behind the embedded server: lookups stay right whatever is changed, and posts do what Cachet does."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachet_dagster.demo import World
from cachet_dagster_tests import recordings

NOON = datetime(2026, 5, 20, 12, 0, tzinfo=timezone.utc)


def with_metric(threshold: int = 5) -> World:
    world = World()
    world.add("metrics", name="Response time", threshold=threshold)
    return world


def test_a_world_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    path.write_text(json.dumps(recordings.world("v3")))

    world = World.load(path)

    assert world.count("incidents") == 240
    assert world.dump()["components"] == recordings.world("v3")["components"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "move", "delete"]), st.integers(1, 12), st.integers(1, 3)),
        max_size=40,
    )
)
def test_lookups_stay_right_whatever_is_added_changed_or_deleted(steps: list[tuple[str, int, int]]) -> None:
    world = World(
        {"metric_points": [{"id": 5, "metric_id": 1, "value": 1.0, "created_at": "", "counter": 1}]}
    )
    world.ids("metric_points", metric_id=1)  # the index exists before the changes

    for step, row_id, metric_id in steps:
        exists = world.get("metric_points", row_id) is not None
        if step == "add" and not exists:
            world.add("metric_points", id=row_id, metric_id=metric_id)
        elif step == "move" and exists:
            world.update("metric_points", row_id, metric_id=metric_id)
        elif step == "delete" and exists:
            world.delete("metric_points", row_id)

    rows = world.rows("metric_points")
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    for metric_id in (1, 2, 3):
        expected = [row["id"] for row in rows if row["metric_id"] == metric_id]
        assert list(world.ids("metric_points", metric_id=metric_id)) == expected


def test_an_id_is_never_given_twice() -> None:
    world = World()
    first = world.add("subscribers", email="a@example.com")
    world.delete("subscribers", first["id"])

    assert world.add("subscribers", email="b@example.com")["id"] == first["id"] + 1
    with pytest.raises(ValueError, match="already"):
        world.add("subscribers", id=2)


def test_components_incidents_templates_and_schedules_are_deleted_softly() -> None:
    world = World()
    for table in ("components", "incidents", "incident_templates", "schedules"):
        world.add(table, name="x")
        world.delete(table, 1, at=NOON)

        row = world.get(table, 1)
        assert row is not None
        assert row["deleted_at"] == "2026-05-20 12:00:00"


def test_a_deleted_metric_takes_its_points_along_and_a_group_leaves_its_components() -> None:
    world = World.generate(metrics=2, points=3, groups=1, components=2)

    world.delete("metrics", 1)
    world.delete("component_groups", 1)

    assert [row["metric_id"] for row in world.rows("metric_points")] == [2, 2, 2]
    assert [row["component_group_id"] for row in world.rows("components")] == [None, None]


def test_a_point_within_the_threshold_counts_on_the_latest_one_and_leaves_its_value() -> None:
    world = with_metric()
    first = world.post_point(1, 12.5, at=NOON)
    again = world.post_point(1, 99.0, at=NOON + timedelta(minutes=4, seconds=59))
    later = world.post_point(1, 7.0, at=NOON + timedelta(minutes=5))

    assert again is first
    assert (first["value"], first["counter"]) == (12.5, 2)
    assert first["updated_at"] == first["created_at"] == "2026-05-20 12:00:00"
    assert (later["id"], later["counter"]) == (2, 1)


def test_the_recorded_post_of_a_point_is_repeated_exactly() -> None:
    world = World(recordings.world("v3"))
    post = next(e for e in recordings.exchanges("v3", "writes") if e["name"] == "metric-point-create")

    row = world.post_point(
        1, post["request_body"]["value"], at=datetime(2026, 11, 23, 8, 6, 20, tzinfo=timezone.utc)
    )

    answered = post["body"]["data"]["attributes"]
    assert (row["id"], row["value"], row["counter"]) == (
        answered["id"],
        answered["value"],
        answered["counter"],
    )
    assert row["updated_at"] == answered["updated"]["string"]


@pytest.mark.parametrize(
    ("second", "rounded"), [(0, "12:00:00"), (14, "12:00:00"), (15, "12:00:30"), (46, "12:01:00")]
)
def test_the_time_of_a_point_is_rounded_to_30_seconds(second: int, rounded: str) -> None:
    row = with_metric(threshold=0).post_point(1, 1.0, at=NOON + timedelta(seconds=second))

    assert row["created_at"] == f"2026-05-20 {rounded}"


def test_a_back_dated_point_gets_a_higher_id_and_an_earlier_time() -> None:
    world = with_metric()
    first = world.post_point(1, 1.0, at=NOON)
    dated = world.post_point(1, 2.0, at=NOON, created_at=NOON - timedelta(hours=1))
    bumped = world.post_point(1, 3.0, at=NOON + timedelta(minutes=1))

    assert dated["id"] > first["id"]
    assert dated["created_at"] < first["created_at"]
    assert bumped is first


def test_the_latest_point_is_known_after_points_were_deleted() -> None:
    world = with_metric()
    first = world.post_point(1, 1.0, at=NOON)
    second = world.post_point(1, 2.0, at=NOON + timedelta(minutes=10))
    world.delete("metric_points", second["id"])

    assert world.post_point(1, 3.0, at=NOON + timedelta(minutes=2)) is first


def test_an_incident_follows_its_updates() -> None:
    world = World()
    world.add("components", name="API")
    incident = world.post_incident("Trouble", "We look into it.", at=NOON, components={1: 3})
    world.post_update(incident["id"], 2, "Found it.", at=NOON + timedelta(minutes=5))

    assert (incident["status"], incident["updated_at"]) == (2, "2026-05-20 12:05:00")
    assert world.where("incident_components", incident_id=incident["id"])[0]["component_status"] == 3


def test_generated_worlds_have_the_sizes_asked_for_and_follow_from_the_seed() -> None:
    def make(seed: int) -> World:
        return World.generate(
            incidents=5,
            components=4,
            groups=2,
            metrics=3,
            points=7,
            subscribers=6,
            schedules=2,
            templates=1,
            seed=seed,
        )

    counts = {table: len(rows) for table, rows in make(1).dump().items()}

    assert (
        counts
        | {
            "incidents": 5,
            "components": 4,
            "component_groups": 2,
            "metrics": 3,
            "metric_points": 21,
            "subscribers": 6,
            "schedules": 2,
            "incident_templates": 1,
            "updates": 5 * 3 + 2,
        }
        == counts
    )
    assert make(1).dump() == make(1).dump()
    assert make(1).dump() != make(2).dump()
