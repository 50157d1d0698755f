"""`DemoServer` as tests and the demo use it: quick, quiet, observable, changeable while it runs."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World, living_world
from cachet_dagster.demo.answers import App, Receive, Scope, Send

BEARER = {"Authorization": f"Bearer {DEMO_TOKEN}"}
NOW = datetime(2026, 5, 20, 12, 0, tzinfo=timezone.utc)


def get(port: int, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers or {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body) if body else None


def small_world() -> World:
    return World.generate(
        incidents=7, components=3, groups=2, metrics=2, points=250, subscribers=4, schedules=3, templates=2
    )


@pytest.fixture
def server() -> Any:
    with DemoServer(small_world()) as running:
        yield running


def ids_of(server: DemoServer, path: str) -> list[int]:
    status, body = get(server.port, path, BEARER)
    assert status == 200, body
    return [int(document["id"]) for document in body["data"]]


# Starting and stopping


def test_it_starts_and_stops_quickly() -> None:
    began = time.perf_counter()
    with DemoServer(World()) as running:
        started = time.perf_counter() - began
        assert get(running.port, "/api/ping") == (200, {"data": "Pong!"})
        leaving = time.perf_counter()
    stopped = time.perf_counter() - leaving

    assert started < 10
    assert stopped < 10


def test_a_stopped_server_refuses_connections_and_its_threads_are_gone() -> None:
    before = threading.active_count()
    with DemoServer(World()) as running:
        get(running.port, "/api/ping")

    with pytest.raises(ConnectionRefusedError):
        get(running.port, "/api/ping")
    assert threading.active_count() == before


def test_stopping_does_not_wait_for_a_request_that_takes_long() -> None:
    with DemoServer(World(), latency=30) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        connection.request("GET", "/api/ping")
        while running.request_count == 0:
            time.sleep(0.005)
        leaving = time.perf_counter()
    connection.close()

    assert time.perf_counter() - leaving < 15


def test_several_servers_in_one_process_keep_to_themselves() -> None:
    with DemoServer(World()) as empty, DemoServer(small_world()) as full:
        counts = [len(ids_of(one, "/api/incidents")) for one in (empty, full)]

    assert counts == [0, 7]
    assert (empty.request_count, full.request_count) == (1, 1)


def test_a_port_that_is_taken_is_an_error_at_once(server: DemoServer) -> None:
    with pytest.raises(OSError, match=r"[Aa]ddress"):
        DemoServer(World(), port=server.port).start()


def test_the_addresses_are_those_of_the_page_and_of_the_api(server: DemoServer) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.api_url == f"{server.url}/api"


def test_it_runs_without_uvloop_and_httptools_silently_and_without_dagster_and_dlt() -> None:
    code = """
import sys
sys.modules["uvloop"] = sys.modules["httptools"] = None
import http.client
from cachet_dagster.demo import DemoServer, World
def failing(app):
    async def fail(scope, receive, send):
        raise RuntimeError("on purpose")
    return fail
for middleware in ((), (failing,)):
    with DemoServer(World(), middleware=middleware) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/api/ping")
        assert connection.getresponse().status == (500 if middleware else 200)
assert not {"dagster", "dlt"} & set(sys.modules), "the demo imports them"
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# What was asked


def test_every_request_is_recorded_with_what_it_sent_and_got(server: DemoServer) -> None:
    get(server.port, "/api/incidents?per_page=2&filter[status]=4", {"X-Test": "yes"})
    get(server.port, "/api/nope")

    first, second = server.requests
    assert (first.method, first.path, first.query) == ("GET", "/api/incidents", "per_page=2&filter[status]=4")
    assert first.headers["x-test"] == "yes"
    assert (first.status, second.status) == (200, 404)
    assert server.request_count == 2


