"""A Cachet 3 with ready-made pages, in a process of its own, so that no contender shares its CPU time.

One decision shapes it: an answer is bytes, headers included, built before the first request (`--ready`) or at
the first that asks for it; after that a request costs a dictionary lookup and one write. Paging, sorting and
the broken `links.next` (which forgets `per_page` and `sort`) are those of the recorded server. `GET /_count`
tells how many requests were served, itself not counted. Run it as `python -m benchmarks.server --metrics 20
--points 5000`; it prints its address.
"""

# ruff: noqa: UP031 - JSON is full of braces, and % leaves them alone.
from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

from benchmarks.world import World

_OK = b"200 OK", b"application/vnd.api+json"
_PLAIN = b"200 OK", b"application/json"
_MISSING = b"404 Not Found", b"application/json"
_BAD = b"400 Bad Request", b"application/json"
_EMPTY_LISTS = ("component-groups", "incident-templates", "schedules", "subscribers")


def _answer(kind: tuple[bytes, bytes], body: str | bytes) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    return (
        b"HTTP/1.1 %b\r\ncontent-type: %b\r\nx-ratelimit-limit: 100000000\r\n"
        b"x-ratelimit-remaining: 99999999\r\ncontent-length: %d\r\n\r\n" % (*kind, len(body))
    ) + body


class Ask(NamedTuple):
    """A request reduced to what its answer depends on: not on how the query is spelled and ordered."""

    path: tuple[str, ...]
    sort: str = "id"
    per_page: int = 15
    page: int = 1
    include: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, target: str) -> Ask:
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        return cls(
            path=tuple(unquote(parts.path).strip("/").split("/")[1:]),
            sort=query.get("sort", "id"),
            per_page=min(max(_number(query.get("per_page", "15")), 1), 100),
            page=max(_number(query.get("page", "1")), 1),
            include=frozenset(filter(None, query.get("include", "").split(","))),
        )


