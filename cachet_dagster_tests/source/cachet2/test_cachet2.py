"""A Cachet 2 lands complete and right, whatever database is behind it and whoever asks."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachet_dagster.demo.answers import App, Message, Receive, Scope, Send
from cachet_dagster.demo.cachet2 import Cachet2World
from cachet_dagster.demo.server import DemoServer
from cachet_dagster.source import ENDPOINTS, TABLES, ByIdRequest, CachetReader, CachetSettings, cachet_source
from cachet_dagster.source.errors import NotFound, Refused, Unstable
from cachet_dagster.source.points.read import read_points
from cachet_dagster.source.stored import Stored
from cachet_dagster_tests import recordings
from cachet_dagster_tests.conftest import new_pipeline
from cachet_dagster_tests.truth_cachet2 import (
    EMPTY,
    TYPES,
    differences,
    expected_tables,
    row_differences,
    stored_rows,
)

WORLD = recordings.world("v2")
TOKEN = recordings.tokens("v2")["admin"]
LISTS = [name for name, endpoint in ENDPOINTS.items() if not endpoint.kind.per_metric]


class ServerTime:
    """The present, from which waiting for the server's clock leads away at once."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


TIME = ServerTime()


@contextmanager
def serving(world: Any = None, **options: Any) -> Iterator[DemoServer]:
    """Serve a Cachet 2, by default the recorded one, to guests and to the recorded token."""
    world = Cachet2World.load(WORLD) if world is None else world
    options = {"clock": TIME.now, **options}
    with DemoServer(world, api=2, tokens={TOKEN: {"*"}}, **options) as server:
        yield server


def reader_of(server: DemoServer, token: str | None = TOKEN, **options: Any) -> CachetReader:
    settings = {"retry_delay": 0.01, **options.pop("settings", {})}
    options = {"sleep": TIME.sleep, **options}
    return CachetReader(CachetSettings(base_url=server.url, api_key=token, **settings), **options)


def load(server: DemoServer, folder: Path, token: str | None = TOKEN, **options: Any) -> Path:
    """Load everything in plain dlt, and return the DuckDB file."""
    new_pipeline(folder).run(cachet_source(base_url=server.url, api_key=token, **options))
    return folder / "cachet.duckdb"


def ids_read_naively(server: DemoServer, path: str, size: int, token: str | None = TOKEN) -> list[int]:
    """Read a list as most clients do: page after page, as the server says that there are more."""
    url: str | None = f"{server.api_url}/{path}?per_page={size}"
    ids: list[int] = []
    while url:
        request = urllib.request.Request(url, headers={"X-Cachet-Token": token} if token else {})
        with urllib.request.urlopen(request) as response:
            body = json.load(response)
        ids += [row["id"] for row in body["data"]]
        url = body["meta"]["pagination"]["links"]["next_page"]
    return ids


def answering(change: Callable[[str, int, Any], tuple[int, Any] | None]) -> Callable[[App], App]:
    """Return a middleware that replaces answers: (path, status, document) → the same, or None to keep it."""

    def wrap(app: App) -> App:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            kept: list[Message] = []

            async def keep(message: Message) -> None:
                kept.append(message)

            await app(scope, receive, keep)
            changed = change(scope["path"], kept[0]["status"], json.loads(kept[1]["body"]))
            if changed is not None:
                kept[0]["status"], document = changed
                kept[1]["body"] = json.dumps(document).encode()
                kept[0]["headers"] = [
                    (name, value) for name, value in kept[0]["headers"] if name != b"content-length"
                ] + [(b"content-length", str(len(kept[1]["body"])).encode())]
            for message in kept:
                await send(message)

        return wrapped

    return wrap


def before_each(action: Callable[[str], None]) -> Callable[[App], App]:
    """Return a middleware that does something before each request is answered."""

    def wrap(app: App) -> App:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            action(scope["path"])
            await app(scope, receive, send)

        return wrapped

    return wrap


NOT_FOUND = {
    "errors": [{"status": 404, "title": "Not Found", "detail": "The requested resource could not be found."}]
}


