"""The same promises on every destination that runs here; only the place differs.

What is asked of each is in the tests' names; which ran on which is printed at the end (`summary.py`). PostgreSQL or S3
that cannot be started is an error, never a skip. Files and stores take long: they are in `make test-slow`, and
the longest in `make soak`.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dlt
import pytest
from dagster import AssetKey, AssetSelection, DagsterInstance, materialize
from pydantic import SecretStr

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.demo.answers import App
from cachet_dagster.source import TABLES, CachetSettings, cachet_source, table_resource
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.tables_asset import tables_asset
from cachet_dagster.warehouse import DatabaseBusy, LoadFailed, load
from cachet_dagster.warehouse.duckdb_session import DuckDBSession
from cachet_dagster.warehouse.points import PointsLoad
from cachet_dagster_tests.conftest import ADMIN, serve_recorded
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN as TOKEN_2
from cachet_dagster_tests.source.cachet2.test_cachet2 import WORLD as WORLD_2
from cachet_dagster_tests.source.cachet2.test_cachet2 import serving as serving_2
from cachet_dagster_tests.truth import differences as differences_3
from cachet_dagster_tests.truth_cachet2 import differences as differences_2

from .children import QUIET, failures_of
from .places import Place, check_results, load_page, make_place
from .proofs_destinations import killed_loads, loads_at_once
from .test_untrusted import HOSTILE

quick_on_s3 = pytest.mark.places("duckdb", "postgres", "delta", "s3")
"""What a store makes different, its commits, listings and keys, and what takes a second or two."""

no_matter_of_files = pytest.mark.places("duckdb", "postgres")
"""What a Delta table makes no different from what the other tests show of it: there it is in `make soak`."""


@pytest.fixture(
    params=[
        "duckdb",
        "postgres",
        pytest.param("delta", marks=pytest.mark.slow),
        pytest.param("s3", marks=pytest.mark.slow),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place of the test's own."""
    here = request.node.get_closest_marker("places")
    if request.param not in (here.args if here else ("duckdb", "postgres", "delta")):
        pytest.skip("in make soak")
    return make_place(request, tmp_path)


def settings_of(server: DemoServer, token: str | None = DEMO_TOKEN) -> CachetSettings:
    return CachetSettings.model_validate({"base_url": server.url, "api_key": token, "retry_delay": 0.01})


def small_world() -> World:
    return World.generate(
        incidents=4, components=3, groups=1, metrics=3, points=120, subscribers=3, schedules=2
    )


def failing(path: str) -> type:
    """Return a middleware that answers a path with an error."""

    class Failing:
        def __init__(self, app: App):
            self.app = app

        async def __call__(self, scope, receive, send) -> None:
            if scope["type"] == "http" and scope["path"].startswith(path):
                await send({"type": "http.response.start", "status": 400, "headers": []})
                await send({"type": "http.response.body", "body": b"no"})
            else:
                await self.app(scope, receive, send)

    return Failing


def test_a_cachet_3_lands_cell_by_cell_as_an_administrator_sees_it_twice_and_then_as_a_guest_does(
    place: Place,
) -> None:
    with serve_recorded() as server:
        first, points = load_page(settings_of(server, ADMIN), place.warehouse())
        with place.mirrored() as mirror:
            assert differences_3(mirror, "admin") == []
        before = place.rows("system_status", "*", "observed_at")
        second, again = load_page(settings_of(server, ADMIN), place.warehouse())

        assert first.keys() == second.keys() <= {"dashboards"}
        assert sum(one.new for one in points.values()) == place.count("metric_points")
        assert [(one.new, one.changed, one.deleted) for one in again.values()] == [(0, 0, 0)] * len(again)
        assert place.rows("system_status", "*", "observed_at") == before
        with place.mirrored() as mirror:
            assert differences_3(mirror, "admin") == []
            now = datetime.now(timezone.utc)
            assert place.check_results(now) == check_results(DuckDBSession(mirror, "cachet_data"), now)

        subscribers = place.count("subscribers")
        refused, _ = load_page(settings_of(server, None), place.warehouse(), points=False)

    assert "subscribers" in refused
    assert place.count("subscribers") == subscribers > 0
    with place.mirrored() as mirror:
        kept = ("subscribers", "subscriber_components", "dashboards", "metric_points")
        assert [
            text for text in differences_3(mirror, "guest", limit=10_000) if not text.startswith(kept)
        ] == []