def test_clearing_starts_the_count_anew(server: DemoServer) -> None:
    get(server.port, "/api/ping")
    server.clear_requests()
    get(server.port, "/api/version")

    assert [request.path for request in server.requests] == ["/api/version"]
    assert server.request_count == 1
    assert server.paths == {"/api/version": 1}


def test_requests_of_many_clients_at_once_are_counted_exactly(server: DemoServer) -> None:
    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for _ in range(50):
            connection.request("GET", "/api/ping")
            assert connection.getresponse().read() == b'{"data":"Pong!"}'
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert server.request_count == len(server.requests) == 400


# Rows that change while it runs


def test_changes_of_the_world_show_in_the_next_answer(server: DemoServer) -> None:
    world = server.world
    assert ids_of(server, "/api/incidents?sort=id") == [1, 2, 3, 4, 5, 6, 7]

    world.delete("incidents", 2)
    world.update("incidents", 3, name="Renamed")
    added = world.post_incident("New", at=datetime.now(timezone.utc), components={1: 4})
    world.post_update(added["id"], 4, "Done.", at=datetime.now(timezone.utc))

    assert ids_of(server, "/api/incidents?sort=id") == [1, 3, 4, 5, 6, 7, 8]
    assert get(server.port, "/api/incidents/2")[0] == 404
    assert get(server.port, "/api/incidents/3")[1]["data"]["attributes"]["name"] == "Renamed"
    body = get(server.port, "/api/incidents/8?include=components,updates")[1]
    assert body["data"]["attributes"]["status"] == {"human": "Fixed", "value": 4}
    assert body["included"][0]["attributes"]["pivot"]["component_status"]["value"] == 4


def test_an_embargo_ends_by_the_clock() -> None:
    now = NOW
    world = World()
    world.post_incident("Soon", at=NOW, published_at="2026-05-20 12:30:00")

    with DemoServer(world, clock=lambda: now) as server:
        during = get(server.port, "/api/incidents")[1]["data"]
        now = NOW + timedelta(minutes=30)
        after = get(server.port, "/api/incidents")[1]["data"]

    assert (len(during), len(after)) == (0, 1)


@pytest.mark.parametrize("sort", ["id", "-id"])
def test_pages_of_points_are_complete_and_in_order(server: DemoServer, sort: str) -> None:
    server.world.delete("metric_points", 300)

    pages = [
        ids_of(server, f"/api/metrics/2/points?per_page=100&sort={sort}&page={page}") for page in (1, 2, 3, 4)
    ]

    expected = [row_id for row_id in range(251, 501) if row_id != 300]
    assert [len(page) for page in pages] == [100, 100, 49, 0]
    assert list(chain.from_iterable(pages)) == (expected if sort == "id" else expected[::-1])


def test_rows_may_be_added_while_pages_are_read(server: DemoServer) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            row = server.world.add("metric_points", metric_id=1, value=1.0)
            server.world.delete("metric_points", row["id"])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for page in range(1, 40):
            assert get(server.port, f"/api/metrics/1/points?per_page=10&sort=id&page={page}")[0] == 200
    finally:
        stop.set()
        writer.join()
    assert server.errors == []


def test_a_large_metric_is_served_page_by_page_without_sorting_it_each_time() -> None:
    world = World.generate(metrics=1, points=200_000)

    with DemoServer(world) as server:
        get(server.port, "/api/metrics/1/points?per_page=100&sort=id")
        began = time.process_time()
        for page in range(1, 51):
            status, body = get(server.port, f"/api/metrics/1/points?per_page=100&sort=-id&page={page}")
        seconds = time.process_time() - began

    assert (status, body["data"][0]["id"]) == (200, "195100")
    assert seconds < 1.5


# Settings that change while it runs


def test_settings_change_while_it_runs(server: DemoServer) -> None:
    server.settings.protected = True
    assert get(server.port, "/api/ping")[0] == 401
    assert get(server.port, "/api/ping", BEARER)[0] == 200
    server.settings.disabled = True
    assert get(server.port, "/api/ping", BEARER) == (404, {"message": ""})
    server.settings.disabled = server.settings.protected = False
    server.settings.app_version = "3.1.4"
    assert get(server.port, "/api/version")[1] == {"data": {"version": "3.1.4"}}


