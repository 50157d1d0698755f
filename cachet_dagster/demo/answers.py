"""What the embedded servers of both API versions share: the settings of a server and the ASGI plumbing.

Plain ASGI instead of a framework: a page of 100 points takes the server less time to build than a framework
takes to route it, and under a benchmark both share the cores with the client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from .world import World

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Clock = Callable[[], datetime]
WorldSource = World | Callable[[datetime], World]

DEMO_TOKEN = "1|cachet-demo-token"  # noqa: S105 the demo's own, for a server that holds nothing but the demo


@dataclass
class Settings:
    """What an administrator sets on a server; may be changed while it runs.

    `tokens`: API token → its abilities (`"*"` for all). `latency` in seconds, added to every answer.
    `timezone`: the server's own; Cachet prints local times in it without an offset. `app_url`: the origin that
    the `links` of a page name; None for the one the request went to.
    """

    protected: bool = False
    disabled: bool = False
    timezone: str = "UTC"
    latency: float = 0.0
    me: bool = False
    app_version: str = "3.x-dev"
    app_url: str | None = None
    database: str = "sqlite"
    tokens: Mapping[str, frozenset[str]] = field(default_factory=lambda: {DEMO_TOKEN: frozenset({"*"})})


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(timezone.utc)


class CurrentWorld:
    """The world as it is now: a fixed one, or one that a recipe makes for a time, made again only when due."""

    def __init__(self, source: WorldSource) -> None:
        self._source = source
        self._made: World | None = source if isinstance(source, World) else None
        self._made_at: datetime | None = None

    def __call__(self, now: datetime) -> World:
        """Return the world at an instant (UTC)."""
        if isinstance(self._source, World):
            return self._source
        made, made_at = self._made, self._made_at
        if made is None or made_at is None or now < made_at or _outlived(made, made_at, now):
            made = self._source(now)
            self._made, self._made_at = made, now
        return made


def _outlived(world: World, made_at: datetime, now: datetime) -> bool:
    return now >= world.valid_until if world.valid_until is not None else now != made_at


async def respond(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    headers: list[tuple[bytes, bytes]],
    *,
    head: bool,
) -> None:
    """Send a whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": b"" if head else body})