@no_matter_of_files
def test_a_cachet_2_lands_cell_by_cell_and_is_the_same_after_a_full_refresh(place: Place) -> None:
    with serving_2() as server:
        load_page(settings_of(server, TOKEN_2), place.warehouse())
        with place.mirrored() as mirror:
            assert differences_2(mirror, WORLD_2, admin=True, page=server.url) == []
        _, points = load_page(settings_of(server, TOKEN_2), place.warehouse(), full_refresh=True)
        with place.mirrored() as mirror:
            assert differences_2(mirror, WORLD_2, admin=True, page=server.url) == []
    assert {(one.new, one.changed, one.deleted) for one in points.values()} == {(0, 0, 0)}


@no_matter_of_files
def test_an_endpoint_that_fails_keeps_its_rows_and_the_others_are_loaded(place: Place) -> None:
    if place.destination == "duckdb":
        pytest.skip("under each fault in faults/test_matrix.py")
    world = small_world()
    with DemoServer(world, me=True) as server:
        load_page(settings_of(server), place.warehouse(), points=False)
    for number in world.ids("components"):
        world.update("components", number, name="new")
    for number in world.ids("incidents"):
        world.update("incidents", number, name="new")

    with DemoServer(world, me=True, middleware=[failing("/api/incidents")]) as server:
        errors, _ = load_page(settings_of(server), place.warehouse(), points=False)

    assert {"incidents"} <= errors.keys() <= {"incidents", "incidents_by_id"}
    assert {name for (name,) in place.rows("components", "name")} == {"new"}
    assert "new" not in {name for (name,) in place.rows("incidents", "name")}
    assert place.count("incidents") == 4


@quick_on_s3
def test_points_are_added_bumped_back_dated_deleted_and_pruned_as_on_the_server(place: Place) -> None:
    world = small_world()
    start = datetime(2026, 3, 1, tzinfo=timezone.utc)
    with DemoServer(world) as server:
        settings, warehouse = settings_of(server), place.warehouse()
        _, first = load_page(settings, warehouse)
        assert sum(one.new for one in first.values()) == 360
        assert place.wrong_points(world) == []

        last = world.ids("metric_points", metric_id=1)[-1]
        world.update("metric_points", last, counter=9)
        world.add("metric_points", metric_id=2, value=1.5, counter=1, created_at="2020-01-01 00:00:00")
        world.post_point(3, 7.25, at=start + timedelta(days=4000))
        loaded = {
            one.metric_id: one for one in PointsLoad(settings, warehouse, lambda _: None).run([1, 2, 3])
        }
        assert [(one.new, one.changed) for one in loaded.values()] == [(0, 1), (1, 0), (1, 0)]
        assert place.wrong_points(world) == []

        for number in world.ids("metric_points", metric_id=1)[:5]:
            world.delete("metric_points", number, hard=True)
        (gone,) = PointsLoad(settings, warehouse, lambda _: None).run([1], full_refresh=True)
        assert (gone.deleted, gone.total) == (5, 115)
        assert place.wrong_points(world) == []

        world.delete("metrics", 2, hard=True)
        assert PointsLoad(settings, warehouse, lambda _: None).prune(world.ids("metrics")) == 121
        assert place.wrong_points(world) == []


@no_matter_of_files
def test_texts_that_strangers_write_land_as_they_are_and_do_nothing(place: Place) -> None:
    if place.destination == "duckdb":
        pytest.skip("in test_untrusted.py")
    world = World.generate(incidents=1, components=len(HOSTILE), metrics=1, points=1)
    for number, text in enumerate(HOSTILE, 1):
        world.update("components", number, name=text, description=text)
    with DemoServer(world) as server:
        for _ in range(2):
            load_page(settings_of(server), place.warehouse())

    assert place.rows("components", "name, description") == [(text, text) for text in HOSTILE]
    assert [name for name, (passed, *_) in place.check_results().items() if not passed] == []


@quick_on_s3
def test_values_are_the_same_everywhere(place: Place) -> None:
    row = {column.name: None for column in TABLES["components"].columns}
    at = datetime(2026, 11, 1, 5, 30, tzinfo=timezone.utc)
    meta = {"a": [1, "", None, 2**53 + 1], "ö": "\u20ac"}
    rows = [
        {**row, "id": 2**62, "name": "", "enabled": False, "order": -(2**40), "created_at": at, "meta": meta},
        {**row, "id": 1, "name": None, "description": " \t\n\u2028", "enabled": True},
    ]

    load(place.warehouse(), [table_resource(TABLES["components"], lambda: rows)])

    found = place.rows("components", 'id, name, description, enabled, "order", created_at')
    assert found == [
        (1, None, " \t\n\u2028", True, None, None),
        (2**62, "", None, False, -(2**40), at),
    ]
    with place.warehouse().reading() as session:
        number = session("components", "SELECT meta ->> '$.a[3]' AS number FROM {table} WHERE id > 1")
    assert [int(row["number"]) for row in number or []] == [2**53 + 1]


