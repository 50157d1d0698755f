"""What the tables promise is checked where they are loaded, and a broken promise says which rows, and what to do.

Everything runs through Dagster, against real servers and DuckDB files.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetSelection,
    DagsterInstance,
    ExecuteInProcessResult,
    materialize,
)
from pydantic import SecretStr

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, living_world
from cachet_dagster.demo.answers import App, Message, Receive, Scope, Send
from cachet_dagster.source import TABLES
from cachet_dagster.status_page.checks import check_keys, freshness
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.partitions import metric_keys
from cachet_dagster.status_page.points_asset import points_asset
from cachet_dagster.status_page.tables_asset import tables_asset
from cachet_dagster_tests.conftest import ADMIN, serve_recorded

from .dagster_runs import failure, materialized

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
WARN, ERROR = AssetCheckSeverity.WARN, AssetCheckSeverity.ERROR

Checks = dict[tuple[str, str], AssetCheckEvaluation]


class Page:
    """A status page, a database for it, and an instance that remembers the runs."""

    def __init__(self, folder: Path, server: DemoServer, token: str | None, instance: DagsterInstance):
        self.database = folder / "cachet.duckdb"
        self.server = server
        self.instance = instance
        self.token = token
        self.moved_from: str | None = None
        self.run: ExecuteInProcessResult | None = None

    def tables(self, *tables: str, max_loss: str | None = None, accept_loss: bool = False) -> Checks:
        """Load the named tables, all where none is named, and return what the checks said."""
        selection = (
            AssetSelection.assets(*(self.page.asset_key(table) for table in tables)) if tables else None
        )
        return self.select(selection, max_loss, accept_loss=accept_loss)

    def select(
        self, selection: AssetSelection | None, max_loss: str | None = None, *, accept_loss: bool = False
    ) -> Checks:
        page = replace(self.page, values={**self.page.values, **({"max_loss": max_loss} if max_loss else {})})
        return self._evaluated(
            materialize(
                [tables_asset(page), points_asset(page)],
                selection=selection or AssetSelection.assets(tables_asset(page)),
                instance=self.instance,
                run_config={**QUIET, "ops": {"cachet_tables": {"config": {"accept_loss": True}}}}
                if accept_loss
                else QUIET,
                raise_on_error=False,
            )
        )

    def points(self, *, full_refresh: bool = False) -> Checks:
        """Load the points of all partitions."""
        keys = metric_keys(self.page, self.instance)
        return self._evaluated(
            materialize(
                [points_asset(self.page)],
                instance=self.instance,
                run_config={
                    **QUIET,
                    "ops": {"cachet_load_points": {"config": {"full_refresh": full_refresh}}},
                },
                tags={
                    "dagster/asset_partition_range_start": keys[0],
                    "dagster/asset_partition_range_end": keys[-1],
                },
                raise_on_error=False,
            )
        )

    def reload(self, metric_ids: Sequence[int]) -> Checks:
        """Load the points of metrics as `cachet_reload_metrics` does."""
        return self._evaluated(
            page_definitions(self.page)
            .resolve_job_def("cachet_reload_metrics")
            .execute_in_process(
                instance=self.instance,
                run_config={
                    **QUIET,
                    "ops": {"cachet_reload": {"config": {"metric_ids": list(metric_ids)}}},
                },
            )
        )

    def check(self, *names: tuple[str, str]) -> Checks:
        """Evaluate checks alone, without a load."""
        return self.select(
            AssetSelection.checks(*(AssetCheckKey(self.page.asset_key(table), name) for table, name in names))
        )

    def sql(self, sql: str) -> list[tuple[Any, ...]]:
        """Run SQL in the database, as somebody else would."""
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("USE cachet_data")
            return connection.execute(sql).fetchall()

    @property
    def page(self) -> StatusPage:
        """The page as a value."""
        return StatusPage(
            token=SecretStr(self.token) if self.token else None,
            values={
                "base_url": self.server.url,
                "database": str(self.database),
                "moved_from": self.moved_from,
            },
        )

    def _evaluated(self, result: ExecuteInProcessResult) -> Checks:
        self.run = result
        return {
            (found.asset_key.path[-1], found.check_name): found
            for found in (
                event.asset_check_evaluation_data
                for event in result.all_events
                if event.event_type_value == "ASSET_CHECK_EVALUATION"
            )
        }


class Misbehaviour:
    """What a server's answers are turned into before they are sent: path → what becomes of the body."""

    def __init__(self) -> None:
        self.paths: dict[str, Callable[[bytes], bytes]] = {}
        self.refused: set[str] = set()

    def __call__(self, app: App) -> App:
        async def misbehave(scope: Scope, receive: Receive, send: Send) -> None:
            change = self.paths.get(scope["path"])
            started: dict[str, Any] = {}

            async def send_changed(message: Message) -> None:
                if scope["path"] in self.refused and message["type"] == "http.response.start":
                    message = {**message, "status": 403}
                if change is None:
                    await send(message)
                elif message["type"] == "http.response.start":
                    started.update(message)
                else:
                    body = change(message.get("body", b""))
                    kept = [pair for pair in started["headers"] if pair[0].lower() != b"content-length"]
                    await send({**started, "headers": [*kept, (b"content-length", b"%d" % len(body))]})
                    await send({**message, "body": body})

            await app(scope, receive, send_changed)

        return misbehave


