"""The rate limit of the embedded server: Cachet's fixed window, per address and per user."""

from __future__ import annotations

import http.client
import json
import time
from datetime import datetime, timezone
from typing import Any

import pytest

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.demo.throttle import Throttle

BEARER = {"Authorization": f"Bearer {DEMO_TOKEN}"}


def get(
    server: DemoServer, path: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    answer = response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(response.read())
    connection.close()
    return answer


@pytest.fixture
def limited() -> Any:
    with DemoServer(World(), rate_limit=3, rate_window=60) as server:
        yield server


def test_the_headers_count_down_to_a_429_that_says_when_to_come_back(limited: DemoServer) -> None:
    before = time.time()
    remaining = [get(limited, "/api/ping")[1]["x-ratelimit-remaining"] for _ in range(3)]
    status, headers, body = get(limited, "/api/incidents")

    assert remaining == ["2", "1", "0"]
    assert (status, body) == (429, {"message": "Too Many Attempts."})
    assert headers["x-ratelimit-limit"] == "3"
    assert headers["x-ratelimit-remaining"] == "0"
    assert 58 <= int(headers["retry-after"]) <= 60
    assert before + 60 <= int(headers["x-ratelimit-reset"]) <= time.time() + 61
    assert limited.throttle.rejected == 1


def test_subscribers_have_a_bucket_of_their_own(limited: DemoServer) -> None:
    for _ in range(4):
        status = get(limited, "/api/ping", BEARER)[0]
    assert status == 429

    status, headers, _ = get(limited, "/api/subscribers", BEARER)

    assert (status, headers["x-ratelimit-remaining"]) == (200, "2")


def test_a_401_carries_no_headers_and_is_not_counted(limited: DemoServer) -> None:
    for _ in range(5):
        status, headers, _ = get(limited, "/api/subscribers")
        assert status == 401
        assert not [name for name in headers if "ratelimit" in name]

    assert get(limited, "/api/subscribers", BEARER)[1]["x-ratelimit-remaining"] == "2"


def test_an_unknown_route_is_not_counted_but_an_unknown_row_is(limited: DemoServer) -> None:
    unknown_route = get(limited, "/api/nope")
    unknown_row = get(limited, "/api/incidents/1")

    assert (unknown_route[0], "x-ratelimit-limit" in unknown_route[1]) == (404, False)
    assert (unknown_row[0], unknown_row[1]["x-ratelimit-remaining"]) == (404, "2")


def test_who_waits_as_told_is_let_in() -> None:
    with DemoServer(World(), rate_limit=1, rate_window=2) as server:
        assert get(server, "/api/ping")[0] == 200
        status, headers, _ = get(server, "/api/ping")
        assert (status, headers["retry-after"] in ("1", "2")) == (429, True)

        time.sleep(int(headers["retry-after"]))

        assert get(server, "/api/ping")[0] == 200


def test_a_server_whose_clock_stands_still_opens_its_next_window_all_the_same() -> None:
    standing = datetime(2026, 1, 1, tzinfo=timezone.utc)

    with DemoServer(World(), clock=lambda: standing, rate_limit=1, rate_window=0.1) as server:
        get(server, "/api/ping")
        time.sleep(0.15)
        status = get(server, "/api/ping")[0]

    assert status == 200


def test_the_window_is_fixed_and_starts_at_its_first_request() -> None:
    now = 1000.0
    throttle = Throttle(2, 60, clock=lambda: now)

    allowed = []
    for now in (1000.5, 1059.0, 1060.4, 1060.5, 1060.5, 1060.5):  # noqa: B007 the clock reads it
        allowed.append(throttle.take("a")[0])

    assert allowed == [True, True, False, True, True, False]


def test_without_a_limit_there_are_no_headers() -> None:
    with DemoServer(World()) as server:
        headers = get(server, "/api/ping")[1]

    assert not [name for name in headers if "ratelimit" in name]


def test_the_limit_may_change_while_the_server_runs(limited: DemoServer) -> None:
    limited.throttle.limit = 1

    statuses = [get(limited, "/api/ping")[0] for _ in range(2)]

    assert statuses == [200, 429]
