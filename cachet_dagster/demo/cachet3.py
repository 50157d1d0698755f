"""The API of Cachet 3, read-only, as an ASGI app over a `World`.

Every rule here was derived from recordings of a real Cachet 3, and the contract test holds it to them: loaded
with the recorded rows and the recorded time it gives the recorded status, content type and body. One decision
shapes it: each resource is one entry of a table (`cachet3_resources`), how a row is seen and printed stands by
itself (`cachet3_rows`), and how a page is filtered, sorted, cut and included is written once
(`cachet3_documents`). Here is what comes before: the route, the caller, the rate limit.

Deliberately not imitated:

- writes over HTTP: every method but GET and HEAD is a 405 that names those two; post through the `World`. The
  dataset `writes` is therefore the one that `NOT_IMITATED` leaves out of the contract;
- relation counts: only `componentsCount` of incidents adds its attribute; the others are accepted and add none;
- what was not recorded: `/api/status` but for a major outage, filters but for the recorded ones, and the text of
  the 500 that `include=user` of schedules is on the real server. They follow Cachet's own description.
"""

from __future__ import annotations

import orjson

from .answers import App, Clock, CurrentWorld, Receive, Scope, Send, Settings, WorldSource, respond, utc_now
from .cachet3_documents import (
    Refusal,
    Views,
    children_document,
    find,
    list_document,
    parse_query,
    single_document,
)
from .cachet3_resources import RESOURCES
from .cachet3_rows import Caller, Request, latest_status, published
from .throttle import Throttle
from .world import Row

JSON = b"application/json"
JSON_API = b"application/vnd.api+json"

NOT_IMITATED = {"writes": "every method but GET and HEAD is a 405"}
"""Recorded datasets that are left out of the contract, and why."""

SYSTEM_STATUS = {
    "operational": "All systems are operational.",
    "partial_outage": "Some systems are experiencing issues.",
    "major_outage": "Some systems are experiencing major issues.",
    "under_maintenance": "Some systems are under maintenance.",
}


def _status(request: Request) -> Row:
    statuses = [
        latest_status(request, row)
        for row in request.world.take("components")
        if row["deleted_at"] is None and row["enabled"]
    ]
    unresolved = any(
        row["status"] != 4 and row["visible"] == 1 and published(request, row) and row["deleted_at"] is None
        for row in request.world.take("incidents")
    )
    if statuses and statuses.count(4) / len(statuses) >= 0.25:
        name = "major_outage"
    elif all(status == 1 for status in statuses):
        name = "partial_outage" if unresolved else "operational"
    elif all(status in (1, 6) for status in statuses):
        name = "under_maintenance"
    else:
        name = "partial_outage"
    return {"data": {"status": name, "message": SYSTEM_STATUS[name]}}


def _me(request: Request) -> Row:
    user = request.world.take("users")[0]
    attributes = {key: user.get(key) for key in ("id", "name", "email")}
    return {"data": {"id": str(user["id"]), "type": "users", "attributes": attributes}}


_CHILDREN = {("incidents", "updates"), ("schedules", "updates"), ("metrics", "points")}
_LISTS = frozenset(RESOURCES) - {"points", "updates", "users"}
_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Status</title></head>
<body><h1>Status</h1><p>This is the embedded Cachet of cachet_dagster. Its API is at <a href="/api/status">/api</a>.
</p></body></html>
"""


class _Cachet3:
    """The ASGI app: finds the route, the caller and the bucket, then the answer."""

    def __init__(self, world: WorldSource, clock: Clock, settings: Settings, throttle: Throttle) -> None:
        self._world = world if isinstance(world, CurrentWorld) else CurrentWorld(world)
        self._clock = clock
        self._settings = settings
        self._throttle = throttle
        self._views = Views()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"].rstrip("/")
        head = scope["method"] == "HEAD"
        if path == "":
            await respond(send, 200, _PAGE, b"text/html; charset=utf-8", [], head=head)
            return
        headers: list[tuple[bytes, bytes]] = []
        try:
            status, body, content_type = 200, *self._answer(scope, path, headers)
        except Refusal as refusal:
            status, body, content_type = refusal.status, {"message": refusal.message}, JSON
            headers += refusal.headers
        await respond(send, status, orjson.dumps(body), content_type, headers, head=head)

    def _answer(self, scope: Scope, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[Row, bytes]:
        route = self._route(path)
        if scope["method"] not in ("GET", "HEAD"):
            raise Refusal(
                405,
                f"The {scope['method']} method is not supported for route {path[1:]}. Supported methods: GET, HEAD.",
                [(b"allow", b"GET, HEAD")],
            )
        settings = self._settings
        if settings.disabled:
            raise Refusal(404, "")
        sent = {name: value for name, value in scope["headers"] if name in (b"authorization", b"host")}
        caller = self._caller(sent.get(b"authorization", b"").decode("latin-1"))
        private = route[0] in ("subscribers", "me")
        if (private or settings.protected) and not caller.known:
            raise Refusal(401, "Unauthenticated.")
        client = scope["client"][0] if scope.get("client") else ""
        # One user owns all tokens, so what counts per user has one bucket.
        allowed, limits = self._throttle.take("user" if private else f"ip:{client}")
        headers += limits
        if not allowed:
            raise Refusal(429, "Too Many Attempts.")
        if route[0] == "subscribers" and not caller.can("subscribers.manage"):
            raise Refusal(403, "Invalid ability provided.")
        now = self._clock()
        world = self._world(now)
        origin = settings.app_url or f"http://{sent.get(b'host', b'localhost').decode('latin-1')}"
        with world.lock:
            request = Request(world, now, settings, caller, origin, path, parse_query(scope["query_string"]))
            return self._build(request, route)

    def _route(self, path: str) -> list[str]:
        parts = path.split("/")[1:]
        if parts[0] == "api" and len(parts) > 1:
            route = parts[1:]
            if len(route) == 1 and (
                route[0] in _LISTS
                or route[0] in ("version", "ping", "status")
                or (route[0] == "me" and self._settings.me)
            ):
                return route
            if len(route) == 2 and route[0] in _LISTS:
                return route
            if len(route) in (3, 4) and (route[0], route[2]) in _CHILDREN:
                return route
        raise Refusal(404, f"The route {path[1:]} could not be found.")

    def _caller(self, authorization: str) -> Caller:
        """Return who a header means; a token is good with its number before the bar and without."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Caller(None)
        for known, abilities in self._settings.tokens.items():
            if token in (known, known.partition("|")[2] or known):
                return Caller(frozenset(abilities))
        return Caller(None)

    def _build(self, request: Request, route: list[str]) -> tuple[Row, bytes]:
        name = route[0]
        if name == "version":
            return {"data": {"version": self._settings.app_version}}, JSON
        if name == "ping":
            return {"data": "Pong!"}, JSON
        if name == "status":
            return _status(request), JSON
        if name == "me":
            return _me(request), JSON_API
        resource = RESOURCES[name]
        if len(route) == 1:
            return list_document(request, resource, self._views), JSON_API
        if len(route) == 2:
            return single_document(request, resource, find(request, resource, route[1])), JSON_API
        child_id = route[3] if len(route) == 4 else None
        return children_document(request, name, route[1], route[2], child_id), JSON_API


def create_app(
    world: WorldSource,
    *,
    clock: Clock = utc_now,
    settings: Settings | None = None,
    throttle: Throttle | None = None,
) -> App:
    """Return the ASGI app of Cachet 3's API over a world, or over a recipe `(now) -> World`."""
    return _Cachet3(world, clock, settings or Settings(), throttle or Throttle(None))