def test_times_are_printed_in_the_zone_of_the_server(server: DemoServer) -> None:
    created = server.world.rows("metric_points")[0]["created_at"]
    server.settings.timezone = "Asia/Kolkata"

    body = get(server.port, "/api/metrics/1/points?per_page=1&sort=id")[1]

    local = body["data"][0]["attributes"]["created"]["string"]
    assert datetime.fromisoformat(local) - datetime.fromisoformat(created) == timedelta(hours=5, minutes=30)


def test_latency_is_added_to_every_answer(server: DemoServer) -> None:
    server.settings.latency = 0.1
    began = time.perf_counter()

    get(server.port, "/api/ping")

    assert time.perf_counter() - began >= 0.1


def test_links_name_the_origin_that_the_server_was_told() -> None:
    with DemoServer(small_world()) as server:
        server.settings.app_url = "https://status.example.com"
        links = get(server.port, "/api/incidents?per_page=1")[1]["links"]

    assert links["next"] == "https://status.example.com/api/incidents?page=2"


def test_a_token_has_the_abilities_that_it_was_given() -> None:
    tokens = {"1|all": {"*"}, "2|none": set()}
    with DemoServer(small_world(), tokens=tokens) as server:
        statuses = [
            get(server.port, "/api/subscribers", {"Authorization": f"Bearer {token}"})[0]
            for token in ("1|all", "2|none", DEMO_TOKEN)
        ]

    assert statuses == [200, 403, 401]


def test_me_is_offered_only_where_it_is_switched_on() -> None:
    with DemoServer(small_world(), me=True) as server:
        guest = get(server.port, "/api/me")
        status, body = get(server.port, "/api/me", BEARER)
        server.settings.me = False
        absent = get(server.port, "/api/me", BEARER)

    assert guest == (401, {"message": "Unauthenticated."})
    assert status == 200
    assert body["data"]["attributes"] == {"id": 1, "name": "Admin", "email": "admin@example.com"}
    assert absent[0] == 404


def test_writing_over_http_is_a_405(server: DemoServer) -> None:
    status, body = get(server.port, "/api/incidents", BEARER, method="POST")

    assert status == 405
    assert "Supported methods: GET, HEAD" in body["message"]


def test_head_answers_without_a_body(server: DemoServer) -> None:
    assert get(server.port, "/api/incidents", method="HEAD") == (200, None)


