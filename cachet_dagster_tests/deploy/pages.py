"""Up to twenty status pages of the tests' own, each a real server: both APIs, with and without a token, some failing.

Each holds a recorded world, whose truth is known cell by cell.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cachet_dagster.demo import DemoServer
from cachet_dagster.demo.answers import App, Receive, Scope, Send
from cachet_dagster_tests import truth, truth_cachet2
from cachet_dagster_tests.conftest import ADMIN, serve_recorded
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN as ADMIN_2
from cachet_dagster_tests.source.cachet2.test_cachet2 import WORLD as WORLD_2
from cachet_dagster_tests.source.cachet2.test_cachet2 import serving as serving_2

from .cluster import Cluster

SECRETS = {"ACME_API_TOKEN": ADMIN, "OLD_API_TOKEN": ADMIN_2}

Kind = Literal["admin", "guest", "cachet2", "part", "down"]

LIMIT, WINDOW = 30, 3.0
"""Requests that the servers with a rate limit grant in a window of so many seconds."""


def soon() -> str:
    """Return a schedule of every other minute that is due within a minute and a half."""
    minute = time.gmtime(time.time() + 30).tm_min + 1
    return f"{minute % 2}-59/2 * * * *"


@dataclass(frozen=True)
class Page:
    """A page, and what is known of it.

    Attributes:
        name: The page's name.
        location: The code location that has it.
        kind: As whom which API is read; of `part` the subscribers fail, and `down` never answers.
        server: What answers; None for the page that is down.
        points: Whether its points are loaded.
        cron: When its schedules are due.
        more: Other attributes of its `defs.yaml`.
    """

    name: str
    location: str
    kind: Kind
    server: DemoServer | None
    points: bool = False
    cron: str = field(default_factory=soon)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether its loads succeed."""
        return self.kind in ("admin", "guest", "cachet2")

    @property
    def attributes(self) -> dict[str, Any]:
        """What its `defs.yaml` says."""
        tokens = {"admin": "ACME_API_TOKEN", "part": "ACME_API_TOKEN", "cachet2": "OLD_API_TOKEN"}
        return {
            "base_url": self.server.url if self.server else "http://127.0.0.1:9",
            "token_variable": tokens.get(self.kind),
            "destination": "postgres",
            "sync_cron": self.cron,
            "points_cron": "* * * * *",
            "sensor_seconds": "off",
            "attempts": 2,
            "retry_delay": 0.01,
            "checks": False,
            **({} if self.points else {"exclude_endpoints": ["metric_points"]}),
            **self.more,
        }

    def differences(self, cluster: Cluster) -> list[str]:
        """Return where what is loaded differs from what the server has, a line for each thing."""
        assert self.server is not None
        with contextlib.closing(cluster.place(self.name).mirrored()) as stored:
            if self.kind == "cachet2":
                found = truth_cachet2.differences(stored, WORLD_2, admin=True, page=self.server.url)
            else:
                caller = "guest" if self.kind == "guest" else "admin"
                world = self.server.world.dump()
                found = truth.differences(stored, caller, world=world, limit=10_000)
        unloaded = [
            *([] if self.points else ["metric_points"]),
            *(["subscriber"] if self.kind == "part" else []),
        ]
        return [line for line in found if not line.startswith(tuple(unloaded))]


def subscribers_fail(app: App) -> App:
    """Answer 500 to the list of subscribers, in words that give the token away."""

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("/subscribers"):
            await app(scope, receive, send)
            return
        body = json.dumps({"message": f"out of memory (token {ADMIN})"}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return failing


@contextlib.contextmanager
def served(count: int) -> Iterator[dict[str, Page]]:
    """Serve pages, half of them of each location, by name: eight with one of each kind, or up to twenty."""
    with contextlib.ExitStack() as running:

        def three(**options: Any) -> DemoServer:
            return running.enter_context(serve_recorded(**options))

        def two(**options: Any) -> DemoServer:
            return running.enter_context(serving_2(**options))

        limited: dict[str, Any] = {"rate_limit": LIMIT, "rate_window": WINDOW}
        window = {"rate_window": WINDOW}
        by_sensors = {"sensor_seconds": "5", "sync_cron": "off", "points_cron": "off"}
        shared = three(**limited)
        found = [
            Page("a_sensors", "a", "admin", three(), points=True, more=by_sensors),
            Page("b_limited", "b", "guest", three(**limited), points=True, more=window),
            Page("a_two", "a", "cachet2", two(), points=True),
            Page("b_part", "b", "part", three(middleware=[subscribers_fail])),
            Page("a_shared", "a", "admin", shared, more={**window, "pool": "shared_api"}),
            Page("b_shared", "b", "guest", shared, more={**window, "pool": "shared_api"}),
            Page("a_down", "a", "down", None),
            Page("b_slow", "b", "admin", three(latency=1.0)),
            Page("a_slow", "a", "admin", three(latency=1.0)),
            Page("b_sensors", "b", "cachet2", two(), more={"sensor_seconds": "5"}),
            *(
                Page(f"{location}_{number}", location, "guest" if number % 2 else "admin", three())
                for number in range(6, 11)
                for location in ("a", "b")
            ),
        ]
        yield {page.name: page for page in found[:count]}
