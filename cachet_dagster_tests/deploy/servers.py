"""The Cachets under test, the same in a test's process and in a container of their own.

In a container: `python -m cachet_dagster_tests.deploy.servers NAME`. It imports neither Dagster nor pytest, so that the
image of the web server, which has Starlette and uvicorn, is enough.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cachet_dagster.demo import DemoServer, World
from cachet_dagster.demo.answers import App, Receive, Scope, Send
from cachet_dagster.demo.cachet2 import Cachet2World
from cachet_dagster_tests import recordings
from cachet_dagster_tests.truth import RECORDED_AT

ADMIN = recordings.tokens("v3")["admin"]
ADMIN_2 = recordings.tokens("v2")["admin"]
NEWS = "Seen by a sensor"
PORT = 8000

LIMIT, WINDOW = 30, 3.0
"""Requests that the servers with a rate limit grant in a window of so many seconds."""


def subscribers_fail(app: App) -> App:
    """Answer 500 to the list of subscribers, in words that give the token away."""

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("/subscribers"):
            await app(scope, receive, send)
            return
        await _answer(send, 500, {"message": f"out of memory (token {ADMIN})"})

    return failing


async def _answer(send: Send, status: int, document: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})


LIMITED: Mapping[str, Any] = {"rate_limit": LIMIT, "rate_window": WINDOW}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "sensors": {},
    "limited": LIMITED,
    "two": {"api": 2},
    "part": {"middleware": [subscribers_fail]},
    "shared": LIMITED,
    "slow": {"latency": 1.0},
}
"""Each server's name, and what of it is other than usual."""


def recorded_world(api: int) -> World:
    """Return the recorded rows."""
    return World(recordings.world("v3")) if api == 3 else Cachet2World.load(recordings.world("v2"))


def make_server(options: Mapping[str, Any], **more: Any) -> DemoServer:
    """Return a server, not started, of a recorded world and its admin's token."""
    api = options.get("api", 3)
    token, clock = (ADMIN, lambda: RECORDED_AT) if api == 3 else (ADMIN_2, None)
    return DemoServer(recorded_world(api), tokens={token: {"*"}}, clock=clock, **{**options, **more})


def post_news(world: World) -> None:
    """Post an incident that is to be noticed."""
    world.post_incident(NEWS, at=RECORDED_AT, components={1: 2})


@dataclass(frozen=True)
class RemoteServer:
    """A server in a container, as a test sees it.

    Attributes:
        url: The page's address, as other containers see it.
        api: The API's version.
    """

    url: str
    api: int

    @property
    def name(self) -> str:
        """The name of its service."""
        return self.url.partition("//")[2].partition(":")[0]

    @cached_property
    def world(self) -> World:
        """The rows that it serves, as a copy."""
        return recorded_world(self.api)

    def post_news(self, address: str) -> None:
        """Post news on the server, which this process reaches at an address, and on the copy."""
        self.ask(address, "news")
        post_news(self.world)

    def ask(self, address: str, what: str) -> Any:
        """Have it do or tell something that is no part of Cachet."""
        with urllib.request.urlopen(f"http://{address}:{PORT}/control/{what}", timeout=10) as answer:
            return json.load(answer)


def main(name: str) -> None:
    """Serve until the process is ended."""

    def controlled(app: App) -> App:
        async def control(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].startswith("/control/"):
                await app(scope, receive, send)
                return
            if scope["path"].endswith("/news"):
                post_news(server.world)
            asked = {"count": server.request_count, "rejected": server.throttle.rejected}
            await _answer(send, 200, asked)

        return control

    options = dict(OPTIONS[name])
    options["middleware"] = [controlled, *options.get("middleware", [])]
    server = make_server(options, host="0.0.0.0", port=PORT)
    # The first process of a container is not ended by SIGTERM otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with server:
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
