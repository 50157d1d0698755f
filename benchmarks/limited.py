"""This project's embedded Cachet with a benchmark's rows and a real rate limit, in a process of its own.

One decision shapes it: the limit is the embedded server's own, which the contract tests hold to the
recordings; what is added is only a count of requests and refusals at `GET /_count`, unseen by the limit.
"""

from __future__ import annotations

import argparse
import json
import threading

from benchmarks.world import World
from cachet_dagster.demo.answers import App, Message, Receive, Scope, Send
from cachet_dagster.demo.server import DemoServer
from cachet_dagster.demo.world import World as DemoWorld


def demo_world(world: World) -> DemoWorld:
    def points():
        for metric in range(1, world.metrics + 1):
            for text in world.point_rows(metric, 0, world.points):
                row = json.loads(text)["attributes"]
                yield {
                    **{name: row[name] for name in ("id", "metric_id", "value", "counter")},
                    "created_at": row["created"]["string"],
                    "updated_at": row["updated"]["string"],
                }

    demo = DemoWorld({"metric_points": points()})
    for metric in range(1, world.metrics + 1):
        demo.add("metrics", id=metric, name=f"Metric {metric}")
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limited", description=__doc__)
    parser.add_argument("--metrics", type=int, required=True)
    parser.add_argument("--points", type=int, required=True, help="per metric")
    parser.add_argument("--rate-limit", type=int, default=300, help="requests a minute")
    args = parser.parse_args()
    world = demo_world(World(args.metrics, args.points))
    with DemoServer(world, rate_limit=args.rate_limit, middleware=[Counting]) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
