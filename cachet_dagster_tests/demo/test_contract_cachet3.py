"""The embedded Cachet 3 answers every recorded GET as the real one did.

Loaded with the recorded rows and its clock set to the time of each recording. Compared are status, content type
and body, the relative `human` texts included; the origin of links is substituted. Left out is what the app names
in `NOT_IMITATED`, and nothing else.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.demo.cachet3 import NOT_IMITATED
from cachet_dagster.demo.world import instant, text
from cachet_dagster_tests import recordings

TOKENS = recordings.tokens("v3")
# "expired" is not among them: to the server it is like one that never was.
ABILITIES = {
    TOKENS["admin"]: {"*"},
    TOKENS["none"]: set(),
    TOKENS["incidents"]: {"incidents.manage"},
    TOKENS["subscribers"]: {"subscribers.manage"},
    TOKENS["all_manage"]: {"incidents.manage", "schedules.manage", "subscribers.manage"},
}
UNLIMITED = 100_000_000


class Clock:
    """A clock that shows the time of a recording."""

    now = datetime(2026, 11, 23, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def show(self, exchange: dict[str, Any]) -> None:
        # The recorded time is without its fraction of a second; half a one is as near as can be.
        recorded = parsedate_to_datetime(exchange["recorded_at"]).astimezone(timezone.utc)
        self.now = recorded + timedelta(seconds=0.5)


def headers_of(exchange: dict[str, Any]) -> dict[str, str]:
    """Return the request headers that an exchange was recorded with."""
    kind, _, name = (exchange["auth"] or ":").partition(":")
    token = TOKENS.get(name, "garbage")
    by_kind: dict[str, dict[str, str]] = {
        "": {},
        "bearer": {"Authorization": f"Bearer {token}"},
        "lower-bearer": {"Authorization": f"bearer {token}"},
        "secret-only": {"Authorization": f"Bearer {token.partition('|')[2]}"},
        "token-scheme": {"Authorization": f"Token {token}"},
        "raw-authorization": {"Authorization": token},
        "x-cachet-token": {"X-Cachet-Token": token},
        "x-api-key": {"X-API-Key": token},
        "basic-user": {"Authorization": "Basic " + base64.b64encode(f"{token}:".encode()).decode()},
    }
    return {**by_kind[kind], **exchange.get("request_headers", {})}


def ask(connection: http.client.HTTPConnection, exchange: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    connection.request("GET", exchange["path"].replace(" ", "%20"), headers=headers_of(exchange))
    response = connection.getresponse()
    body = response.read()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(body)


def with_origin(body: Any, origin: str) -> Any:
    """Return a recorded body as if recorded at another origin."""
    for port in ("8132", "8133"):
        body = json.loads(json.dumps(body).replace(f"http://127.0.0.1:{port}", origin))
    return body


def differences(path: str, recorded: Any, answered: Any) -> Iterator[str]:
    """Yield one line per value that differs."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        for key in [*recorded, *(key for key in answered if key not in recorded)]:
            yield from differences(
                f"{path}.{key}", recorded.get(key, "(absent)"), answered.get(key, "(absent)")
            )
    elif isinstance(recorded, list) and isinstance(answered, list):
        if len(recorded) != len(answered):
            yield f"{path}: {len(recorded)} recorded, {len(answered)} answered"
        for index, (left, right) in enumerate(zip(recorded, answered, strict=False)):
            yield from differences(f"{path}[{index}]", left, right)
    elif recorded != answered or type(recorded) is not type(answered):
        yield f"{path}: {recorded!r} recorded, {answered!r} answered"


