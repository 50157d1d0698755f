"""A server that misbehaves on purpose, in front of an embedded Cachet, over real sockets.

It reads HTTP by itself instead of asking a framework to, because what it has to do (cut off in mid-body,
drip, lie about a length, reset) is what frameworks prevent. A request whose path has no fault is passed on
to the embedded Cachet, so that everything but the one path behaves. A fault is an async function of an
`Exchange`; the functions here make them.
"""

from __future__ import annotations

import asyncio
import fnmatch
import gzip
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cachet_dagster.demo import DemoServer

JSON = "application/vnd.api+json"
HTML = b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path


@dataclass
class Exchange:
    """One request and the connection that waits for its answer; `nth` counts the same request, from 1."""

    seen: Seen
    nth: int
    server: FaultServer
    writer: asyncio.StreamWriter

    @property
    def page(self) -> int:
        """Number of the page that is asked for."""
        return int(self.query.get("page", "1"))

    @property
    def descending(self) -> bool:
        """Whether the newest rows are asked for first."""
        return self.query.get("sort", "").startswith("-")

    @property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.seen.target).query).items()}

    async def proper(self) -> tuple[int, bytes, str]:
        """Return what the embedded Cachet answers: status, body and content type."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.demo.port)
        try:
            headers = {**self.seen.headers, "connection": "close", "accept-encoding": "identity"}
            lines = [
                f"GET {self.seen.target} HTTP/1.1",
                *(f"{name}: {value}" for name, value in headers.items()),
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        status, *fields = head.decode("latin-1").split("\r\n")
        answered = dict(field.lower().split(": ", 1) for field in fields)
        return int(status.split()[1]), body, answered["content-type"]

    async def answer(
        self,
        status: int,
        body: bytes,
        content_type: str = JSON,
        headers: Sequence[tuple[str, str]] = (),
        *,
        length: int | None = None,
    ) -> None:
        """Send a head and a body; `length` is announced instead of the body's own."""
        lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body) if length is None else length}", "", ""]
        self.writer.write("\r\n".join(lines).encode("latin-1") + body)
        await self.writer.drain()

    def reset(self) -> None:
        """Reset the connection, as a crashing server or a firewall does."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Fault = Callable[[Exchange], Awaitable[None]]


class FaultServer:
    """Serve an embedded Cachet, with faults on the paths that have one, from entering `with` to leaving it.

    Args:
        demo: The Cachet behind it.
        tls: Makes it speak TLS.
    """

    def __init__(self, demo: DemoServer, tls: ssl.SSLContext | None = None):
        self.demo = demo
        self.faults: dict[str, Fault] = {}
        self.requests: list[Seen] = []
        self._tls = tls
        self._times: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def misbehave(self, fault: Fault, *paths: str) -> None:
        """Answer these paths (patterns as in `fnmatch`) by a fault from now on; requests are counted anew."""
        self.heal()
        self.faults = dict.fromkeys(paths, fault)

    def heal(self) -> None:
        """Behave from now on; requests are counted anew."""
        self.faults = {}
        self.requests.clear()
        self._times.clear()

    def asked(self, path: str) -> int:
        """Return how many requests came for a path."""
        return sum(seen.path == path for seen in self.requests)

    @property
    def url(self) -> str:
        """The page's address."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultServer:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls), self._loop
        )
        self._server = started.result(5)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        serving = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request, *fields = head.strip().split("\r\n")
                headers = dict(
                    field.lower().split(": ", 1)[:1] + field.split(": ", 1)[1:] for field in fields
                )
                seen = Seen(request.split()[1], headers)
                self.requests.append(seen)
                self._times[seen.target] += 1
                exchange = Exchange(seen, self._times[seen.target], self, writer)
                fault = next(
                    (fault for path, fault in self.faults.items() if fnmatch.fnmatch(seen.path, path)), well
                )
                await fault(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except asyncio.CancelledError:
            # The server stops: asyncio's streams would complain of a cancelled handler.
            return
        finally:
            writer.close()


async def well(exchange: Exchange) -> None:
    """Answer as the embedded Cachet does."""
    await exchange.answer(*await exchange.proper())


def says(status: int, body: bytes | dict[str, Any] = b"", content_type: str = JSON, **headers: str) -> Fault:
    """Answer this; underscores in a header's name stand for dashes."""
    said = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(status, said, content_type, fields)

    return fault


def first(times: int, fault: Fault) -> Fault:
    """Misbehave at the first `times` of the same request, then behave."""

    async def until(exchange: Exchange) -> None:
        await (fault if exchange.nth <= times else well)(exchange)

    return until


def on_page(number: int, fault: Fault) -> Fault:
    """Misbehave on one page of ascending ids."""

    async def only(exchange: Exchange) -> None:
        there = exchange.page == number and not exchange.descending
        await (fault if there else well)(exchange)

    return only


def changed(change: Callable[[Any], Any]) -> Fault:
    """Answer the proper document, changed in place or replaced by what is returned."""

    async def fault(exchange: Exchange) -> None:
        status, body, content_type = await exchange.proper()
        document = json.loads(body)
        document = change(document) or document
        await exchange.answer(status, json.dumps(document).encode(), content_type)

    return fault


def rewritten(change: Callable[[bytes], bytes], *, right_length: bool = True, **headers: str) -> Fault:
    """Answer the proper body, its bytes changed; else than with the right length the rest never comes."""
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]

    async def fault(exchange: Exchange) -> None:
        status, body, content_type = await exchange.proper()
        sent = change(body)
        length = len(sent) if right_length else len(body)
        await exchange.answer(status, sent, content_type, fields, length=length)
        if not right_length:
            exchange.writer.close()

    return fault