@pytest.fixture(scope="module")
def instance() -> Iterator[DagsterInstance]:
    """Return an instance in memory, shared: a load of `metrics` makes its partitions those of its page."""
    with DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def new_page(tmp_path, instance) -> Callable[..., Page]:
    """Return a function that makes a page of a server, with a database of its own."""
    return lambda server, token=ADMIN: Page(tmp_path, server, token, instance)


@pytest.fixture
def page(new_page, serve) -> Page:
    """Return the recorded page, as an administrator sees it."""
    return new_page(serve())


@pytest.fixture(scope="module")
def loaded_once(tmp_path_factory, instance) -> Iterator[tuple[Page, Checks]]:
    """Return the recorded page, loaded, and what the checks said; for tests that only look."""
    folder = tmp_path_factory.mktemp("page")
    with serve_recorded() as server:
        page = Page(folder, server, ADMIN, instance)
        yield page, {**page.tables(), **page.points()}


@pytest.fixture
def copy(loaded_once, new_page, serve, tmp_path) -> Page:
    """Return the recorded page with a server and a database of its own, loaded already."""
    page, _checks = loaded_once
    shutil.copy(page.database, tmp_path)
    copied = new_page(serve())
    copied.moved_from = page.server.url
    return copied


def broken(checks: Checks) -> dict[tuple[str, str], tuple[AssetCheckSeverity, str]]:
    return {
        key: (found.severity, found.description or "") for key, found in checks.items() if not found.passed
    }


def names(table: str) -> set[str]:
    return {key.name for key in check_keys(StatusPage(), [table])}


def rows_of(found: AssetCheckEvaluation) -> list[dict[str, Any]]:
    (rows,) = [value for name, value in found.metadata.items() if name.endswith("_rows")]
    return [dict(record.data) for record in rows.records]


def sql_of(found: AssetCheckEvaluation) -> str:
    (sql,) = [value.value for name, value in found.metadata.items() if name.endswith("_sql")]
    return sql


def test_an_administrators_load_of_the_recorded_page_breaks_nothing_and_counts_links_to_unlisted_components(
    loaded_once,
):
    _page, checks = loaded_once

    assert {table for table, _ in checks} == set(TABLES)
    assert all({name for of, name in checks if of == table} == names(table) for table in TABLES)
    assert broken(checks) == {}
    found = checks["incident_components", "consistent"]
    assert found.description.endswith(
        "19 ids that components does not hold, in 60 rows: hidden, or deleted in Cachet."
    )


def test_every_evaluation_has_a_number_that_can_be_plotted(loaded_once):
    _page, checks = loaded_once

    assert {type(found.metadata["found"].value) for found in checks.values()} == {int}