def replay(server: DemoServer, clock: Clock, exchanges: list[dict[str, Any]], *names: str) -> list[str]:
    """Ask every recorded GET again; return what differs, also in the headers of these `names`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    problems: list[str] = []
    for exchange in exchanges:
        if exchange["method"] != "GET":
            continue
        clock.show(exchange)
        status, headers, body = ask(connection, exchange)
        found: list[str] = []
        found += differences("status", exchange["status"], status)
        for name in ("content-type", *names):
            found += differences(name, exchange["response_headers"].get(name), headers.get(name))
        found += differences("body", with_origin(exchange["body"], server.url), body)
        if found:
            problems.append(f"GET {exchange['path']} as {exchange['auth']}:")
            problems += [f"    {line}" for line in found[:5]]
    connection.close()
    return problems


def report(problems: list[str]) -> str:
    return f"{len(problems)} lines:\n" + "\n".join(problems[:60])


def recorded_world() -> World:
    return World(recordings.world("v3"))


def serve(world: World, clock: Clock, **options: Any) -> DemoServer:
    return DemoServer(world, clock=clock, tokens=ABILITIES, **{"rate_limit": UNLIMITED, **options})


@pytest.mark.parametrize("dataset", ["bulk", "auth"])
def test_every_recorded_get_is_answered_as_recorded(dataset: str) -> None:
    clock = Clock()

    with serve(recorded_world(), clock) as server:
        problems = replay(server, clock, recordings.exchanges("v3", dataset))

    assert not problems, report(problems)


def test_a_protected_server_answers_as_recorded() -> None:
    # Recorded after the dataset `writes`: of what that wrote, this is what the recorded answers show.
    clock, world = Clock(), recorded_world()
    world.update("components", 1, status=4, updated_at="2026-11-23 08:06:20")
    world.add("subscribers", email="new@example.com", created_at="2026-11-23 08:06:20", **{"global": 1})

    with serve(world, clock, protected=True) as server:
        problems = replay(server, clock, recordings.exchanges("v3", "protected"))

    assert not problems, report(problems)


def test_a_disabled_server_answers_as_recorded() -> None:
    clock = Clock()

    with serve(recorded_world(), clock, disabled=True) as server:
        problems = replay(server, clock, recordings.exchanges("v3", "disabled"), "x-ratelimit-limit")

    assert not problems, report(problems)


@pytest.mark.parametrize(("limit", "begin", "end"), [(3, 0, 13), (2, 13, 21)])
def test_a_server_that_limits_answers_as_recorded_with_all_headers(limit: int, begin: int, end: int) -> None:
    clock = Clock()
    exchanges = recordings.exchanges("v3", "throttle")[begin:end]

    with serve(World(), clock, rate_limit=limit) as server:
        server.throttle.clock = lambda: float(int(clock().timestamp()))
        problems = replay(
            server,
            clock,
            exchanges,
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "retry-after",
            "x-ratelimit-reset",
        )

    assert not problems, report(problems)


def test_a_server_in_new_york_answers_as_recorded() -> None:
    # The rows behind this dataset were not kept; they are read from its answers, as New York's local time.
    clock = Clock()
    exchanges = recordings.exchanges("v3", "timezone-new-york")

    with serve(_world_of_answers(exchanges), clock, timezone="America/New_York") as server:
        problems = replay(server, clock, exchanges)

    assert not problems, report(problems)


def test_the_rate_limit_counts_down_over_a_whole_recording() -> None:
    # In `bulk` and `auth`, one address and one user share two buckets over 611 requests.
    clock = Clock()
    exchanges = [*recordings.exchanges("v3", "bulk"), *recordings.exchanges("v3", "auth")]

    with serve(recorded_world(), clock) as server:
        server.throttle.clock = lambda: 0.0
        problems = replay(server, clock, exchanges, "x-ratelimit-remaining")

    assert not problems, report(problems)


def _world_of_answers(exchanges: list[dict[str, Any]]) -> World:
    tables = {"incidents": [], "components": [], "schedules": [], "metrics": [], "metricPoints": []}
    for exchange in exchanges:
        for document in exchange["body"]["data"]:
            tables[document["type"]].append(_row(document["attributes"]))
    points = tables.pop("metricPoints")
    # Of five points, only the newest three are shown.
    hidden = [
        dict(points[-1], id=row_id, created_at=text(_earlier(points[-1], 3 - row_id))) for row_id in (1, 2)
    ]
    worst = max(row["latest_status"] for row in tables["components"])
    links = [{"id": 1, "incident_id": 1, "component_id": 1, "component_status": worst}]
    return World({**tables, "metric_points": [*hidden, *points], "incident_components": links})


def _row(attributes: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"deleted_at": None, "component_group_id": None, "user_id": None}
    for name, value in attributes.items():
        if isinstance(value, dict) and "string" in value:
            row[f"{name}_at"] = _utc(value["string"])
        else:
            row[name] = value["value"] if isinstance(value, dict) else value
    return row


def _utc(local: str | None) -> str | None:
    if local is None:
        return None
    return text(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("America/New_York")))


def _earlier(point: dict[str, Any], minutes: int) -> datetime:
    return instant(point["created_at"]) - timedelta(minutes=minutes)


def test_every_recorded_dataset_is_held_to_or_named_as_not_imitated() -> None:
    held = {"bulk", "auth", "protected", "disabled", "throttle", "timezone-new-york"}

    assert set(recordings.datasets("v3")) == held | set(NOT_IMITATED)


def test_the_comparison_itself_sees_a_difference() -> None:
    clock, world = Clock(), recorded_world()
    world.update("incidents", 1, name="Another name")
    exchanges: list[dict[str, Any]] = recordings.exchanges("v3", "bulk")
    of_one: Callable[[dict[str, Any]], bool] = lambda e: e["path"].startswith("/api/incidents/1?")  # noqa: E731

    with serve(world, clock) as server:
        problems = replay(server, clock, [exchange for exchange in exchanges if of_one(exchange)])

    assert any("Another name" in line for line in problems)