def test_the_page_itself_is_html_and_not_the_api(server: DemoServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/")
    response = connection.getresponse()

    assert response.getheader("content-type") == "text/html; charset=utf-8"
    assert b"Status" in response.read()


# Misbehaving on purpose


def named(name: str, log: list[str]) -> Callable[[App], App]:
    def wrap(app: App) -> App:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            log.append(name)
            await app(scope, receive, send)

        return wrapped

    return wrap


def test_middleware_wraps_the_app_the_first_one_outermost() -> None:
    log: list[str] = []
    with DemoServer(World(), middleware=[named("outer", log), named("inner", log)]) as server:
        status, _ = get(server.port, "/api/ping")

    assert status == 200
    assert log == ["outer", "inner"]


def test_what_a_middleware_raises_can_be_looked_up() -> None:
    def breaking(app: App) -> App:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("on purpose")

        return wrapped

    with DemoServer(World(), middleware=[breaking]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/api/ping")
        status = connection.getresponse().status
        connection.close()

    assert status == 500
    assert [str(error) for error in server.errors] == ["on purpose"]
    assert [request.status for request in server.requests] == [None]


# The living page


def test_the_living_page_moves_on_with_the_clock_and_is_made_only_when_due() -> None:
    now, made = NOW, []

    def recipe(moment: datetime) -> World:
        made.append(moment)
        return living_world(0, moment)

    newest = "/api/metrics/1/points?per_page=1&sort=-id"
    with DemoServer(recipe, clock=lambda: now) as server:
        first = [ids_of(server, newest) for _ in range(5)][-1]
        now = NOW + timedelta(seconds=59)
        same = ids_of(server, newest)
        now = NOW + timedelta(minutes=5)
        later = ids_of(server, newest)
        now = NOW
        back = ids_of(server, newest)

    assert first == same == back
    assert later[0] == first[0] + 4
    assert len(made) == 3


# API v1


def test_api_2_serves_the_same_world_as_cachet_2() -> None:
    with DemoServer(small_world(), api=2) as server:
        status, body = get(server.port, "/api/v1/incidents?per_page=100")

    assert server.api_url.endswith("/api/v1")
    assert status == 200
    assert body["meta"]["pagination"]["total"] == 7


def test_an_api_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="2 or 3"):
        DemoServer(World(), api=4)


# python -m cachet_dagster.demo


def run_demo(*arguments: str) -> tuple[subprocess.Popen[str], str, int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cachet_dagster.demo", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, line, int(line.split("http://127.0.0.1:")[1].split(" ")[0])


def test_alone_it_says_where_it_is_and_with_which_token_and_ends_cleanly_on_ctrl_c() -> None:
    process, line, port = run_demo("--me")
    try:
        status, body = get(port, "/api/me", BEARER)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()

    assert DEMO_TOKEN in line
    assert (status, body["data"]["attributes"]["name"]) == (200, "Maya Lindqvist")
    assert (process.returncode, out, err) == (0, "", "")


def test_alone_it_serves_the_sizes_and_settings_that_it_is_told() -> None:
    process, _, port = run_demo(
        "--incidents", "3", "--metrics", "2", "--points", "4", "--protected", "--rate-limit", "9"
    )
    try:
        guest = get(port, "/api/ping")
        incidents = get(port, "/api/incidents", BEARER)[1]["data"]
        points = get(port, "/api/metrics/2/points", BEARER)[1]["data"]
    finally:
        process.terminate()
        process.communicate(timeout=10)

    assert guest[0] == 401
    assert (len(incidents), len(points)) == (3, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--world", "does-not-exist.json"], "does-not-exist.json"),
        (["--timezone", "Mars/Olympus"], "Mars/Olympus"),
    ],
)
def test_alone_it_says_in_one_line_what_is_wrong(arguments: list[str], words: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "cachet_dagster.demo", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 1
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


# What a page says of its components


@pytest.mark.parametrize(
    ("own", "maintained", "impacts", "shown"),
    [
        (1, None, [5], 5),
        (5, None, [6], 6),
        (6, None, [5], 6),
        (1, 6, [], 6),
        (4, 6, [], 6),
        (1, 6, [5], 6),
        (1, 6, [2], 2),
        (2, None, [1], 2),
    ],
)
def test_a_component_is_as_bad_as_the_worst_of_maintenance_or_else_itself_and_of_its_incidents(
    own: int, maintained: int | None, impacts: list[int], shown: int
) -> None:
    world = World.generate(components=1)
    world.update("components", 1, status=own)
    for impact in impacts:
        incident = world.add("incidents", name="", status=1, visible=1)["id"]
        world.add("incident_components", incident_id=incident, component_id=1, component_status=impact)
    if maintained:
        schedule = world.add("schedules", name="", scheduled_at="2020-01-01 00:00:00", completed_at=None)[
            "id"
        ]
        world.add("schedule_components", schedule_id=schedule, component_id=1, component_status=maintained)
    with DemoServer(world) as running:
        status, body = get(running.port, "/api/components/1", BEARER)

    assert status == 200
    assert body["data"]["attributes"]["latest_status"]["value"] == shown