def test_what_a_check_found_is_kept_where_dagster_keeps_its_runs(tmp_path, serve):
    keys = check_keys(StatusPage(), ["incidents"])
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        Page(tmp_path, serve(), ADMIN, instance).tables("incidents")
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        kept = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)

    assert {kept[key].status.value for key in keys} == {"SUCCEEDED"}


@pytest.mark.slow
def test_a_guests_load_breaks_nothing_and_leaves_the_checks_of_subscribers_open(new_page, serve):
    page = new_page(serve(), None)

    checks = {**page.tables(), **page.points()}

    assert page.run.success
    assert broken(checks) == {}
    assert set(TABLES) - {table for table, _ in checks} == {"subscribers", "subscriber_components"}


@pytest.mark.parametrize("token", [DEMO_TOKEN, None], ids=["administrator", "guest"])
def test_the_demo_stays_green_over_the_turn_of_a_month_when_old_rows_go(new_page, token):
    now = [datetime(2026, 11, 30, 23, 50, tzinfo=timezone.utc)]
    with DemoServer(partial(living_world, 1), clock=lambda: now[0], me=True) as server:
        page = new_page(server, token)

        first = {**page.tables(), **page.points()}
        incidents = page.sql("SELECT count(*) FROM incidents")
        now[0] += timedelta(minutes=30)
        second = {**page.tables(), **page.points(full_refresh=True)}

        assert page.sql("SELECT count(*) FROM incidents") < incidents
        assert broken(first) == {}
        assert broken(second) == {}
        assert page.run.success


def test_points_loaded_before_their_metrics_pass_with_a_note(page):
    checks = page.reload([1, 2])

    assert broken(checks) == {}
    assert checks.keys() == {("metric_points", name) for name in names("metric_points")}
    assert checks["metric_points", "consistent"].description.endswith(" metrics has not been loaded yet.")


def test_only_the_checks_that_were_selected_are_evaluated(page):
    incidents = AssetSelection.assets(page.page.asset_key("incidents"))
    one = AssetSelection.checks(AssetCheckKey(page.page.asset_key("incidents"), "as_declared"))

    none = page.select(incidents.without_checks())
    some = page.select(incidents.without_checks() | one)

    assert none == {}
    assert some.keys() == {("incidents", "as_declared")}


def test_checks_alone_ask_cachet_for_nothing(page):
    page.tables("incident_templates")
    page.server.clear_requests()

    checks = page.select(
        AssetSelection.checks(*check_keys(page.page, ["incident_templates", "metric_points"]))
    )

    assert page.run.success
    assert page.server.request_count == 0
    assert {name for table, name in checks if table == "incident_templates"} == names("incident_templates")
    assert not checks["metric_points", "consistent"].passed
    assert checks["metric_points", "consistent"].description == "The table has not been loaded yet."


def test_the_checks_of_a_table_that_failed_are_left_open(new_page, serve):
    misbehaviour = Misbehaviour()
    page = new_page(serve(middleware=[misbehaviour]))
    page.tables("components", "metrics")
    misbehaviour.refused.add("/api/components")

    checks = page.tables("components", "metrics")

    assert not page.run.success
    assert {table for table, _ in checks} == {"metrics"}
    key = AssetCheckKey(page.page.asset_key("components"), "as_declared")
    latest = page.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert latest.run_id == page.run.run_id
    assert latest.status.value == "PLANNED"


def test_a_key_that_is_shared_or_missing_is_named(copy):
    copy.sql("INSERT INTO incident_templates SELECT * FROM incident_templates WHERE id <= 12")
    copy.sql("ALTER TABLE incident_templates ALTER id DROP NOT NULL")
    copy.sql("UPDATE incident_templates SET id = NULL WHERE id = 25")

    found = copy.check(("incident_templates", "consistent"))["incident_templates", "consistent"]

    assert (found.passed, found.severity) == (False, ERROR)
    assert found.description.startswith("13 keys are null or of several rows: id 1; id 2; ")
    assert rows_of(found)[0] == {"id": 1, "rows": 2}
    assert len(rows_of(found)) == 10
    assert len(copy.sql(sql_of(found))) == 13