class Pages:
    """Builds answers. `host` is what the links point to, e.g. `http://127.0.0.1:8000`."""

    def __init__(self, world: World, host: str) -> None:
        self.world = world
        self.api = f"{host}/api"

    def build(self, ask: Ask) -> bytes:
        match ask.path:
            case ("version",):
                return _answer(_PLAIN, '{"data":{"version":"3.x-dev"}}')
            case ("ping",):
                return _answer(_PLAIN, '{"data":"Pong!"}')
            case ("status",):
                body = '{"data":{"status":"operational","message":"All systems are operational."}}'
                return _answer(_PLAIN, body)
            case ("metrics",):
                return self._list(ask, self.world.metrics, self._metrics)
            case ("metrics", number) if self._known(number, self.world.metrics):
                return _answer(_OK, '{"data":%s}' % self.world.metric(int(number)))
            case ("metrics", number, "points") if self._known(number, self.world.metrics):
                return self._list(ask, self.world.points, lambda *at: self._points(int(number), *at))
            case ("incidents",):
                return self._list(ask, self.world.incidents, lambda *at: self._incidents(ask.include, *at))
            case ("incidents", number) if self._known(number, self.world.incidents):
                return self._incident(int(number), ask.include)
            case ("components",):
                count = self.world.components if self.world.incidents else 0
                return self._list(ask, count, lambda *at: self._components(ask.include, *at))
            case ("components", number) if self.world.incidents and self._known(
                number, self.world.components
            ):
                return _answer(_OK, '{"data":%s}' % self.world.component(int(number), ask.include))
            case (name,) if name in _EMPTY_LISTS:
                return self._list(ask, 0, lambda *_: ([], None))
            case path:
                return _answer(
                    _MISSING, json.dumps({"message": f"The route api/{'/'.join(path)} could not be found."})
                )

    def expected(self, per_page: int) -> Iterator[Ask]:
        """What a reader with pages of this size will ask for, as far as one can know."""
        last = -(-self.world.points // per_page) + 1
        for number in range(1, self.world.metrics + 1):
            path = ("metrics", str(number), "points")
            yield Ask(path, "-id", per_page)
            yield from (Ask(path, "id", per_page, page) for page in range(1, last + 1))
        details = frozenset(("updates", "components", "user", "meta"))
        for page in range(1, -(-self.world.incidents // per_page) + 2):
            yield Ask(("incidents",), "id", per_page, page, details)
        for number in range(1, self.world.incidents + 1):
            yield Ask(("incidents", str(number)), include=details)

    @staticmethod
    def _known(number: str, last: int) -> bool:
        return number.isdigit() and 1 <= int(number) <= last

    def _list(self, ask: Ask, count: int, rows: Callable) -> bytes:
        """The page asked for; `rows(first, stop, step)` gives the rows at positions in order of id."""
        _, sort, per_page, page, _ = ask
        if sort not in ("id", "-id"):
            return _answer(_BAD, json.dumps({"message": f"Requested sort(s) `{sort}` is not allowed."}))
        first = min((page - 1) * per_page, count)
        stop = min(first + per_page, count)
        if sort == "id":
            data, included = rows(first, stop, 1)
        else:
            data, included = rows(count - 1 - first, count - 1 - stop, -1)
        url = f"{self.api}/{'/'.join(ask.path)}"
        links = {"first": f"{url}?page=1"}
        if page > 1:
            links["prev"] = f"{url}?page={page - 1}"
        if stop < count:
            links["next"] = f"{url}?page={page + 1}"
        meta = {
            "current_page": page,
            "current_page_url": f"{url}?page={page}",
            "from": first + 1 if data else None,
            "path": url,
            "per_page": per_page,
            "to": stop if data else None,
        }
        tail = json.dumps({"links": links, "meta": meta}, separators=(",", ":"))[1:-1]
        if included:
            tail += ',"included":[%s]' % ",".join(included)
        return _answer(_OK, '{"data":[%s],%s}' % (",".join(data), tail))

    def _metrics(self, *at: int) -> tuple[list[str], None]:
        return [self.world.metric(position + 1) for position in range(*at)], None

    def _points(self, metric_id: int, *at: int) -> tuple[list[str], None]:
        return self.world.point_rows(metric_id, *at), None

    def _components(self, include: frozenset[str], *at: int) -> tuple[list[str], None]:
        return [self.world.component(position + 1, include) for position in range(*at)], None

    def _incidents(self, include: frozenset[str], *at: int) -> tuple[list[str], list[str]]:
        ids = [position + 1 for position in range(*at)]
        return [self.world.incident(i, include) for i in ids], self.world.included(ids, include)

    def _incident(self, incident_id: int, include: frozenset[str]) -> bytes:
        included = self.world.included([incident_id], include)
        tail = ',"included":[%s]' % ",".join(included) if included else ""
        return _answer(_OK, '{"data":%s%s}' % (self.world.incident(incident_id, include), tail))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 1


class Server:
    """The state that all connections share: the finished answers, the count, the latency in seconds."""

    def __init__(self, pages: Pages, latency: float, keep: bool) -> None:
        self.pages = pages
        self.latency = latency
        self.keep = keep
        self.ready: dict[bytes | Ask, bytes] = {}
        self.count = 0

    def answer(self, target: bytes) -> bytes:
        if target == b"/_count":
            return _answer(_PLAIN, json.dumps({"requests": self.count, "refused": 0}))
        self.count += 1
        found = self.ready.get(target)
        if found is None:
            ask = Ask.parse(target.decode("latin-1"))
            found = self.ready.get(ask) or self.pages.build(ask)
            if self.keep:
                self.ready[target] = self.ready[ask] = found
        return found


class Connection(asyncio.Protocol):
    """One keep-alive connection; only GETs without a body come, so a request ends at the first empty line."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.later = asyncio.get_running_loop().call_later

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            target = self.received.split(b" ", 2)[1]
            self.received = self.received[end + 4 :]
            answer = self.server.answer(target)
            if self.server.latency:
                self.later(self.server.latency, self.transport.write, answer)
            else:
                self.transport.write(answer)


async def serve(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    world = World(
        args.metrics, args.points, args.incidents, interleaved=args.interleaved, unforeseen=args.unforeseen
    )
    server = Server(Pages(world, ""), args.latency_ms / 1000, keep=not args.forget)
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", args.port, backlog=1024)
    host = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    server.pages = pages = Pages(world, host)
    for per_page in args.ready:
        server.ready.update((ask, pages.build(ask)) for ask in pages.expected(per_page))
    print(host, flush=True)
    await listening.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--metrics", type=int, default=0)
    parser.add_argument("--points", type=int, default=0, help="per metric")
    parser.add_argument("--incidents", type=int, default=0)
    parser.add_argument(
        "--interleaved", action="store_true", help="the metrics take turns in the ids of points"
    )
    parser.add_argument(
        "--unforeseen", action="store_true", help="points have an attribute and a member that Cachet has not"
    )
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument(
        "--ready", type=int, nargs="*", default=[], help="build the pages of these sizes beforehand"
    )
    parser.add_argument(
        "--forget", action="store_true", help="build each answer anew; for worlds beyond memory"
    )
    try:
        import uvloop as loops
    except ImportError:
        loops = asyncio
    loops.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