@quick_on_s3
def test_a_load_that_fails_leaves_the_old_rows_and_no_rows_of_its_own(place: Place) -> None:
    old = [{"id": number, "name": f"old {number}"} for number in range(1, 4)]
    load(place.warehouse(), [table_resource(TABLES["metrics"], lambda: old)])

    def explode() -> list[dict[str, object]]:
        raise LoadFailed("the disk of the reader is gone", "")

    with pytest.raises(LoadFailed, match="as it was"):
        load(
            place.warehouse(),
            [
                table_resource(TABLES["components"], lambda: [{"id": 1, "name": "new"}]),
                table_resource(TABLES["metrics"], explode),
            ],
        )

    assert place.rows("metrics", "id, name") == [tuple(row.values()) for row in old]
    assert place.count("components") == 0
    with place.warehouse().writing() as session:
        assert session.columns("metrics")


def test_a_view_on_a_table_survives_its_replacement(place: Place) -> None:
    if place.destination == "filesystem":
        pytest.skip("files hold no views")

    def put(name: str) -> None:
        load(place.warehouse(), [table_resource(TABLES["metrics"], lambda: [{"id": 1, "name": name}])])

    put("before")
    with place.warehouse().writing() as session:
        session.execute(
            f"CREATE VIEW {session.table('names')} AS SELECT name FROM {session.table('metrics')}"
        )
    put("after")

    with place.warehouse().reading() as session:
        assert session.execute(f"SELECT name FROM {session.table('names')}").fetchall() == [("after",)]


@no_matter_of_files
def test_two_pages_share_a_destination_and_keep_out_of_each_others_dataset(place: Place) -> None:
    if place.destination == "duckdb":
        pytest.skip("in test_datasets.py")
    first, second = (
        Place(
            place.destination, {**place.options, "dataset": f"{page}_data", "pipeline_name": f"{page}_page"}
        )
        for page in ("first", "second")
    )
    load(first.warehouse(), [table_resource(TABLES["metrics"], lambda: [{"id": 1, "name": "one"}])])
    load(second.warehouse(), [table_resource(TABLES["metrics"], lambda: [{"id": 2, "name": "two"}])])

    assert first.rows("metrics", "id, name") == [(1, "one")]
    assert second.rows("metrics", "id, name") == [(2, "two")]


@no_matter_of_files
def test_what_loads_leave_behind_does_not_grow(place: Place) -> None:
    if place.destination == "duckdb":
        pytest.skip("in test_dlt_commands.py")
    for number in range(3):
        load(
            place.warehouse(keep_loads=1),
            [table_resource(TABLES["metrics"], lambda: [{"id": number, "name": "x"}])],  # noqa: B023
        )

    with place.warehouse().reading() as session:
        loads = session("_dlt_loads", "SELECT load_id FROM {table}") or []
        # The load that brought dlt's state is kept beside the newest.
        assert len(loads) <= 2


@quick_on_s3
def test_whoever_waits_for_another_load_is_told_so_and_gives_up_after_the_bound(place: Place) -> None:
    load(place.warehouse(), [table_resource(TABLES["metrics"], tuple)])
    said: list[str] = []
    with place.warehouse().writing():
        began = time.monotonic()
        with pytest.raises(DatabaseBusy, match="CACHET_LOCK_WAIT"):
            place.warehouse(wait=0.2, log=said.append).probe()
        assert time.monotonic() - began >= 0.2
    place.warehouse(wait=0.2).probe()
    assert len(said) == 1
    assert "waiting" in said[0]


@pytest.mark.places("duckdb", "postgres")
@pytest.mark.slow
def test_a_load_that_is_killed_leaves_each_table_as_it_was_or_as_it_is_now(
    place: Place, tmp_path: Path
) -> None:
    if place.destination == "duckdb":
        pytest.skip("killed at each stage in test_crashes.py")
    counted = killed_loads(place, tmp_path, 1)

    assert counted["survived"] == 1