def test_points_of_a_deleted_metric_are_counted_and_said_how_to_remove(copy):
    copy.server.world.delete("metrics", 3)
    copy.tables("metrics")

    found = copy.points()["metric_points", "consistent"]

    assert found.passed
    assert "1 id that metrics does not hold, in 250 rows: hidden, or deleted in Cachet. " in found.description
    assert "`prune`" in found.description


def test_a_reference_within_one_endpoint_that_leads_nowhere_is_an_error(copy):
    copy.sql("DELETE FROM incidents WHERE id = 5")

    found = copy.check(("incident_updates", "consistent"))["incident_updates", "consistent"]

    assert (found.passed, found.severity) == (False, ERROR)
    assert found.description.startswith("1 id that incidents does not hold, in 3 rows. ")
    assert {row["missing_id"] for row in rows_of(found)} == {5}


def test_points_with_an_attribute_that_nobody_foresaw_are_counted_right_when_they_are_read_again(
    new_page, serve
):
    def odd(body: bytes) -> bytes:
        return body.replace(b'"counter":', b'"note":"<b>|","counter":')

    misbehaviour = Misbehaviour()
    misbehaviour.paths = {f"/api/metrics/{number}/points": odd for number in range(1, 6)}
    page = new_page(serve(middleware=[misbehaviour]))
    page.tables("metrics")

    page.points()
    second = page.points()

    assert page.run.success
    assert broken(second).keys() == {("metric_points", "as_declared")}
    # What is stored as it was read is not written again.
    assert sum(values["rows_changed"] for values in materialized(page.run).values()) == 0


def test_a_sudden_loss_is_stopped_until_it_is_let_through(copy):
    ids = [number for (number,) in copy.sql("SELECT id FROM incidents ORDER BY id")]
    for number in ids[:200]:
        copy.server.world.delete("incidents", number)

    checks = copy.tables("incidents", "components")
    kept = copy.sql("SELECT count(*) FROM incidents")
    reason = failure(copy.run)
    copy.tables("incidents", accept_loss=True)

    assert copy.run.success
    assert {table for table, _ in checks} == {"components"}
    assert "incidents held 222 rows and would hold 22: 200 would go at once" in reason
    assert "more than the share that CACHET_MAX_LOSS allows (0.5)" in reason
    assert "Check CACHET_BASE_URL and what CACHET_API_TOKEN may see" in reason
    assert "accept_loss: true" in reason
    assert kept == [(222,)]
    assert copy.sql("SELECT count(*) FROM incidents") == [(22,)]


def test_how_much_may_be_lost_is_a_setting(copy):
    for number in copy.sql("SELECT id FROM incidents ORDER BY id LIMIT 200"):
        copy.server.world.delete("incidents", number[0])

    copy.tables("incidents", max_loss="0.95")
    through = copy.run
    copy.tables("incidents", max_loss="95 %")

    assert through.success
    assert not copy.run.success
    assert "CACHET_MAX_LOSS is '95 %'" in str(copy.run.all_events)


def test_attributes_and_types_that_nobody_foresaw_are_named_without_their_values(new_page, serve):
    misbehaviour = Misbehaviour()
    misbehaviour.paths["/api/incident-templates"] = lambda body: re.sub(
        rb'"engine":"\w+"', b'"engine":"twig","impact":"<script>alert(1)</script>|`"', body
    )
    misbehaviour.paths["/api/metrics"] = lambda body: re.sub(rb'"places":\d+', b'"places":"<b>two</b>"', body)
    page = new_page(serve(middleware=[misbehaviour]))

    odd = page.tables("incident_templates", "metrics")
    misbehaviour.paths.clear()
    cured = page.tables("incident_templates", "metrics")

    found = odd["incident_templates", "as_declared"]
    assert (found.passed, found.severity) == (False, WARN)
    assert found.description.startswith("Columns beyond the declared hold values: impact. ")
    assert rows_of(found)[0] == {"id": 1, "column": "impact"}
    assert "places__v_text" in odd["metrics", "as_declared"].description
    assert "<" not in str(found.description) + str(rows_of(found)) + sql_of(found)
    assert broken(cured) == {}


