"""The embedded Cachet 2 answers what a real one was recorded to answer, request by request.

The server is given the recorded rows and the time of each recorded exchange, so that even "now", where Cachet 2
prints it for a null date, is the recorded one. What differs must be exactly what `NOT_IMITATED` lists.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from cachet_dagster.demo.cachet2 import NOT_IMITATED, Cachet2World, from_cachet3
from cachet_dagster.demo.server import DemoServer
from cachet_dagster.demo.world import World
from cachet_dagster_tests import recordings

TOKENS = recordings.tokens("v2")
HEADERS = {
    "token": lambda token: {"X-Cachet-Token": token},
    "token-lower": lambda token: {"x-cachet-token": token},
    "bearer": lambda token: {"Authorization": f"Bearer {token}"},
    "basic": lambda token: {"Authorization": "Basic " + base64.b64encode(token.encode()).decode()},
    "api-key": lambda token: {"X-Api-Key": token},
}
COMPARED_HEADERS = (
    *("content-type", "cache-control", "allow"),
    *("x-ratelimit-limit", "x-ratelimit-remaining", "retry-after"),
)
# What a real server works out row by row while a request goes on, the recorded time being that of its end.
OF_THE_MOMENT = {"duration", "occurred_at", "completed_at"}


class Clock:
    """The server's time, which a test sets."""

    now = datetime(2026, 11, 23, 8, 25, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def serving(world: World, **options: Any) -> Iterator[DemoServer]:
    tokens = {token: {"*"} for token in TOKENS.values()}
    with DemoServer(world, api=2, tokens=tokens, **options) as server:
        yield server


def recorded_world() -> Cachet2World:
    return Cachet2World.load(recordings.world("v2"))


def get(server: DemoServer, path: str, token: str | None = None, **headers: str) -> tuple[int, Any]:
    """Return status and document of one request to the API."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    if token:
        headers["X-Cachet-Token"] = token
    connection.request("GET", f"/api/v1/{path}", headers=headers)
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    return response.status, body


def replay(server: DemoServer, clock: Clock, exchanges: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Ask what was asked, and return the differences by the name of the exchange."""
    host = re.search(r"http://(127\.0\.0\.1:\d+)/", json.dumps(exchanges))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    differing = {}
    for exchange in exchanges:
        clock.now = parsedate_to_datetime(exchange["recorded_at"])
        headers = {"Host": host[1] if host else "127.0.0.1", "Accept": "*/*"}
        if exchange["auth"]:
            kind, _, name = exchange["auth"].partition(":")
            headers |= HEADERS[kind](TOKENS.get(name, name))
        headers |= exchange.get("request_headers") or {}
        connection.putrequest(exchange["method"], exchange["path"], skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        found = list(answer_differences(exchange, response, response.read()))
        if found:
            differing[exchange["name"]] = found
    connection.close()
    return differing


def answer_differences(
    exchange: dict[str, Any], response: http.client.HTTPResponse, body: bytes
) -> Iterator[str]:
    if response.status != exchange["status"]:
        yield f"status {exchange['status']} != {response.status}"
    for name, value in exchange["response_headers"].items():
        if name in COMPARED_HEADERS and response.headers.get(name) != value:
            yield f"{name} {value} != {response.headers.get(name)}"
    recorded = exchange["body"]
    if isinstance(recorded, str):
        # HTML pages are recorded by their beginning only.
        begins = recorded.removesuffix("…")
        if not body.decode().startswith(begins) or (not begins and body):
            yield f"text {body[:100]!r}"
    else:
        yield from differences(recorded, json.loads(body))


def differences(recorded: Any, ours: Any, place: str = "") -> Iterator[str]:
    """Yield where two documents differ; an error's own id is random, and now may be a second earlier."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in recorded.keys() | ours.keys():
            if place.startswith(".errors") and key == "id":
                continue
            if key not in ours or key not in recorded:
                yield f"{place}.{key} is only in {'ours' if key in ours else 'the recording'}"
            elif key not in OF_THE_MOMENT or not within_a_second(recorded[key], ours[key]):
                yield from differences(recorded[key], ours[key], f"{place}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
        for i, (left, right) in enumerate(zip(recorded, ours, strict=True)):
            yield from differences(left, right, f"{place}[{i}]")
    elif isinstance(recorded, bool) != isinstance(ours, bool) or recorded != ours:
        yield f"{place}: {str(recorded)[:80]!r} != {str(ours)[:80]!r}"


def within_a_second(recorded: Any, ours: Any) -> bool:
    if isinstance(recorded, str) and isinstance(ours, str):
        moments = datetime.fromisoformat(recorded), datetime.fromisoformat(ours)
        return abs(moments[0] - moments[1]) <= timedelta(seconds=1)
    return isinstance(ours, int) and abs(recorded - ours) <= 1


def not_imitated(dataset: str) -> set[str]:
    names = (name.split(":", 1) for name in NOT_IMITATED)
    return {name for of, name in names if of == dataset}


def small_world(dataset: str, zone: str = "UTC") -> Cachet2World:
    """Return the rows behind a small dataset, whose page prints dates as they are stored, in `zone`."""
    recorded = recordings.exchanges("v2", dataset)
    exchanges = {exchange["name"].removesuffix(".admin"): exchange for exchange in recorded}
    tables: dict[str, list[dict[str, Any]]] = {}

    def put(table: str, row: dict[str, Any], **columns: Any) -> None:
        tables.setdefault(table, []).append({**row, **columns})

    def rows(name: str) -> list[dict[str, Any]]:
        return exchanges[name]["body"]["data"] if name in exchanges else []

    def or_null(name: str, value: str) -> str | None:
        now = parsedate_to_datetime(exchanges[name]["recorded_at"]).astimezone(ZoneInfo(zone))
        return None if value == now.strftime("%Y-%m-%d %H:%M:%S") else value

    for row in rows("components"):
        put("components", row, meta=row["meta"] and json.dumps(row["meta"]))
        for slug, name in dict(row["tags"]).items():
            tag_id = int(slug.removeprefix("tag-"))
            put("tags", {"id": tag_id, "slug": slug, "name": name})
            link_id = len(tables.get("taggables", ())) + 1
            put(
                "taggables",
                {"id": link_id, "tag_id": tag_id, "taggable_id": row["id"]},
                taggable_type="components",
            )
    for row in rows("component-groups"):
        put("component_groups", row)
    for row in rows("incidents"):
        put("incidents", row, occurred_at=or_null("incidents", row["occurred_at"]))
        for update in row["updates"]:
            put("incident_updates", update)
        for key, value in dict(row["meta"]).items():
            meta_id = len(tables.get("meta", ())) + 1
            put(
                "meta",
                {"id": meta_id, "key": key, "value": json.dumps(value)},
                meta_id=row["id"],
                meta_type="incidents",
            )
    for row in rows("incident-templates"):
        put("incident_templates", row)
    for row in rows("metrics"):
        put("metrics", row)
    for row in rows("points"):
        put("metric_points", row)
    for row in rows("schedules"):
        put("schedules", row, completed_at=or_null("schedules", row["completed_at"]))
        for link in row["components"]:
            put("schedule_components", link)
    for row in rows("subscribers"):
        # Printed is the day only; of these, it is the day they were created. A time other than 0:00 is a null.
        verified = row["created_at"] if row["verified_at"].endswith(" 00:00:00") else None
        put("subscribers", row, verified_at=verified)
        for link in row["subscriptions"]:
            put("subscriptions", link)
    return Cachet2World(tables)


@pytest.mark.parametrize("dataset", ["bulk", "auth", "params", "errors"])
def test_every_recorded_answer_about_the_recorded_world_is_given(dataset):
    clock = Clock()

    with serving(recorded_world(), clock=clock) as server:
        differing = replay(server, clock, recordings.exchanges("v2", dataset))

    assert {name: found[:5] for name, found in differing.items() if name not in not_imitated(dataset)} == {}
    assert differing.keys() == not_imitated(dataset)


@pytest.mark.parametrize(
    ("dataset", "page_zone", "app_zone"),
    [
        ("tz-setting-new-york", "America/New_York", "UTC"),
        ("tz-app-paris-setting-utc", "UTC", "Europe/Paris"),
        ("tz-app-and-setting-paris", "Europe/Paris", "Europe/Paris"),
    ],
)
def test_dates_are_printed_in_the_zone_of_the_page_or_of_the_request(dataset, page_zone, app_zone):
    clock = Clock()
    world = small_world("tz-app-and-setting-paris", zone="Europe/Paris")

    with serving(world, clock=clock, timezone=page_zone) as server:
        server.settings.app_timezone = app_zone
        differing = replay(server, clock, recordings.exchanges("v2", dataset))

    assert differing == {}


def test_a_german_server_speaks_german():
    clock = Clock()

    with serving(small_world("locale-de"), clock=clock) as server:
        server.settings.locale = "de"
        differing = replay(server, clock, recordings.exchanges("v2", "locale-de"))

    assert differing.keys() == not_imitated("locale-de"), differing


def test_always_authenticate_leaves_only_ping_version_and_status_open():
    clock = Clock()

    with serving(small_world("always-authenticate"), clock=clock, protected=True) as server:
        differing = replay(server, clock, recordings.exchanges("v2", "always-authenticate"))

    assert differing == {}


def test_maintenance_answers_503_everywhere():
    clock = Clock()

    with serving(recorded_world(), clock=clock) as server:
        server.settings.maintenance = True
        differing = replay(server, clock, recordings.exchanges("v2", "maintenance"))

    assert differing == {}


def test_an_empty_page_is_fine_and_version_fails_without_github():
    clock = Clock()

    with serving(Cachet2World(), clock=clock) as server:
        server.settings.latest_release = None
        differing = replay(server, clock, recordings.exchanges("v2", "empty"))

    assert differing == {}


def test_a_rate_limit_counts_down_and_says_when_to_come_back():
    clock = Clock()

    with serving(Cachet2World(), clock=clock, rate_limit=3) as server:
        differing = replay(server, clock, recordings.exchanges("v2", "throttle-not-stock"))

    assert differing == {}


def test_on_mariadb_all_but_the_order_of_tied_points_is_as_recorded():
    clock = Clock()
    exchanges = recordings.exchanges("v2", "mysql")

    with serving(recorded_world(), clock=clock, database="mysql") as server:
        differing = replay(server, clock, exchanges)
        _, everything = get(server, "metrics/1/points?per_page=100000")

    assert {
        name: found[:5] for name, found in differing.items() if not name.startswith("metric-1-points")
    } == {}
    recorded = next(e for e in exchanges if e["name"] == "metric-1-points.all")["body"]["data"]
    assert sorted(everything["data"], key=by_id) == sorted(recorded, key=by_id)


def test_on_postgresql_the_same_rows_are_there_and_the_same_requests_fail():
    clock = Clock()
    exchanges = recordings.exchanges("v2", "pgsql")

    with serving(recorded_world(), clock=clock, database="pgsql") as server:
        differing = replay(server, clock, exchanges)
        everything = {
            exchange["name"]: get(server, exchange["path"].removeprefix("/api/v1/"), token_of(exchange))[1]
            for exchange in exchanges
            if ".all" in exchange["name"]
        }

    # Whatever differs lies in the rows of a page: their order, or the order of tied updates and components.
    assert [found for place in differing.values() for found in place if not found.startswith(".data")] == []
    recorded = {exchange["name"]: exchange["body"] for exchange in exchanges}
    assert everything
    for name, body in everything.items():
        assert {row["id"] for row in body["data"]} == {row["id"] for row in recorded[name]["data"]}


def by_id(row: dict[str, Any]) -> int:
    return row["id"]


def token_of(exchange: dict[str, Any]) -> str | None:
    return TOKENS[exchange["auth"].partition(":")[2]] if exchange["auth"] else None


def read_naively(
    server: DemoServer, path: str, size: int, token: str | None = None, **query: str
) -> list[int]:
    """Read a list as most clients do: page after page until the last one."""
    ids: list[int] = []
    page = pages = 1
    while page <= pages:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        _, body = get(server, f"{path}?per_page={size}&page={page}{more}", token)
        ids += [row["id"] for row in body["data"]]
        pages = body["meta"]["pagination"]["total_pages"]
        page += 1
    return ids


def recorded_reading(dataset: str, path: str, size: int, auth: str | None) -> list[int]:
    """Return the ids that reading a list page after page gave on the real server."""
    pages = {}
    for exchange in recordings.exchanges("v2", dataset):
        url = urlsplit(exchange["path"])
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        wanted = url.path == f"/api/v1/{path}" and query.pop("per_page", "20") == str(size)
        if wanted and exchange["auth"] == auth and query.keys() <= {"page"}:
            pages[int(query.get("page", 1))] = [row["id"] for row in exchange["body"]["data"]]
    return [row_id for page in sorted(pages) for row_id in pages[page]]


@pytest.mark.parametrize("size", [20, 100])
def test_naive_paging_loses_and_repeats_the_same_incidents_as_on_a_real_mariadb(size):
    with serving(recorded_world(), database="mysql") as server:
        naive = read_naively(server, "incidents", size, TOKENS["admin"])
        sorted_by_id = read_naively(server, "incidents", size, TOKENS["admin"], sort="id")

    assert naive == recorded_reading("mysql", "incidents", size, "token:admin")
    assert len(naive) == 232
    assert len(set(naive)) < 232
    assert sorted_by_id == sorted(set(sorted_by_id), reverse=True)
    assert len(sorted_by_id) == 232


@pytest.mark.parametrize("database", ["mysql", "pgsql"])
def test_naive_paging_loses_and_repeats_points_that_have_the_same_time(database):
    with serving(recorded_world(), database=database) as server:
        naive = read_naively(server, "metrics/1/points", 7)
        again = read_naively(server, "metrics/1/points", 7)
        in_one_page = read_naively(server, "metrics/1/points", 250)

    recorded = recorded_reading(database, "metrics/1/points", 7, None)
    assert len(naive) == len(recorded) == 250
    assert len(set(naive)) < 250
    assert abs(len(set(naive)) - len(set(recorded))) <= 5
    assert naive == again
    assert sorted(in_one_page) == list(range(1, 251))


def test_naive_paging_is_complete_on_sqlite():
    with serving(recorded_world()) as server:
        incidents = read_naively(server, "incidents", 20, TOKENS["admin"])
        points = read_naively(server, "metrics/1/points", 7)

    assert len(set(incidents)) == 232
    assert sorted(points) == list(range(1, 251))


def test_changed_rows_show_in_the_next_answer():
    world = Cachet2World()

    with serving(world) as server:
        group = world.add("component_groups", name="Group")
        component = world.add("components", name="API", group_id=group["id"])
        before = get(server, f"components/{component['id']}")[1]["data"]
        world.update("components", component["id"], status=4)
        changed = get(server, f"components/{component['id']}")[1]["data"]
        world.delete("component_groups", group["id"])
        ungrouped = get(server, f"components/{component['id']}")[1]["data"]
        world.delete("components", component["id"])
        status, _ = get(server, f"components/{component['id']}")

    assert (before["status_name"], before["group_id"]) == ("Operational", group["id"])
    assert changed["status_name"] == "Major Outage"
    assert ungrouped["group_id"] == 0
    assert status == 404


def test_a_metric_of_a_hundred_thousand_points_is_read_page_by_page_in_no_time():
    start = datetime(2026, 1, 1)
    created = [(start + timedelta(seconds=30 * (i // 2))).isoformat(sep=" ") for i in range(100_000)]
    points = [
        {"id": i + 1, "metric_id": 1, "value": i / 10, "counter": 1, "created_at": text, "updated_at": text}
        for i, text in enumerate(created)
    ]
    metric = {
        "id": 1,
        "name": "Metric",
        "default_view": 1,
        "created_at": created[0],
        "updated_at": created[0],
    }

    with serving(Cachet2World({"metric_points": points, "metrics": [metric]}), database="mysql") as server:
        get(server, "metrics/1/points?per_page=1")
        began = time.process_time()
        pages = [
            get(server, f"metrics/1/points?per_page=100&page={page}")[1]["data"] for page in range(1, 21)
        ]
        took = time.process_time() - began

    assert {len(page) for page in pages} == {100}
    assert took < 2


def test_a_world_of_cachet_3_is_served_in_cachet_2s_tables():
    rows = recordings.world("v3")
    world = World(rows)
    now = datetime(2026, 11, 23, 9, tzinfo=timezone.utc)

    expressed = from_cachet3(world, now)
    with serving(world, clock=lambda: now) as server:
        incidents = read_naively(server, "incidents", 100, TOKENS["admin"], sort="id")
        components = read_naively(server, "components", 100, TOKENS["admin"], sort="id")
        world.update("incidents", 1, name="Renamed")
        renamed = get(server, "incidents/1")[1]["data"]

    hidden = {row["id"] for row in rows["component_groups"] if row["visible"] == 2}
    assert set(incidents) == {
        row["id"] for row in rows["incidents"] if row["visible"] != 2 and row["deleted_at"] is None
    }
    assert set(components) == {
        row["id"]
        for row in rows["components"]
        if row["component_group_id"] not in hidden and row["deleted_at"] is None
    }
    assert renamed["name"] == "Renamed"
    assert renamed["component_id"] == 1
    assert {row["status"] for row in expressed.rows("components")} <= {0, 1, 2, 3, 4}
    assert from_cachet3(rows, now).rows("incidents") == expressed.rows("incidents")


def test_a_schedule_of_cachet_3_comes_and_goes_as_time_passes():
    clock = Clock()
    world = World()
    world.add(
        "schedules", name="Work", scheduled_at="2026-11-23 10:00:00", completed_at="2026-11-23 12:00:00"
    )
    seen = []

    with serving(world, clock=clock) as server:
        for hour in (9, 11, 13):
            clock.now = datetime(2026, 11, 23, hour, tzinfo=timezone.utc)
            seen.append(get(server, "schedules/1")[1]["data"]["human_status"])

    assert seen == ["Upcoming", "In Progress", "Complete"]
