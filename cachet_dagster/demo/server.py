"""`DemoServer`: an embedded Cachet on a loopback port, in a thread of this process.

The decision that shapes it: tests and the demo talk to it over real sockets, so it is a real HTTP server
(uvicorn) around the ASGI app of the API version, and all that a test wants to know or to change (what was asked,
the rows, the settings) is reachable from the same process while it runs. Any number of them may run at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

import uvicorn

from . import cachet3
from .answers import (
    DEMO_TOKEN,
    App,
    Clock,
    CurrentWorld,
    Message,
    Receive,
    Scope,
    Send,
    Settings,
    WorldSource,
    utc_now,
)
from .throttle import Throttle
from .world import World

KEPT_REQUESTS = 100_000


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it arrived, and the status of its answer (None if there was none)."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    status: int | None


class _Recorder:
    """Wraps the app: adds the latency and the date of each answer, and remembers each request."""

    def __init__(self, app: App, settings: Settings, now: Clock) -> None:
        self.app = app
        self.settings = settings
        self.now = now
        self.requests: deque[tuple[Scope, int | None]] = deque(maxlen=KEPT_REQUESTS)
        self.count = 0
        self.paths: Counter[str] = Counter()
        self.errors: deque[Exception] = deque(maxlen=100)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status: int | None = None
        self.count += 1
        self.paths[scope["path"]] += 1

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                date = format_datetime(self.now(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", ()), (b"date", date)]}
                # Before the client can have the answer, so that who has it finds the request here.
                self.requests.append((scope, status))
            await send(message)

        if self.settings.latency:
            await asyncio.sleep(self.settings.latency)
        try:
            await self.app(scope, receive, send_and_see)
        except Exception as error:
            self.errors.append(error)
            raise
        finally:
            if status is None:
                self.requests.append((scope, None))


def _recorded(entry: tuple[Scope, int | None]) -> RecordedRequest:
    scope, status = entry
    return RecordedRequest(
        scope["method"],
        scope["path"],
        scope["query_string"].decode("latin-1"),
        {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        status,
    )


class DemoServer:
    """Serve a world as Cachet would, from entering the `with` block to leaving it.

    - `world`: a `World`, or a recipe `(now) -> World` such as a partial of `living_world`.
    - `api`: 3, or 2 for API v1 of Cachet 2. `database` (`"sqlite"`, `"mysql"`) matters to the latter only.
    - `clock`: returns the server's time (aware); default the present. The rate limit keeps real time.
    - `port`: 0 for any free one.
    - `tokens`: token → abilities; default `DEMO_TOKEN` with all of them (`{"*"}`).
    - `rate_limit` requests per `rate_window` seconds, per client address; None for no limit and no headers.
    - `latency`: seconds added to every answer.
    - `middleware`: callables app → app around the app, the first one outermost, to misbehave in tests.

    `settings` may be changed while it runs, and so may `throttle.limit` and `throttle.window`. The newest 100,000
    requests are kept in `requests`; `request_count` and `paths` count them all. Errors of the app itself are in
    `errors`. Nothing is logged.
    """

    def __init__(
        self,
        world: WorldSource,
        *,
        api: int = 3,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tokens: Mapping[str, Collection[str]] | None = None,
        protected: bool = False,
        disabled: bool = False,
        timezone: str = "UTC",
        rate_limit: int | None = None,
        rate_window: float = 60.0,
        latency: float = 0.0,
        me: bool = False,
        database: str = "sqlite",
        app_version: str | None = None,
        middleware: Sequence[Callable[[App], App]] = (),
    ) -> None:
        if tokens is None:
            tokens = {DEMO_TOKEN: {"*"}}
        self.settings = Settings(
            protected=protected,
            disabled=disabled,
            timezone=timezone,
            latency=latency,
            me=me,
            app_version=app_version or ("3.x-dev" if api == 3 else "2.4.1"),
            database=database,
            tokens={token: frozenset(abilities) for token, abilities in tokens.items()},
        )
        self.throttle = Throttle(rate_limit, rate_window)
        self.api = api
        self._clock = clock or utc_now
        self._current = CurrentWorld(world)
        self._host, self._port = host, port
        app = self._create_app()
        for wrap in reversed(middleware):
            app = wrap(app)
        self._recorder = _Recorder(app, self.settings, self._now)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    def _create_app(self) -> App:
        if self.api == 3:
            return cachet3.create_app(
                self._current, clock=self._now, settings=self.settings, throttle=self.throttle
            )
        if self.api != 2:
            raise ValueError(f"api is 2 or 3, not {self.api!r}")
        from . import cachet2

        return cachet2.create_app(
            self._current, clock=self._now, settings=self.settings, throttle=self.throttle
        )

    def _now(self) -> datetime:
        return self._clock().astimezone(timezone.utc)

    def start(self) -> DemoServer:
        """Listen and answer; returns when requests will be served. Raises OSError if the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
        self._socket = listener
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._recorder,  # pyright: ignore[reportArgumentType]
            log_config=None,
            log_level=logging.CRITICAL + 1,
            access_log=False,
            lifespan="off",
            server_header=False,
            # The date of an answer is the world's, not this machine's.
            date_header=False,
            # A client's X-Forwarded-For must not buy it a rate limit of its own.
            proxy_headers=False,
            timeout_keep_alive=30,
            backlog=2048,
            ws="none",
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=server.run, args=([listener],), name=f"demo-cachet-{self._port}", daemon=True
        )
        self._thread.start()
        while not server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the embedded server did not start")
            time.sleep(0.002)
        return self

    def stop(self) -> None:
        """Close the port and the connections; requests being answered are cut off."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(5)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None

    def __enter__(self) -> DemoServer:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The page's address, without a slash at the end."""
        return f"http://{self._host}:{self._port}"

    @property
    def api_url(self) -> str:
        """The address of the API."""
        return f"{self.url}/api" if self.api == 3 else f"{self.url}/api/v1"

    @property
    def world(self) -> World:
        """The rows as they are served now; those of a recipe are made anew as time goes on."""
        return self._current(self._now())

    @property
    def requests(self) -> list[RecordedRequest]:
        """The newest requests, oldest first."""
        return [_recorded(entry) for entry in list(self._recorder.requests)]

    @property
    def request_count(self) -> int:
        """How many requests arrived since the start or the last `clear_requests`."""
        return self._recorder.count

    @property
    def paths(self) -> Counter[str]:
        """How many requests arrived for each path (without query)."""
        return self._recorder.paths

    @property
    def errors(self) -> list[Exception]:
        """What the app, or a middleware, raised."""
        return list(self._recorder.errors)

    def clear_requests(self) -> None:
        """Forget the requests seen so far, and their count."""
        self._recorder.requests.clear()
        self._recorder.count = 0
        self._recorder.paths.clear()