def half(body: bytes) -> bytes:
    """Return the first half."""
    return body[: len(body) // 2]


def packed(change: Callable[[bytes], bytes] = bytes) -> Fault:
    """Answer the proper body in gzip, its packed bytes changed."""
    return rewritten(lambda body: change(gzip.compress(body)), Content_Encoding="gzip")


def bomb(size: int) -> Fault:
    """Answer a body that is small on the wire and `size` bytes when unpacked."""
    return says(200, gzip.compress(b" " * size), Content_Encoding="gzip")


async def resets_in_the_body(exchange: Exchange) -> None:
    """Send half of the proper answer, then reset the connection."""
    status, body, content_type = await exchange.proper()
    await exchange.answer(status, half(body), content_type, length=len(body))
    exchange.reset()


async def resets_at_once(exchange: Exchange) -> None:
    """Reset the connection instead of answering."""
    exchange.reset()


async def is_silent(exchange: Exchange) -> None:
    """Never answer."""
    await asyncio.sleep(60)


async def drips(exchange: Exchange) -> None:
    """Send the proper answer a byte at a time, so slowly that it never ends, yet never pausing for long."""
    status, body, content_type = await exchange.proper()
    await exchange.answer(status, b"", content_type, length=len(body))
    for byte in body:
        exchange.writer.write(bytes([byte]))
        await exchange.writer.drain()
        await asyncio.sleep(0.05)


async def talks_gibberish(exchange: Exchange) -> None:
    """Answer what is not HTTP."""
    exchange.writer.write(b"220 ready for mail\r\n\r\n")
    exchange.writer.close()


async def redirects_in_a_circle(exchange: Exchange) -> None:
    """Redirect to itself."""
    await exchange.answer(302, b"", headers=[("Location", exchange.seen.target)])


def redirects(location: str) -> Fault:
    """Redirect to an address."""
    return says(302, Location=location)


def redirects_within(prefix: str) -> Fault:
    """Redirect to another path of the same server, under which the proper answer is given."""

    async def fault(exchange: Exchange) -> None:
        if prefix in exchange.seen.target:
            await well(exchange)
        else:
            mark = "&" if "?" in exchange.seen.target else "?"
            await exchange.answer(301, b"", headers=[("Location", f"{exchange.seen.target}{mark}{prefix}")])

    return fault


def meanwhile(act: Callable[[Exchange], Any]) -> Fault:
    """Answer properly, then act, as if somebody changed the page between two requests."""

    async def fault(exchange: Exchange) -> None:
        answer = await exchange.proper()
        act(exchange)
        await exchange.answer(*answer)

    return fault
