"""This project's embedded Cachet with a benchmark's rows, in a process of its own: with a rate limit, or as a Cachet 2.

One decision shapes it: the limit and Cachet 2's answers are the embedded server's own, which the contract tests
hold to the recordings; what is added is only a count of requests and refusals at `GET /_count`, unseen by the
limit, and the attribute of an `unforeseen` world.
"""

from __future__ import annotations

import argparse
import json
import threading

from benchmarks.world import World
from cachet_dagster.demo.answers import App, Message, Receive, Scope, Send
from cachet_dagster.demo.cachet2 import Cachet2World
from cachet_dagster.demo.server import DemoServer
from cachet_dagster.demo.world import World as DemoWorld


def demo_world(world: World, api: int = 3) -> DemoWorld:
    def points():
        for metric in range(1, world.metrics + 1):
            for text in world.point_rows(metric, 0, world.points):
                row = json.loads(text)["attributes"]
                yield {
                    **{name: row[name] for name in ("id", "metric_id", "value", "counter")},
                    "created_at": row["created"]["string"],
                    "updated_at": row["updated"]["string"],
                }

    demo = (DemoWorld if api == 3 else Cachet2World)({"metric_points": points()})
    created = {} if api == 3 else dict.fromkeys(("created_at", "updated_at"), "2019-12-01 00:00:00")
    for metric in range(1, world.metrics + 1):
        demo.add("metrics", id=metric, name=f"Metric {metric}", **created)
    return demo


class Counting:
    """ASGI middleware: counts what arrives and what is refused."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.requests = self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.requests += 1
                self.refused += message["status"] == 429
            await send(message)

        if scope["path"] != "/_count":
            return await self.app(scope, receive, watch)
        body = json.dumps({"requests": self.requests, "refused": self.refused}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


class Unforeseen:
    """ASGI middleware: gives each of Cachet 2's points an attribute that no Cachet of today sends."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}

        async def added(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body = message["body"].replace(b'"metric_id":', b'"unit":"ms","metric_id":')
            headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
            await send({**message, "body": body})

        await self.app(scope, receive, added if scope["path"].endswith("/points") else send)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limited", description=__doc__)
    parser.add_argument("--metrics", type=int, required=True)
    parser.add_argument("--points", type=int, required=True, help="per metric")
    parser.add_argument("--rate-limit", type=int, default=0, help="requests a minute; 0 for no limit")
    parser.add_argument("--api", type=int, default=3, choices=(2, 3), help="2 for a Cachet 2")
    parser.add_argument(
        "--unforeseen", action="store_true", help="points of a Cachet 2 have an attribute that it has not"
    )
    args = parser.parse_args()
    world = demo_world(World(args.metrics, args.points), args.api)
    middleware = [Counting, *[Unforeseen] * args.unforeseen]
    with DemoServer(world, api=args.api, rate_limit=args.rate_limit or None, middleware=middleware) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