def rows_read(reader: CachetReader) -> dict[str, list[dict[str, Any]]]:
    """Return all that a reader reads, points too, by table; empty where the caller is shown nothing."""
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for read in reader.read(LISTS).values():
        rows |= read.rows
    metric_ids = [row["id"] for row in rows["metrics"]]
    for batch in read_points(reader, metric_ids, {}):
        for step in batch:
            for point in step.rows.to_pylist():
                rows["metric_points"].append(point)
    return rows


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the DuckDB file of an administrator's load from MariaDB, and the page's address."""
    with serving(database="mysql") as server:
        return load(server, tmp_path_factory.mktemp("loaded")), server.url


def test_every_cell_that_an_administrator_may_see_is_loaded_from_mariadb(loaded):
    path, page = loaded

    assert differences(path, WORLD, admin=True, page=page) == []


def test_every_cell_that_a_guest_may_see_is_loaded(tmp_path):
    with serving() as server:
        path = load(server, tmp_path, token=None)

    assert differences(path, WORLD, admin=False, page=server.url) == []


@pytest.mark.parametrize("database", ["sqlite", "mysql", "pgsql"])
@pytest.mark.parametrize("token", [TOKEN, None], ids=["admin", "guest"])
def test_every_cell_that_the_caller_may_see_is_read_whatever_the_database(database, token):
    with serving(database=database) as server:
        rows = rows_read(reader_of(server, token))

    assert row_differences(rows, expected_tables(WORLD, admin=token is not None, page=server.url)) == []


def test_a_single_wrong_cell_and_a_single_missing_row_would_be_noticed(loaded):
    path, page = loaded
    world = {table: [dict(row) for row in rows] for table, rows in WORLD.items()}
    world["incidents"][0]["occurred_at"] = "2025-11-20 11:50:01"
    world["metric_points"].append({**world["metric_points"][-1], "id": 99_999})

    found = differences(path, world, admin=True, page=page)

    assert [text.partition(": ")[0] for text in found] == [
        "incidents (1,) occurred_at",
        "incidents_by_id (1,) occurred_at",
        "metric_points (99999,)",
    ]


def test_all_tables_are_there_with_their_declared_types_and_nothing_secret_in_them(loaded):
    path, _ = loaded

    with duckdb.connect(str(path), read_only=True) as connection:
        columns = connection.execute(
            "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        ).fetchall()
        everything = "\n".join(
            str(connection.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall())
            for schema, table in {(schema, table) for schema, table, *_ in columns}
        )
        empty = {table: stored_rows(connection, table) for table in EMPTY}
        versions = stored_rows(connection, "versions")
        status = stored_rows(connection, "system_status")

    types = {(table, name): kind for _, table, name, kind in columns}
    assert {
        (table.name, column.name): types.get((table.name, column.name))
        for table in TABLES.values()
        for column in table.columns
    } == {
        (table.name, column.name): TYPES[column.data_type]
        for table in TABLES.values()
        for column in table.columns
    }
    further = {
        (table, name)
        for table, name in types
        if table in TABLES and not name.startswith("_dlt_")
        if name not in {column.name for column in TABLES[table].columns}
    }
    assert further == set()
    assert empty == {table: [] for table in EMPTY}
    assert [(row["version"], row["api_version"]) for row in versions] == [("2.4.1", 2)]
    assert [(row["status"], row["status_source"]) for row in status] == [("partial_outage", "info")]
    assert "subscriber1@example.com" in everything
    assert "verifycode" not in everything
    assert "verify_code" not in everything
    assert "hooks.example.com" not in everything


def test_an_empty_page_loads_into_empty_tables_that_of_points_too(tmp_path):
    with serving(Cachet2World()) as server:
        path = load(server, tmp_path)

    with duckdb.connect(str(path), read_only=True) as connection:
        counts = {
            table: connection.execute(f'SELECT count(*) FROM cachet_data."{table}"').fetchall()[0][0]
            for table in TABLES
        }
    assert {table for table, count in counts.items() if count} == {"system_status", "versions"}


@pytest.mark.parametrize("database", ["sqlite", "mysql", "pgsql"])
def test_lists_are_complete_in_few_requests_on_every_database(database):
    with serving(database=database) as server:
        reads = reader_of(server).read(LISTS)

    assert {name: read.outcome for name, read in reads.items() if read.outcome != "read"} == {
        "dashboards": "not offered"
    }
    for name in ("incidents", "components", "schedules", "incident_templates"):
        assert [row["id"] for row in reads[name].rows[name]] == [
            row["id"] for row in WORLD[name] if row["deleted_at"] is None
        ]
    assert {name: read.requests for name, read in reads.items() if read.requests != 1} == {
        # Once more each page on which a time may stand for a null.
        **{"incidents": 4 + 3, "schedules": 1 + 1, "subscribers": 1 + 1},
        **{"incidents_by_id": 0, "components": 3, "components_by_id": 0, "dashboards": 0},
        # Two of them found out that it is a Cachet 2.
        "versions": 3,
    }


def test_a_page_without_news_is_read_again_in_no_request_for_its_nulls():
    with serving() as server:
        first = reader_of(server).read(LISTS)
        stored = Stored(rows={table: rows for read in first.values() for table, rows in read.rows.items()})
        again = reader_of(server, stored=stored).read(LISTS)

    assert {name: again[name].requests for name in ("incidents", "schedules", "subscribers")} == {
        **{"incidents": 4, "schedules": 1, "subscribers": 1}
    }
    for name in ("incidents", "incidents_by_id", "schedules", "subscribers"):
        assert again[name].rows == first[name].rows


def test_naive_paging_loses_rows_on_mariadb_and_this_does_not():
    with serving(database="mysql") as server:
        naive = ids_read_naively(server, "incidents", 100)
        read = reader_of(server).read(["incidents"])["incidents"]

    assert len(naive) == 232
    assert len(set(naive)) == 229
    assert len({row["id"] for row in read.rows["incidents"]}) == 232


def test_numbers_that_an_old_server_prints_as_texts_are_numbers():
    def printed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: item if name in ("meta", "tags", "pagination") else printed(item)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [printed(item) for item in value]
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    names = ["incidents", "incidents_by_id", "components", "components_groups", "metrics", "schedules"]
    changed = answering(
        lambda _path, status, document: (status, printed(document)) if server_is_old else None
    )
    server_is_old = False
    with serving(middleware=[changed]) as server:
        plain = reader_of(server).read(names)
        server_is_old = True
        texts = reader_of(server).read(names)

    for name in names:
        assert texts[name].error is None
        assert texts[name].rows == plain[name].rows


def test_rows_that_are_named_come_from_the_list_which_by_id_answers_equal():
    with serving() as server:
        listed = reader_of(server).read(["incidents_by_id"])["incidents_by_id"]
        asked = reader_of(server, by_id={"incidents_by_id": ByIdRequest(ids=[1, 2])}).read(
            ["incidents_by_id"]
        )
        unknown = reader_of(server, by_id={"incidents_by_id": ByIdRequest(ids=[99_999])}).read(
            ["incidents_by_id"]
        )

    assert asked["incidents_by_id"].rows == listed.rows
    assert not [path for path in server.paths if path.startswith("/api/v1/incidents/")]
    assert isinstance(unknown["incidents_by_id"].error, NotFound)


def test_a_full_refresh_asks_for_no_row_singly_since_its_answer_equals_the_list_s():
    by_id = {name: ByIdRequest(full_refresh=True) for name in ENDPOINTS}
    with serving() as server:
        plain = reader_of(server).read(LISTS)
        requests = server.request_count
        server.clear_requests()
        refreshed = reader_of(server, by_id=by_id).read(LISTS)

    assert server.request_count == requests
    assert refreshed["incidents_by_id"].rows == plain["incidents_by_id"].rows


def test_a_list_of_ten_thousand_rows_without_an_order_is_read_in_two_pages():
    templates = [
        {"id": number, "name": f"T{number}", "slug": f"t{number}", "template": "", "deleted_at": None}
        | {"created_at": "2026-01-01 00:00:00", "updated_at": "2026-01-01 00:00:00"}
        for number in range(1, 10_051)
    ]

    with serving(Cachet2World({"incident_templates": templates}), database="mysql") as server:
        read = reader_of(server).read(["incident_templates"])["incident_templates"]

    assert len(read.rows["incident_templates"]) == 10_050
    assert read.requests == 2


def many_incidents(count: int) -> Cachet2World:
    world = Cachet2World()
    for number in range(count):
        world.add("incidents", name=f"Incident {number}", created_at="2026-01-01 00:00:00")
    return world


@pytest.mark.parametrize("disturbed", [1, 2, 3, 4])
@pytest.mark.parametrize("change", ["delete", "delete and add", "add", "swap"])
def test_rows_that_come_and_go_between_two_pages_lose_no_other_row(disturbed, change):
    world = many_incidents(250)
    world.update("incidents", 120, visible=0)
    seen = {"count": 0}

    def disturb(path: str) -> None:
        if not path.endswith("/incidents"):
            return
        seen["count"] += 1
        if seen["count"] == disturbed:
            if "delete" in change:
                world.delete("incidents", 240)
            if "add" in change:
                world.add("incidents", name="New")
            if change == "swap":
                world.update("incidents", 240, visible=0)
                world.update("incidents", 120, visible=1)

    with serving(world, middleware=[before_each(disturb)]) as server:
        read = reader_of(server, None).read(["incidents"])["incidents"]

    found = {row["id"] for row in read.rows["incidents"]}
    assert found >= set(range(1, 251)) - {240, 120}
    assert len(read.rows["incidents"]) == len(found)


def test_rows_that_are_added_at_every_request_make_no_list_fail():
    world = many_incidents(350)

    def add(path: str) -> None:
        if path.endswith("/incidents"):
            world.add("incidents", name="New")

    with serving(world, middleware=[before_each(add)]) as server:
        read = reader_of(server).read(["incidents"])["incidents"]

    assert read.error is None
    assert {row["id"] for row in read.rows["incidents"]} >= set(range(1, 351))


def test_a_list_that_never_stands_still_fails_alone_and_says_why():
    world = many_incidents(150)

    def delete(path: str) -> None:
        if path.endswith("/incidents"):
            world.delete("incidents", world.ids("incidents", deleted_at=None)[0])

    with serving(world, middleware=[before_each(delete)]) as server:
        reads = reader_of(server).read(["incidents", "components"])

    assert isinstance(reads["incidents"].error, Unstable)
    assert "rows kept coming and going while they were read" in str(reads["incidents"].error)
    assert reads["components"].outcome == "read"


def test_a_total_that_its_rows_never_make_up_fails_with_both_numbers():
    def more(path: str, status: int, document: Any) -> tuple[int, Any] | None:
        if path.endswith("/templates"):
            document["meta"]["pagination"]["total"] += 1
            return status, document
        return None

    with serving(middleware=[answering(more)]) as server:
        read = reader_of(server).read(["incident_templates"])["incident_templates"]

    assert "its pages hold 25 different rows where the server names 26" in str(read.error)


@pytest.mark.parametrize(
    ("page_zone", "app_zone"),
    [("America/New_York", "UTC"), ("UTC", "Europe/Paris"), ("Europe/Paris", "Europe/Paris")],
)
def test_times_are_the_same_instants_whatever_zone_the_page_is_set_to(page_zone, app_zone):
    with serving(timezone=page_zone) as server:
        server.settings.app_timezone = app_zone
        rows = rows_read(reader_of(server, settings={"timezone": app_zone}))

    expected = expected_tables(WORLD, admin=True, page=server.url, zone=app_zone)
    assert row_differences(rows, expected) == []


@pytest.mark.parametrize(
    ("app_zone", "hour"),
    [("Europe/Paris", "2025-10-26 02:30:00"), ("America/New_York", "2025-11-02 01:30:00")],
)
def test_an_ambiguous_hour_in_autumn_is_the_one_that_php_takes_it_for_in_every_table(app_zone, hour):
    world = Cachet2World()
    row = {"created_at": hour, "updated_at": hour}
    world.add("incidents", name="Incident", **row)
    world.add("incident_templates", name="T", slug="t", template="", **row)

    with serving(world) as server:
        server.settings.app_timezone = app_zone
        reads = reader_of(server, settings={"timezone": app_zone}).read(["incidents", "incident_templates"])

    second = app_zone == "Europe/Paris"
    at = datetime.fromisoformat(hour).replace(tzinfo=ZoneInfo(app_zone), fold=int(second))
    assert {reads[name].rows[name][0]["created_at"] for name in ("incidents", "incident_templates")} == {
        at.astimezone(timezone.utc)
    }


def test_a_german_server_loads_the_same_but_for_the_day_of_a_verification():
    with serving() as server:
        english = reader_of(server).read(LISTS)
        server.settings.locale = "de"
        german = reader_of(server).read(LISTS)

    for name in LISTS:
        if name not in ("subscribers", "system_status"):
            assert german[name].rows == english[name].rows or ENDPOINTS[name].kind.appends
    status = german["system_status"].rows["system_status"][0]
    assert (status["status"], status["status_source"]) == ("partial_outage", "info")
    verified = {row["id"] for row in WORLD["subscribers"] if row["verified_at"]}
    subscribers = german["subscribers"].rows["subscribers"]
    assert {row["id"] for row in subscribers if row["verified"]} == verified
    # "Montag 4th Mai 2026": that it is verified is known, and since when only where the month reads alike.
    known = {row["id"]: row["verified_at"] for row in english["subscribers"].rows["subscribers"]}
    assert all(row["verified_at"] in (None, known[row["id"]]) for row in subscribers)


def test_who_was_never_verified_stays_so_and_who_was_has_the_day():
    world = Cachet2World()
    world.add("subscribers", email="a@example.com", verified_at=None)
    world.add("subscribers", email="b@example.com", verified_at="2026-05-04 13:01:00")

    with serving(world) as server:
        rows = reader_of(server).read(["subscribers"])["subscribers"].rows["subscribers"]

    assert [(row["verified"], row["verified_at"]) for row in rows] == [
        (False, None),
        (True, datetime(2026, 5, 4, tzinfo=timezone.utc)),
    ]


def printed(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def test_a_maintenance_that_begins_at_the_minute_of_the_load_keeps_its_start():
    world = Cachet2World()
    begins = TIME.now().replace(microsecond=0)
    world.add("schedules", name="Now", scheduled_at=printed(begins), completed_at=None)

    with serving(world) as server:
        row = reader_of(server).read(["schedules"])["schedules"].rows["schedules"][0]

    assert (row["scheduled_at"], row["completed_at"]) == (begins, None)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-40, 15)), min_size=1, max_size=6))
def test_times_around_the_present_are_times_and_nulls_are_nulls(seconds):
    world = Cachet2World()
    now = TIME.now().replace(microsecond=0)
    times = [None if away is None else now + timedelta(seconds=away) for away in seconds]
    for at in times:
        text = at and printed(at)
        world.add("incidents", name="Incident", occurred_at=text)
        world.add("schedules", name="Maintenance", scheduled_at=printed(at or now), completed_at=text)

    with serving(world) as server:
        reads = reader_of(server).read(["incidents", "schedules"])

    assert [row["occurred_at"] for row in reads["incidents"].rows["incidents"]] == times
    assert [row["completed_at"] for row in reads["schedules"].rows["schedules"]] == times
    assert [row["scheduled_at"] for row in reads["schedules"].rows["schedules"]] == [
        at or now for at in times
    ]
    # Two found out that it is a Cachet 2, one checked the token.
    assert server.request_count <= 3 + 2 * 2


def test_rows_that_are_pushed_onto_the_next_page_are_looked_at_there():
    world = Cachet2World()
    at = printed(TIME.now())
    for number in range(150):
        world.add("incidents", name="Incident", occurred_at=at if number % 2 else None)
    seen = {"count": 0}

    def push(path: str) -> None:
        seen["count"] += path.endswith("/incidents")
        if seen["count"] == 4:
            for _ in range(80):
                world.add("incidents", name="New", occurred_at=None)

    with serving(world, middleware=[before_each(push)]) as server:
        rows = reader_of(server).read(["incidents"])["incidents"].rows["incidents"]

    assert [row["occurred_at"] and printed(row["occurred_at"]) for row in rows] == [None, at] * 75


def test_a_subscriber_who_is_verified_at_midnight_is_told_from_one_who_never_was():
    world = Cachet2World()
    midnight = TIME.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for number, at in enumerate([None, midnight, midnight - timedelta(days=30)]):
        world.add("subscribers", email=f"{number}@example.com", verified_at=at and printed(at))

    class Midnight(ServerTime):
        def now(self) -> datetime:
            return midnight + self.ahead

    time = Midnight()
    found = {}
    for locale in ("en", "de"):
        with serving(world, clock=time.now) as server:
            server.settings.locale = locale
            rows = (
                reader_of(server, sleep=time.sleep).read(["subscribers"])["subscribers"].rows["subscribers"]
            )
        found[locale] = [row["verified"] for row in rows]

    assert found == {"en": [False, True, True], "de": [False, True, True]}


@pytest.mark.parametrize(
    ("text", "verified"),
    [("4 mai 2026", None), ("2026年5月4日", None), ("04/05/2026", None), ("2026-05-04", True), (None, False)],
)
def test_whether_a_subscriber_is_verified_is_unknown_where_the_date_alone_is_told(text, verified):
    def dated(path: str, status: int, document: Any) -> tuple[int, Any] | None:
        if not path.endswith("/subscribers"):
            return None
        document["data"][0]["verified_at"] = text
        return status, document

    world = Cachet2World()
    world.add("subscribers", email="a@example.com", verified_at="2026-05-04 13:01:00")
    with serving(world, middleware=[answering(dated)]) as server:
        row = reader_of(server).read(["subscribers"])["subscribers"].rows["subscribers"][0]

    assert row["verified"] is verified
    assert row["verified_at"] == (datetime(2026, 5, 4, tzinfo=timezone.utc) if verified else None)


@pytest.mark.parametrize(
    "form", ["%B %d %Y %I:%M:%S %p", "%A %d %B %Y %I:%M:%S", "%d-%m-%Y %I:%M:%S", "%d-%m-%Y %H:%M:%S"]
)
@pytest.mark.parametrize("hour", [0, 9, 22])
def test_a_date_format_with_twelve_hours_makes_nobody_verified(form, hour):
    """It prints a null as the present, and a verification as the first moment of its day."""
    present = TIME.now().replace(hour=hour, minute=11, second=47, microsecond=0)
    world = Cachet2World()
    for number in (1, 2):
        world.add("subscribers", email=f"{number}@example.com", verified_at=None)

    class Evening(ServerTime):
        def now(self) -> datetime:
            return present + self.ahead

    time = Evening()

    def dated(path: str, status: int, document: Any) -> tuple[int, Any] | None:
        if not path.endswith("/subscribers"):
            return None
        for row, at in zip(document["data"], (time.now(), datetime(2026, 5, 4)), strict=True):
            row["verified_at"] = at.strftime(form)
        return status, document

    with serving(world, clock=time.now, middleware=[answering(dated)]) as server:
        read = reader_of(server, sleep=time.sleep).read(["subscribers"])["subscribers"]

    assert read.error is None
    assert [row["verified"] for row in read.rows["subscribers"]] == [False, True]


@pytest.mark.parametrize(("behind", "null"), [(20, True), (-3, True), (300, False), (-60, False)])
def test_a_null_is_known_by_the_time_of_the_answer_as_long_as_it_took_to_print(behind, null):
    world = Cachet2World()
    world.add("incidents", name="Since when?", occurred_at=None)
    world.add("subscribers", email="a@example.com", verified_at=None)

    now = datetime.now(timezone.utc)
    printing = [False]

    def clock() -> datetime:
        return now - timedelta(seconds=behind) if printing[0] else now

    def slow(app: App) -> App:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            async def dated(message: Message) -> None:
                printing[0] = False
                await send(message)

            printing[0] = True
            await app(scope, receive, dated)

        return wrapped

    with serving(world, clock=clock, middleware=[slow]) as server:
        reads = reader_of(server).read(["incidents", "subscribers"])

    incident, subscriber = (
        reads["incidents"].rows["incidents"][0],
        reads["subscribers"].rows["subscribers"][0],
    )
    assert (incident["occurred_at"] is None) is null
    assert subscriber["verified"] is not null


@pytest.mark.parametrize("emails", ["hash", "omit"])
def test_addresses_and_phone_numbers_are_hidden_as_the_setting_says(emails):
    with serving() as server:
        reader = reader_of(server, settings={"subscriber_emails": emails, "email_hash_key": "k" * 16})
        rows = reader.read(["subscribers"])["subscribers"].rows["subscribers"]

    assert len(rows) == 130
    assert all("@" not in str(row["email"]) and "+1" not in str(row.get("phone_number")) for row in rows)


def test_a_token_that_the_server_does_not_know_stops_the_run():
    with serving() as server:
        with pytest.raises(Refused, match="does not know the API token"):
            reader_of(server, "nonsense").read(["components"])
        asked = server.request_count

    assert asked == 3


def test_a_guest_of_a_page_that_wants_a_token_everywhere_is_told_so():
    with serving(protected=True) as server:
        reads = reader_of(server, None).read(LISTS)
        with_token = reader_of(server).read(LISTS)

    outcomes = {name: read.outcome for name, read in reads.items()}
    assert outcomes["subscribers"] == "refused"
    assert {outcomes[name] for name in ("versions", "system_status")} == {"read"}
    assert outcomes["incidents"] == "failed"
    assert "Set CACHET_API_TOKEN" in str(reads["incidents"].error)
    assert with_token["incidents"].outcome == "read"


def test_cachet_2_3_lacks_routes_and_updates_and_is_read_all_the_same():
    def as_2_3(path: str, status: int, document: Any) -> tuple[int, Any] | None:
        if "/schedules" in path or "/templates" in path:
            return 404, NOT_FOUND
        if path.endswith("/incidents"):
            for row in document["data"]:
                del row["updates"]
                row["scheduled_at"] = row["created_at"]
            return status, document
        return None

    with serving(middleware=[answering(as_2_3)]) as server:
        reads = reader_of(server).read(LISTS)

    missing = {name for name, read in reads.items() if read.outcome == "not offered"}
    assert missing == {"schedules", "incident_templates", "dashboards"}
    assert {name for name, read in reads.items() if read.error and name not in missing} == set()
    assert reads["incidents"].rows["incident_updates"] == []
    assert all(row["scheduled_at"] == row["created_at"] for row in reads["incidents"].rows["incidents"])


def test_a_version_that_github_does_not_tell_is_null_once_and_known_later():
    with serving() as server:
        server.settings.latest_release = None
        first = reader_of(server).read(["versions"])["versions"]
        stored = Stored(rows={"versions": first.rows["versions"]})
        again = reader_of(server, stored=stored).read(["versions"])["versions"]
        server.settings.latest_release = "v2.4.1"
        later = reader_of(server, stored=stored).read(["versions"])["versions"]

    assert [(row.get("version"), row["api_version"]) for row in first.rows["versions"]] == [(None, 2)]
    # Two of them found out that it is a Cachet 2.
    assert (first.requests, again.outcome, again.rows["versions"]) == (3, "read", [])
    assert [row["version"] for row in later.rows["versions"]] == ["2.4.1"]


def test_the_status_gets_a_row_only_when_it_changes():
    world = Cachet2World.load(WORLD)

    with serving(world) as server:
        first = reader_of(server).read(["system_status"])["system_status"].rows["system_status"]
        stored = Stored(rows={"system_status": first})
        same = reader_of(server, stored=stored).read(["system_status"])["system_status"].rows["system_status"]
        for row in world.rows("components"):
            world.update("components", row["id"], status=4)
        worse = (
            reader_of(server, stored=stored).read(["system_status"])["system_status"].rows["system_status"]
        )

    assert (len(first), same) == (1, [])
    assert [row["status"] for row in worse] == ["major_outage"]


def test_links_have_no_names_where_components_fail_and_nothing_else_suffers():
    def broken(path: str, status: int, document: Any) -> tuple[int, Any] | None:
        return (500, {}) if path.endswith("/components") else None

    said: list[str] = []
    with serving(middleware=[answering(broken)]) as server:
        reader = reader_of(server, settings={"attempts": 1}, log=said.append)
        reads = reader.read(["components", "schedules", "subscribers"])

    assert {name: read.outcome for name, read in reads.items()} == {
        **{"components": "failed", "schedules": "read", "subscribers": "read"}
    }
    assert {row["component_name"] for row in reads["schedules"].rows["schedule_components"]} == {None}
    assert any("links to components have no names" in text for text in said)


def test_the_header_for_the_time_zone_and_the_token_go_with_every_request():
    with serving() as server:
        reader_of(server).read(LISTS)
        requests = [request for request in server.requests if request.path.startswith("/api/v1/")]

    assert {request.headers.get("time-zone") for request in requests} == {"UTC"}
    assert {request.headers.get("x-cachet-token") for request in requests} == {TOKEN}
    assert not any("sort=" in request.query for request in requests if "templates" in request.path)
