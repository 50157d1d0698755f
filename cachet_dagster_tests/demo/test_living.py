"""The living page is a pure function of a seed and the time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from cachet_dagster.demo import living_world
from cachet_dagster.demo.world import instant, text

NOON = datetime(2026, 5, 20, 12, 0, 30, tzinfo=timezone.utc)
MOMENTS = [NOON, NOON + timedelta(days=11, hours=7), datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone.utc)]


def test_the_same_seed_and_time_give_the_same_rows() -> None:
    assert living_world(3, NOON).dump() == living_world(3, NOON).dump()


def test_another_seed_gives_another_page() -> None:
    assert living_world(1, NOON).dump()["incidents"] != living_world(2, NOON).dump()["incidents"]


@pytest.mark.parametrize("now", MOMENTS)
def test_every_table_has_rows(now: datetime) -> None:
    world = living_world(0, now)

    assert {table for table in world.tables if world.count(table) == 0} == set()
    kinds = {row["updateable_type"] for row in world.rows("updates")}
    assert kinds == {"incident", "schedule"}
    assert {row["meta_type"] for row in world.rows("meta")} == {
        "component",
        "incident",
        "schedule",
        "subscriber",
    }


@pytest.mark.parametrize("now", MOMENTS)
def test_it_has_the_size_of_a_small_page(now: datetime) -> None:
    world = living_world(0, now)

    assert 60 <= world.count("incidents") <= 160
    assert world.count("components") == 15
    assert [row["name"] for row in world.rows("components") if not row["enabled"]] == ["Label API v1"]
    assert [row["name"] for row in world.rows("component_groups") if row["visible"] == 0] == [
        "Internal Tools"
    ]
    for metric in world.rows("metrics"):
        assert 288 <= len(world.ids("metric_points", metric_id=metric["id"])) <= 577


@pytest.mark.parametrize("now", MOMENTS)
def test_maintenance_is_past_running_and_ahead(now: datetime) -> None:
    schedules = living_world(0, now).rows("schedules")

    assert any(row["completed_at"] for row in schedules)
    assert any(row["scheduled_at"] <= text(now) and not row["completed_at"] for row in schedules)
    assert any(row["scheduled_at"] > text(now) for row in schedules)


@pytest.mark.parametrize("now", MOMENTS)
def test_nothing_lies_in_the_future_but_what_is_planned(now: datetime) -> None:
    for table, rows in living_world(0, now).dump().items():
        for row in rows:
            assert row["created_at"] <= row["updated_at"] <= text(now), (table, row)


def test_a_thing_keeps_its_id_and_the_past_does_not_change() -> None:
    earlier, later = living_world(0, NOON), living_world(0, NOON + timedelta(days=2))

    for row in earlier.rows("incidents"):
        again = later.get("incidents", row["id"])
        assert again is not None
        assert again["guid"] == row["guid"]
        assert row["status"] != 4 or again == row
    for table in ("incident_components", "updates", "incident_templates", "subscribers", "subscriptions"):
        for row in earlier.rows(table):
            assert later.get(table, row["id"]) in (row, None), table
    assert all(later.get("updates", row["id"]) == row for row in earlier.rows("updates")[-20:])


def test_points_stay_as_they_were_once_their_five_minutes_are_over() -> None:
    earlier, later = living_world(0, NOON), living_world(0, NOON + timedelta(hours=6))
    settled = text(NOON - timedelta(minutes=5))

    for row in earlier.rows("metric_points"):
        again = later.get("metric_points", row["id"])
        assert again is not None
        assert row["created_at"] > settled or again == row


def test_points_appear_every_five_minutes_with_higher_ids() -> None:
    earlier, later = living_world(0, NOON), living_world(0, NOON + timedelta(minutes=5))

    new = set(later.ids("metric_points")) - set(earlier.ids("metric_points"))

    assert len(new) == later.count("metrics")
    assert min(new) > max(earlier.ids("metric_points"))


def test_the_newest_point_of_a_sum_grows_while_it_is_the_newest() -> None:
    counters = []
    for minutes in range(6):
        world = living_world(0, NOON + timedelta(minutes=minutes))
        metric = next(row for row in world.rows("metrics") if row["calc_type"] == 0)
        counters.append(world.where("metric_points", metric_id=metric["id"])[-1]["counter"])

    assert counters == [1, 2, 3, 4, 5, 1]


def test_incidents_appear_and_are_solved_within_days() -> None:
    seen = {}
    for hours in range(0, 120, 2):
        world = living_world(0, NOON + timedelta(hours=hours))
        for row in world.rows("incidents")[-4:]:
            seen.setdefault(row["id"], []).append(row["status"])
    born = {
        key: statuses for key, statuses in seen.items() if key not in living_world(0, NOON).ids("incidents")
    }

    assert len(born) >= 2
    assert any(len(set(statuses)) > 1 for statuses in born.values())
    assert all(statuses == sorted(statuses) for statuses in born.values())


def test_an_incident_has_the_status_of_its_newest_update() -> None:
    world = living_world(0, NOON)

    for incident in world.rows("incidents"):
        updates = world.where("updates", updateable_type="incident", updateable_id=incident["id"])
        assert incident["status"] == (updates[-1]["status"] if updates else 1)


@pytest.mark.parametrize("now", MOMENTS)
def test_references_resolve(now: datetime) -> None:
    world = living_world(0, now)
    references = {
        ("components", "component_group_id"): "component_groups",
        ("incident_components", "incident_id"): "incidents",
        ("incident_components", "component_id"): "components",
        ("schedule_components", "schedule_id"): "schedules",
        ("metric_points", "metric_id"): "metrics",
        ("subscriptions", "subscriber_id"): "subscribers",
        ("incidents", "user_id"): "users",
    }

    for (table, column), parent in references.items():
        keys = {row[column] for row in world.rows(table)} - {None}
        assert keys <= set(world.ids(parent)), (table, column)


def test_nothing_happens_before_the_time_that_the_world_names() -> None:
    now = NOON
    for _ in range(12):
        world = living_world(0, now)
        assert world.valid_until is not None
        assert now < world.valid_until <= now + timedelta(minutes=1)
        just_before = living_world(0, world.valid_until - timedelta(seconds=1))
        assert just_before.dump() == world.dump()
        now = world.valid_until


def test_a_time_before_the_page_began_is_refused() -> None:
    with pytest.raises(ValueError, match="begins"):
        living_world(0, datetime(2023, 1, 1, tzinfo=timezone.utc))


def test_times_are_whole_seconds_in_utc() -> None:
    world = living_world(0, NOON.astimezone(timezone(timedelta(hours=-5))))

    assert world.dump() == living_world(0, NOON).dump()
    assert instant(world.rows("metric_points")[-1]["created_at"]) == NOON.replace(second=0)