@pytest.mark.places("duckdb", "postgres")
@pytest.mark.slow
def test_loads_at_once_lose_double_and_mix_nothing(place: Place, tmp_path: Path) -> None:
    if place.destination == "duckdb":
        pytest.skip("many processes at once in test_turns.py")
    counted = loads_at_once(place, tmp_path, processes=4, points=150)

    assert (counted["wrong points"], counted["mixed tables"]) == (0, 0)
    assert counted["points"] == 4 * 150
    assert counted["looks meanwhile"] > 0
    if place.destination == "postgres":
        with place.warehouse().reading() as session:
            schemas = session.execute("SELECT schema_name FROM information_schema.schemata ORDER BY 1")
        assert [name for (name,) in schemas.fetchall() if name.startswith("cachet")] == ["cachet_data"]


def test_a_dataset_is_of_one_page_until_it_is_said_to_have_moved(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.variables().items():
        monkeypatch.setenv(name, value)
    pages = {word: World.generate(metrics=1) for word in ("one", "other")}
    for word, world in pages.items():
        world.update("metrics", 1, name=word)
    with DemoServer(pages["one"]) as one, DemoServer(pages["other"]) as other:
        settings = {
            "destination": place.destination,
            "database": str(place.options.get("database", "")) or None,
        }

        def run(server: DemoServer, **more: str) -> list[str]:
            values = {"base_url": server.url, **{k: v for k, v in settings.items() if v}, **more}
            return load_metrics_asset(
                StatusPage(env_prefix="CACHET_", token=SecretStr(DEMO_TOKEN), values=values)
            )

        assert run(one) == []
        (refused,) = run(other)
        assert f"holds {one.url}" in refused
        assert f"set CACHET_MOVED_FROM to {one.url}" in refused
        assert place.rows("metrics", "name") == [("one",)]

        assert run(other, moved_from=one.url) == []
        assert place.rows("metrics", "name") == [("other",)]
        (refused,) = run(one)
        assert f"holds {other.url}" in refused


def test_plain_dlt_lands_the_same_and_reads_on_from_where_the_tables_end(
    place: Place, tmp_path: Path
) -> None:
    world = small_world()

    def run(server: DemoServer) -> int:
        server.clear_requests()
        pipeline = dlt.pipeline(
            "plain", pipelines_dir=str(tmp_path), destination=place.of_dlt(), dataset_name="cachet_data"
        )
        pipeline.run(cachet_source(base_url=server.url, api_key=DEMO_TOKEN))
        return sum(times for path, times in server.paths.items() if path.endswith("/points"))

    with DemoServer(world) as server:
        first = run(server)
        before = {table: place.count(table) for table in TABLES}
        assert place.wrong_points(world) == []
        world.post_point(3, 7.25, at=datetime(2037, 1, 1, tzinfo=timezone.utc))
        second = run(server)

    # Six pages of points; then the newest page of each metric.
    assert (first, second) == (6, 3)
    assert place.wrong_points(world) == []
    assert {table: place.count(table) for table in TABLES} == before | {"metric_points": 361}


def test_in_plain_dlt_a_deleted_point_of_a_cachet_2_goes_and_hides_none_with_a_past_time(
    place: Place, tmp_path: Path
) -> None:
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    world = World.generate(metrics=2, points=1_500)

    def run(server: DemoServer) -> tuple[int, set[int]]:
        server.clear_requests()
        pipeline = dlt.pipeline(
            "plain", pipelines_dir=str(tmp_path), destination=place.of_dlt(), dataset_name="cachet_data"
        )
        source = cachet_source(base_url=server.url, api_key=DEMO_TOKEN).with_resources("metric_points")
        pipeline.run(source)
        asked = sum(times for path, times in server.paths.items() if path.endswith("/points"))
        return asked, {number for (number,) in place.rows("metric_points", "id")}

    with DemoServer(world, api=2) as server:
        run(server)
        world.delete("metric_points", 7, hard=True)
        settled = [run(server) for _ in range(2)]
        present = {*world.ids("metric_points")}
        added = world.post_point(1, 3.5, at=began, created_at=began - timedelta(days=300))["id"]
        found = run(server)

    # One request a metric, and one more for that which has to be read whole.
    assert settled == [(3, present), (2, present)]
    assert found == (3, present | {added})


def load_metrics_asset(page: StatusPage) -> list[str]:
    """Materialize the metrics of a page, and return what the run tells where it failed."""
    assets = tables_asset(page)
    with DagsterInstance.ephemeral() as instance:
        done = materialize(
            [assets],
            selection=AssetSelection.assets(AssetKey(["cachet", "metrics"])).without_checks(),
            instance=instance,
            run_config=QUIET,
            raise_on_error=False,
        )
    return failures_of(done)