def test_a_column_whose_name_is_markup_does_nothing(copy):
    copy.sql('ALTER TABLE incident_templates ADD COLUMN "<script>|`" INTEGER DEFAULT 1')

    found = copy.check(("incident_templates", "as_declared"))["incident_templates", "as_declared"]

    assert found.description.startswith("Columns beyond the declared hold values: _script___. ")
    assert rows_of(found)[0]["column"] == "_script___"
    assert len(copy.sql(sql_of(found))) == 25


def test_a_declared_column_that_is_missing_or_of_another_type_is_an_error(copy):
    copy.sql("ALTER TABLE incident_templates DROP COLUMN slug")
    copy.sql("ALTER TABLE incident_templates ALTER engine TYPE BLOB")

    found = copy.check(("incident_templates", "as_declared"))["incident_templates", "as_declared"]

    assert (found.passed, found.severity) == (False, ERROR)
    assert "slug is missing, engine is BLOB, not text" in found.description


def test_a_check_that_cannot_be_evaluated_fails_and_takes_nothing_else_with_it(copy):
    copy.sql("ALTER TABLE incident_templates DROP COLUMN updated_at")

    checks = copy.check(("incident_templates", "as_declared"), ("incident_templates", "consistent"))

    assert not copy.run.success
    assert "incident_templates: the check as_declared failed. " in failure(copy.run)
    assert checks["incident_templates", "consistent"].passed
    assert not checks["incident_templates", "as_declared"].passed
    assert "It could not be checked: " in checks["incident_templates", "as_declared"].description


def test_codes_that_nobody_foresaw_are_named_with_their_rows(copy):
    copy.sql("UPDATE components SET status = 9, latest_status = NULL WHERE id IN (3, 4)")

    found = copy.check(("components", "as_declared"))["components", "as_declared"]

    assert (found.passed, found.severity) == (False, WARN)
    assert found.description == "Codes that nobody foresaw: status 9 (2 rows). First of them: id 3; id 4."
    assert rows_of(found) == [
        {"id": 3, "column": "status", "code": 9},
        {"id": 4, "column": "status", "code": 9},
    ]


def test_times_beyond_the_servers_clock_point_to_the_time_zone(new_page):
    now = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
    with DemoServer(partial(living_world, 1), clock=lambda: now, timezone="Asia/Tokyo") as server:
        page = new_page(server, DEMO_TOKEN)

        tables = page.tables("schedules", "metrics")
        points = page.points()

    found = points["metric_points", "as_declared"]
    assert (found.passed, found.severity) == (False, WARN)
    assert "beyond the server's clock (2026-11-23 12:00 UTC)" in found.description
    assert "CACHET_TIMEZONE" in found.description
    assert rows_of(found)[0].keys() == {"id", "column", "at"}
    # Planned times lie in the future by design.
    assert tables["metrics", "as_declared"].passed
    assert page.sql("SELECT count(*) FROM schedules WHERE scheduled_at > '2026-11-24'")[0][0] > 0


@pytest.mark.parametrize(
    ("cron", "warned", "failed"),
    [
        ("0 * * * *", timedelta(hours=2), timedelta(hours=6)),
        ("*/10 * * * *", timedelta(minutes=20), timedelta(hours=1)),
        ("@daily", timedelta(days=2), timedelta(days=6)),
        # From Friday 18:00 to Monday 8:00 nothing runs.
        ("0 8-18 * * 1-5", timedelta(hours=62 + 1), timedelta(hours=62 + 5)),
    ],
)
def test_how_fresh_an_asset_must_be_follows_from_its_schedule(cron, warned, failed):
    policy = freshness(cron)

    assert policy.warn_window.to_timedelta() == warned
    assert policy.fail_window.to_timedelta() == failed
