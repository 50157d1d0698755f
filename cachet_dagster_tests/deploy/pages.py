"""Up to twenty status pages of the tests' own, each a real server: both APIs, with and without a token, some failing.

Each holds a recorded world, whose truth is known cell by cell.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from cachet_dagster.demo import DemoServer
from cachet_dagster_tests import recordings, truth, truth_cachet2

from .cluster import Deployment
from .servers import ADMIN, ADMIN_2, OPTIONS, PORT, WINDOW, RemoteServer, make_server

SECRETS = {"ACME_API_TOKEN": ADMIN, "OLD_API_TOKEN": ADMIN_2}

Server: TypeAlias = "DemoServer | RemoteServer"
Kind = Literal["admin", "guest", "cachet2", "part", "down"]


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
    server: Server | None
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

    def differences(self, cluster: Deployment) -> list[str]:
        """Return where what is loaded differs from what the server has, a line for each thing."""
        assert self.server is not None
        with contextlib.closing(cluster.place(self.name).mirrored()) as stored:
            if self.kind == "cachet2":
                found = truth_cachet2.differences(
                    stored, recordings.world("v2"), admin=True, page=self.server.url
                )
            else:
                caller = "guest" if self.kind == "guest" else "admin"
                world = self.server.world.dump()
                found = truth.differences(stored, caller, world=world, limit=10_000)
        unloaded = [
            *([] if self.points else ["metric_points"]),
            *(["subscriber"] if self.kind == "part" else []),
        ]
        return [line for line in found if not line.startswith(tuple(unloaded))]


def pages_of(servers: Mapping[str, Server]) -> dict[str, Page]:
    """Return eight pages, half of them of each location, one of each kind, by name."""
    window = {"rate_window": WINDOW}
    by_sensors = {"sensor_seconds": "5", "sync_cron": "off", "points_cron": "off"}
    found = [
        Page("a_sensors", "a", "admin", servers["sensors"], points=True, more=by_sensors),
        Page("b_limited", "b", "guest", servers["limited"], points=True, more=window),
        Page("a_two", "a", "cachet2", servers["two"], points=True),
        Page("b_part", "b", "part", servers["part"]),
        Page("a_shared", "a", "admin", servers["shared"], more={**window, "pool": "shared_api"}),
        Page("b_shared", "b", "guest", servers["shared"], more={**window, "pool": "shared_api"}),
        Page("a_down", "a", "down", None),
        Page("b_slow", "b", "admin", servers["slow"]),
    ]
    return {page.name: page for page in found}


def pages_in_containers() -> dict[str, Page]:
    """Return the same pages, whose servers are containers of a network."""
    return pages_of(
        {
            name: RemoteServer(f"http://cachet-{name}:{PORT}", options.get("api", 3))
            for name, options in OPTIONS.items()
        }
    )


def divided(pages: Mapping[str, Page]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what each page's `defs.yaml` says, by location and page."""
    return {
        location: {page.name: page.attributes for page in pages.values() if page.location == location}
        for location in ("a", "b")
    }


@contextlib.contextmanager
def served(count: int) -> Iterator[dict[str, Page]]:
    """Serve pages in this process, half of them of each location, by name: up to twenty."""
    with contextlib.ExitStack() as running:

        def start(**options: Any) -> DemoServer:
            return running.enter_context(make_server(options))

        pages = pages_of({name: start(**options) for name, options in OPTIONS.items()})
        found = [
            *pages.values(),
            Page("a_slow", "a", "admin", start(latency=1.0)),
            Page("b_sensors", "b", "cachet2", start(api=2), more={"sensor_seconds": "5"}),
            *(
                Page(f"{location}_{number}", location, "guest" if number % 2 else "admin", start())
                for number in range(6, 11)
                for location in ("a", "b")
            ),
        ]
        yield {page.name: page for page in found[:count]}
