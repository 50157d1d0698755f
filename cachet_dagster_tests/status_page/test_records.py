"""Every load is recorded with the version of what it loaded; checks and downstream go by changed versions."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pytest
from dagster import (
    AssetKey,
    AutomationCondition,
    Definitions,
    ExecuteInProcessResult,
    asset,
    evaluate_automation_conditions,
)

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source import TABLES
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.records import data_version

from .automation import Automation, points, sync
from .dagster_runs import WHOLE, materialized

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def server(small_server):
    return small_server


def versions(project: Automation) -> dict[str, str]:
    """Return the data version of each table that is read as a whole."""
    keys = {table: project.page.asset_key(table) for table in WHOLE}
    newest = {table: project.instance.get_latest_materialization_event(key) for table, key in keys.items()}
    return {
        table: event.asset_materialization.tags["dagster/data_version"] for table, event in newest.items()
    }


def checked(result: ExecuteInProcessResult) -> set[tuple[str, str]]:
    return {
        (event.asset_check_evaluation_data.asset_key.path[-1], event.asset_check_evaluation_data.check_name)
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    }


def stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "history").rglob("*") if path.is_file())


def test_the_first_sync_records_every_table_with_its_checks(tmp_path, server):
    first = sync(Automation(tmp_path, server.url, DEMO_TOKEN))

    assert set(materialized(first)) == set(WHOLE)
    assert {table for table, _ in checked(first)} == set(WHOLE)


def test_a_sync_without_changes_records_every_table_with_the_version_that_it_had_and_evaluates_no_check(
    loaded,
):
    before = versions(loaded)

    again = sync(loaded)

    assert again.success
    assert {found["what_happened"] for found in materialized(again).values()} == {"unchanged"}
    assert set(materialized(again)) == set(WHOLE)
    assert versions(loaded) == before
    assert checked(again) == set()


def test_a_table_that_a_new_database_lacks_is_said_to_be_replaced_whatever_dagster_remembers(loaded):
    loaded.set(database=str(loaded.database.with_name("new.duckdb")))

    said = {table: found["what_happened"] for table, found in materialized(sync(loaded)).items()}

    assert said["components"] == said["subscribers"] == "replaced whole"
    assert said["system_status"] == "added, since it differs"


def test_an_unchanged_sync_and_its_points_take_little_of_dagsters_storage(loaded, tmp_path):
    before = stored(tmp_path)
    sync(loaded)
    after_sync = stored(tmp_path)
    points(loaded)

    assert after_sync - before <= 500_000
    assert stored(tmp_path) - after_sync <= 200_000


def test_a_table_is_loaded_only_where_the_database_does_not_hold_what_was_read_whatever_dagster_says(loaded):
    held = loaded.rows("SELECT * FROM incident_updates ORDER BY id")
    before = load_ids(loaded)
    with duckdb.connect(str(loaded.database)) as by_hand:
        by_hand.execute("UPDATE cachet_data.incidents SET name = 'by hand' WHERE id = 1")
        by_hand.execute("DELETE FROM cachet_data.components WHERE id = 1")
        by_hand.execute("ALTER TABLE cachet_data.metrics ADD COLUMN gone VARCHAR")
        by_hand.execute("UPDATE cachet_data.metrics SET gone = 'an attribute that is served no more'")

    again = sync(loaded)

    assert again.success
    damaged = {"incidents", "components", "metrics"}
    after = load_ids(loaded)
    assert {table for table in before if after[table] != before[table]} == damaged
    assert loaded.rows("SELECT count(*) FROM incidents WHERE name = 'by hand'") == [(0,)]
    assert loaded.rows("SELECT count(gone) FROM metrics") == [(0,)]
    assert loaded.rows("SELECT * FROM incident_updates ORDER BY id") == held


def test_a_full_refresh_loads_every_table(loaded):
    before = load_ids(loaded)

    assert sync(loaded, "cachet_full_refresh").success

    after = load_ids(loaded)
    assert {table for table in before if after[table] == before[table]} <= {"versions", "system_status"}


def load_ids(project: Automation) -> dict[str, set[str]]:
    return {
        table: {load_id for (load_id,) in project.rows(f"SELECT DISTINCT _dlt_load_id FROM {table}")}
        for table in WHOLE
    }


def test_a_change_gives_its_table_another_version_and_has_its_checks_evaluated_and_no_others(loaded, server):
    before = versions(loaded)
    server.world.update("incident_templates", 1, name="new")

    changed = sync(loaded)

    after = versions(loaded)
    assert {table for table in WHOLE if before[table] != after[table]} == {"incident_templates"}
    assert {table for table, _ in checked(changed)} == {"incident_templates"}


def test_a_table_that_a_person_materializes_is_recorded_whether_or_not_it_changed(loaded):
    by_hand = loaded.load_tables("components")

    assert set(materialized(by_hand)) == {"components"}


def test_what_goes_by_data_versions_runs_on_a_change_and_not_on_a_load(loaded, server):
    changes = AutomationCondition.any_deps_match(AutomationCondition.data_version_changed())

    @asset(deps=[loaded.page.asset_key("incident_templates")], automation_condition=changes)
    def report() -> None:
        pass

    defs = Definitions.merge(page_definitions(loaded.page), Definitions(assets=[report]))
    first = evaluate_automation_conditions(defs, loaded.instance)
    sync(loaded)
    unchanged = evaluate_automation_conditions(defs, loaded.instance, cursor=first.cursor)
    server.world.update("incident_templates", 1, name="new")
    sync(loaded)
    changed = evaluate_automation_conditions(defs, loaded.instance, cursor=unchanged.cursor)

    assert unchanged.get_num_requested(AssetKey("report")) == 0
    assert changed.get_num_requested(AssetKey("report")) == 1


def test_a_check_that_failed_is_evaluated_at_each_sync_and_those_of_links_when_their_ends_change(
    loaded, server
):
    server.world.update("components", 1, status=9)

    changed, again = sync(loaded), sync(loaded)

    assert ("incident_components", "consistent") in checked(changed)
    assert checked(again) == {("components", "as_declared"), ("components_by_id", "as_declared")}


def test_where_a_sync_fails_what_it_loaded_is_recorded_so_that_it_does_not_look_failed(tmp_path):
    world = World.generate(incidents=3, components=2, metrics=1, points=1, subscribers=1)
    with DemoServer(world, tokens={"limited": {"components.manage"}}) as server:
        project = Automation(tmp_path, server.url, "limited", subscribers_required=True)
        sync(project)

        again = sync(project)

    assert not again.success
    assert {"incidents", "components"} <= set(materialized(again))
    assert not {"subscribers", "subscriber_components"} & set(materialized(again))


def test_a_metric_has_an_event_when_it_had_news_and_one_stands_for_all_where_none_had(loaded, server):
    server.world.post_point(2, 1.0, at=NOW)

    news = points(loaded)
    none = points(loaded)

    assert set(materialized(news)) == {"metric_points/2"}
    assert {table for table, _ in checked(news)} == {"metric_points"}
    assert set(materialized(none)) == {"metric_points/1"}
    assert checked(none) == set()
    (seen,) = [
        event.asset_observation_data.asset_observation
        for event in none.all_events
        if event.is_asset_observation
    ]
    assert seen.metadata["metrics_without_news"].value == 3
    assert seen.metadata["rows"].value == loaded.count("metric_points")


def test_models_are_asked_for_by_points_with_news_and_not_by_a_load_without_any(loaded, server):
    defs, models = page_definitions(loaded.page), loaded.page.asset_key("metric_rollups")
    first = evaluate_automation_conditions(defs, loaded.instance)
    points(loaded)
    without = evaluate_automation_conditions(defs, loaded.instance, cursor=first.cursor)
    server.world.post_point(2, 1.0, at=NOW)
    points(loaded)
    with_news = evaluate_automation_conditions(defs, loaded.instance, cursor=without.cursor)

    assert without.get_num_requested(models) == 0
    assert with_news.get_num_requested(models) == 1


def test_a_metric_without_points_is_recorded_at_its_first_load(loaded, server):
    metric = server.world.add("metrics", name="empty")
    sync(loaded)

    assert set(materialized(points(loaded))) == {f"metric_points/{metric['id']}"}


def test_a_data_version_tells_contents_apart_and_not_the_order_of_rows():
    rows = [{"id": 1, "at": NOW, "big": 2**70}, {"id": 2, "at": None, "big": 1}]

    assert data_version(rows) == data_version(rows[::-1])
    assert data_version(rows) != data_version(rows[:1])
    assert data_version(rows) != data_version([{**rows[0], "at": None}, rows[1]])
    assert len({data_version([{"id": 1, "table": table}]) for table in TABLES}) == len(TABLES)
