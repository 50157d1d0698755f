"""`python -m cachet_dagster.demo`: an embedded Cachet by itself, until Ctrl-C.

Without options it is the living status page on port 8000; sizes or a file make it a page that stands still.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from zoneinfo import ZoneInfo

from .answers import WorldSource
from .living import living_world
from .server import DEMO_TOKEN, DemoServer
from .world import World

SIZES = {
    "incidents": "incidents, each with three updates and up to two components",
    "components": "components",
    "groups": "component groups",
    "metrics": "metrics",
    "points": "points per metric",
    "subscribers": "subscribers",
    "schedules": "maintenance schedules",
    "templates": "incident templates",
}


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(
        prog="python -m cachet_dagster.demo",
        description="Serve an embedded Cachet on this machine. Its page is small, believable and alive (points and "
        "incidents appear as time goes on), unless sizes or a file are given.",
    )
    result.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    result.add_argument(
        "--port", type=int, default=8000, help="port, 0 for any free one (default: %(default)s)"
    )
    result.add_argument(
        "--api", type=int, choices=(2, 3), default=3, help="Cachet 2 or 3 (default: %(default)s)"
    )
    result.add_argument(
        "--database",
        choices=("sqlite", "mysql", "pgsql"),
        default="sqlite",
        help="whose order of rows a Cachet 2 shows (default: %(default)s)",
    )
    result.add_argument(
        "--seed", type=int, default=0, help="another seed, another page (default: %(default)s)"
    )
    result.add_argument(
        "--world", metavar="FILE", help="serve these rows: JSON of table name to list of rows"
    )
    sizes = result.add_argument_group(
        "sizes", "serve a generated page of these sizes instead of the living one"
    )
    for name, help_text in SIZES.items():
        sizes.add_argument(f"--{name}", type=int, metavar="N", help=help_text)
    server = result.add_argument_group("server")
    server.add_argument("--rate-limit", type=int, metavar="N", help="requests per window (default: no limit)")
    server.add_argument(
        "--rate-window",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds of a window (default: %(default)s)",
    )
    server.add_argument(
        "--latency-ms", type=float, default=0.0, metavar="N", help="milliseconds added to every answer"
    )
    server.add_argument("--protected", action="store_true", help="nothing without a token")
    server.add_argument("--me", action="store_true", help="offer /api/me, which Cachet 3 does not have")
    server.add_argument(
        "--timezone", default="UTC", metavar="Z", help="the server's time zone (default: UTC)"
    )
    return result


def world_of(options: argparse.Namespace) -> WorldSource:
    """Return the rows that the options ask for."""
    sizes = {name: getattr(options, name) for name in SIZES if getattr(options, name) is not None}
    if options.world:
        if options.api == 2:
            from .cachet2_world import Cachet2World

            return Cachet2World.load(options.world)
        return World.load(options.world)
    if sizes:
        return World.generate(**sizes, seed=options.seed)
    return partial(living_world, options.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C (or SIGTERM); return the exit code."""
    options = parser().parse_args(arguments)
    try:
        ZoneInfo(options.timezone)
        server = DemoServer(
            world_of(options),
            api=options.api,
            host=options.host,
            port=options.port,
            database=options.database,
            protected=options.protected,
            me=options.me,
            timezone=options.timezone,
            rate_limit=options.rate_limit,
            rate_window=options.rate_window,
            latency=options.latency_ms / 1000,
        ).start()
    except (OSError, ValueError, KeyError) as error:
        print(f"The demo cannot start: {error}", file=sys.stderr)
        return 1
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    print(
        f"Cachet {options.api} at {server.url} (API {server.api_url}), token {DEMO_TOKEN} - Ctrl-C ends it",
        flush=True,
    )
    over.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
