"""The fault matrix as data: each fault, and what is promised for it. docs/reliability.md shows it as a table.

One row is one `Case`. What a user reads is a phrase that stands in the error as it is in the table here; no
phrase means that the load succeeds. The test behind it is `test_matrix.py`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import format_datetime
from enum import Enum
from pathlib import Path
from typing import Any

from cachet_dagster.demo import DemoServer

from .certificates import Authority
from .loading import ATTEMPTS, BODY_CAP
from .server import (
    HTML,
    Exchange,
    Fault,
    FaultServer,
    bomb,
    changed,
    drips,
    first,
    half,
    is_silent,
    meanwhile,
    on_page,
    packed,
    redirects,
    redirects_in_a_circle,
    redirects_within,
    resets_at_once,
    resets_in_the_body,
    rewritten,
    says,
    talks_gibberish,
    well,
)


class Asked(Enum):
    """How often the request is sent."""

    ONCE = "once"
    UNTIL_WELL = "again, with growing pauses"
    THROUGH_OUTAGE = "again, with growing pauses, for up to `CACHET_MAX_WAIT` (15 minutes)"
    ATTEMPTS = "`CACHET_ATTEMPTS` times (5)"
    WAITS = "again, after the wait that the server asks for"
    ANEW = "the list is read again from its end, up to 3 times"


class After(Enum):
    """What the tables hold after the load."""

    LOADED = "what Cachet has"
    SNAPSHOT = "what Cachet had when the reading began; the next load brings the rest"
    OWN = "the endpoint's tables as before; all others are loaded"
    ALL = "everything as before"


@dataclass
class Stage:
    """What a fault may use: the Cachet behind it, another host that records, certificates, a folder."""

    demo: DemoServer
    other: FaultServer
    authority: Authority
    folder: Path


@dataclass(frozen=True)
class Case:
    """One fault and its promise.

    Attributes:
        group: What kind of fault it is.
        what: What happens.
        asked: How often the request is sent.
        requests: Requests for the endpoint's path in a load under the fault.
        after: What the tables hold afterwards.
        reads: What the user reads; empty where nothing is said.
        fault: Makes the fault of the endpoint.
        place: For faults of the whole server: gives the address and the settings that lead there.
        endpoint: Whose fault it is.
        row: Columns of the endpoint's first row (lowest id) after the load, where the fault changes them.
        settings: Settings that differ.
    """

    group: str
    what: str
    asked: Asked
    requests: int
    after: After
    reads: str = ""
    fault: Callable[[Stage], Fault] | None = None
    place: Callable[[Stage], AbstractContextManager[dict[str, Any]]] | None = None
    endpoint: str = "components_groups"
    row: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


PATHS = {"components_groups": "/api/component-groups", "incidents": "/api/incidents"}
"""Endpoint → the path of its list."""


def _always(fault: Fault) -> Callable[[Stage], Fault]:
    return lambda _: fault


@contextmanager
def _refused(_: Stage) -> Iterator[dict[str, Any]]:
    with socket.socket() as taken:
        # Bound and not listening: nobody else can take the port meanwhile.
        taken.bind(("127.0.0.1", 0))
        yield {"base_url": f"http://127.0.0.1:{taken.getsockname()[1]}"}


@contextmanager
def _no_such_host(_: Stage) -> Iterator[dict[str, Any]]:
    yield {"base_url": "http://status.invalid"}


@contextmanager
def _full_backlog(_: Stage) -> Iterator[dict[str, Any]]:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(busy.getsockname())
        try:
            yield {"base_url": f"http://127.0.0.1:{busy.getsockname()[1]}"}
        finally:
            for one in waiting:
                one.close()


@contextmanager
def _stalled_handshake(_: Stage) -> Iterator[dict[str, Any]]:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        yield {"base_url": f"https://127.0.0.1:{mute.getsockname()[1]}"}


@contextmanager
def _plain_http(stage: Stage) -> Iterator[dict[str, Any]]:
    yield {"base_url": stage.demo.url.replace("http:", "https:")}


@contextmanager
def _outage(stage: Stage) -> Iterator[dict[str, Any]]:
    """Answer the first two requests, then twelve with what is no answer, then all."""

    async def fails_for_a_while(exchange: Exchange) -> None:
        number = len(exchange.server.requests)
        await (talks_gibberish if 2 < number <= 14 else well)(exchange)

    with FaultServer(stage.demo) as server:
        server.misbehave(fails_for_a_while, "*")
        yield {"base_url": server.url}


def _tls(
    *, trusted: bool = True, **certificate: Any
) -> Callable[[Stage], AbstractContextManager[dict[str, Any]]]:
    @contextmanager
    def place(stage: Stage) -> Iterator[dict[str, Any]]:
        with FaultServer(stage.demo, stage.authority.serve(**certificate)) as server:
            yield {
                "base_url": server.url,
                "ca_bundle": str(stage.authority.bundle) if trusted else None,
            }

    return place


@contextmanager
def _https_to_http(stage: Stage) -> Iterator[dict[str, Any]]:
    with FaultServer(stage.demo, stage.authority.serve()) as server:
        server.misbehave(redirects(f"{server.url.replace('https:', 'http:')}/api/version"), "*")
        yield {"base_url": server.url, "ca_bundle": str(stage.authority.bundle)}


def _first_row(change: Callable[[dict[str, Any]], Any]) -> Callable[[Stage], Fault]:
    """Change the attributes of the row with the lowest id."""

    def of_document(document: Any) -> None:
        row = min(document["data"], key=lambda row: int(row["id"]))
        change(row["attributes"])

    return _always(changed(of_document))


def _first_id(value: Any) -> Callable[[Stage], Fault]:
    def of_document(document: Any) -> None:
        document["data"][0]["id"] = value

    return _always(changed(of_document))


def _in_text(old: bytes, new: bytes) -> Callable[[Stage], Fault]:
    """Change the row that comes last in descending order: the one with the lowest id."""
    return _always(rewritten(lambda body: new.join(body.rsplit(old, 1))))


def _elsewhere(stage: Stage) -> Fault:
    def of_document(document: Any) -> None:
        for name in document["links"]:
            document["links"][name] = f"{stage.other.url}/api/incidents?page=2"
        document["meta"]["path"] = f"{stage.other.url}/api/incidents"

    return changed(of_document)


def _twice(document: Any) -> None:
    document["data"].insert(0, document["data"][0])


async def _repeated(exchange: Exchange) -> None:
    """Answer page 2 with the last row of page 1 before its own, as when a row is inserted below."""
    status, body, content_type = await exchange.proper()
    if exchange.page == 2 and not exchange.descending:
        target = exchange.seen.target.replace("page=2", "page=1")
        before = replace(exchange, seen=replace(exchange.seen, target=target))
        document, earlier = json.loads(body), json.loads((await before.proper())[1])
        document["data"].insert(0, earlier["data"][-1])
        document["included"] += earlier["included"]
        body = json.dumps(document).encode()
    await exchange.answer(status, body, content_type)


def _moving(act: Callable[[Any, int], Any], times: int) -> Callable[[Stage], Fault]:
    """Change the page's incidents after each of the first answers."""
    done = 0

    def acts(exchange: Exchange) -> None:
        nonlocal done
        # Pages are confirmed by asking again: a change between them is what they are asked for.
        if done < times and not exchange.descending:
            done += 1
            act(exchange.server.demo.world, done)

    def make(_: Stage) -> Fault:
        nonlocal done
        done = 0
        return meanwhile(acts)

    return make


def _insert(world: Any, number: int) -> None:
    at = datetime(2026, 2, 1, tzinfo=timezone.utc)
    world.post_incident(f"Inserted {number}", at=at)


def _delete(world: Any, _: int) -> None:
    lowest = min(row["id"] for row in world.take("incidents") if row["deleted_at"] is None)
    world.delete("incidents", lowest)


_SOON = format_datetime(datetime(2020, 1, 1, tzinfo=timezone.utc), usegmt=True)
_FAR = format_datetime(datetime(2090, 1, 1, tzinfo=timezone.utc), usegmt=True)
_ERROR = {"message": "Server Error"}
_LIMIT = "the server's rate limit grants nothing for"
_NOT_CACHET = "with something that is not Cachet's API"

CASES: tuple[Case, ...] = (
    # Cannot connect
    Case(
        "Cannot connect",
        "connection refused",
        Asked.ATTEMPTS,
        0,
        After.ALL,
        "refuses connections",
        place=_refused,
    ),
    Case(
        "Cannot connect",
        "no such host",
        Asked.ATTEMPTS,
        0,
        After.ALL,
        "there is no host",
        place=_no_such_host,
    ),
    Case(
        "Cannot connect",
        "TLS: certificate of an unknown authority",
        Asked.ONCE,
        0,
        After.ALL,
        "set CACHET_CA_BUNDLE",
        place=_tls(trusted=False),
    ),
    Case(
        "Cannot connect",
        "TLS: self-signed certificate",
        Asked.ONCE,
        0,
        After.ALL,
        "is not valid (self-signed certificate)",
        place=_tls(self_signed=True),
    ),
    Case(
        "Cannot connect",
        "TLS: certificate expired",
        Asked.ONCE,
        0,
        After.ALL,
        "is not valid (certificate has expired)",
        place=_tls(expired=True),
    ),
    Case(
        "Cannot connect",
        "TLS: certificate of another host",
        Asked.ONCE,
        0,
        After.ALL,
        "a name that the certificate is for",
        place=_tls(host="elsewhere.test"),
    ),
    Case(
        "Cannot connect",
        "TLS: private authority, in CACHET_CA_BUNDLE",
        Asked.ONCE,
        1,
        After.LOADED,
        place=_tls(),
    ),
    Case(
        "Cannot connect",
        "https to a server that speaks http",
        Asked.ATTEMPTS,
        0,
        After.ALL,
        "does not speak TLS properly",
        place=_plain_http,
    ),
    Case(
        "Cannot connect",
        "no request is answered for a while",
        Asked.THROUGH_OUTAGE,
        0,
        After.LOADED,
        place=_outage,
        settings={"attempts": 9, "retry_delay": 0.001},
    ),
    # Too slow
    Case("Too slow", "no connection", Asked.ATTEMPTS, 0, After.ALL, "no connection to", place=_full_backlog),
    Case(
        "Too slow",
        "the TLS handshake stalls",
        Asked.ATTEMPTS,
        0,
        After.ALL,
        "no connection to",
        place=_stalled_handshake,
    ),
    Case(
        "Too slow",
        "no answer within CACHET_TIMEOUT",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "no whole answer within",
        _always(is_silent),
    ),
    Case(
        "Too slow",
        "an answer that drips for longer than CACHET_TIMEOUT",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "set CACHET_TIMEOUT to more seconds",
        _always(drips),
    ),
    Case(
        "Too slow", "no answer, once", Asked.UNTIL_WELL, 2, After.LOADED, fault=_always(first(1, is_silent))
    ),
    # Cut off
    Case(
        "Cut off",
        "reset before an answer",
        Asked.ATTEMPTS,
        # The HTTP library sends it a second time when the connection ends before an answer begins.
        2 * ATTEMPTS,
        After.OWN,
        "the answer was cut off",
        _always(resets_at_once),
    ),
    Case(
        "Cut off",
        "reset in mid-body",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the answer was cut off",
        _always(resets_in_the_body),
    ),
    Case(
        "Cut off",
        "reset in mid-body, once",
        Asked.UNTIL_WELL,
        2,
        After.LOADED,
        fault=_always(first(1, resets_in_the_body)),
    ),
    Case(
        "Cut off",
        "less than the announced length",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the answer was cut off",
        _always(rewritten(half, right_length=False)),
    ),
    Case(
        "Cut off",
        "half of the JSON, with its right length",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the answer's JSON is cut off",
        _always(rewritten(half)),
    ),
    Case(
        "Cut off",
        "half of the gzip",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the answer's gzip is cut off",
        _always(packed(half)),
    ),
    Case(
        "Cut off",
        "broken gzip",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the answer's gzip is broken",
        _always(packed(lambda body: body[:20] + b"?" * (len(body) - 20))),
    ),
    Case(
        "Cut off",
        "an empty answer",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the answer's JSON is cut off",
        _always(says(200)),
    ),
    Case(
        "Cut off",
        "not HTTP",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the answer is not proper HTTP",
        _always(talks_gibberish),
    ),
    # Rate limit
    Case(
        "Rate limit",
        "429 with Retry-After in seconds",
        Asked.WAITS,
        2,
        After.LOADED,
        fault=_always(first(1, says(429, _ERROR, Retry_After="0"))),
    ),
    Case(
        "Rate limit",
        "429 with Retry-After as a date",
        Asked.WAITS,
        2,
        After.LOADED,
        fault=_always(first(1, says(429, _ERROR, Retry_After=_SOON))),
    ),
    Case(
        "Rate limit",
        "429 without Retry-After: a whole window is waited for",
        Asked.WAITS,
        2,
        After.LOADED,
        fault=_always(first(1, says(429, _ERROR))),
    ),
    Case(
        "Rate limit",
        "429 with a wait beyond CACHET_MAX_WAIT",
        Asked.ONCE,
        1,
        After.OWN,
        _LIMIT,
        _always(says(429, _ERROR, Retry_After="99999")),
        # What counts for one address is refused for all of its requests.
        endpoint="subscribers",
    ),
    # Server errors
    Case(
        "Server fails",
        "5xx, once",
        Asked.UNTIL_WELL,
        2,
        After.LOADED,
        fault=_always(first(1, says(502, HTML, "text/html"))),
    ),
    Case(
        "Server fails",
        "5xx, one time less than CACHET_ATTEMPTS",
        Asked.UNTIL_WELL,
        ATTEMPTS,
        After.LOADED,
        fault=_always(first(ATTEMPTS - 1, says(500, _ERROR))),
    ),
    Case(
        "Server fails",
        "5xx for ever",
        Asked.ATTEMPTS,
        ATTEMPTS,
        After.OWN,
        "the server fails (500, 'Server Error')",
        _always(says(500, _ERROR)),
    ),
    Case(
        "Server fails",
        "5xx for ever on a later page",
        Asked.ATTEMPTS,
        1 + ATTEMPTS,
        After.OWN,
        "the server fails (503)",
        _always(on_page(2, says(503, HTML, "text/html"))),
        endpoint="incidents",
    ),
    Case(
        "Server fails",
        "503 that asks to come back beyond CACHET_MAX_WAIT",
        Asked.ONCE,
        1,
        After.OWN,
        "the server fails (503)",
        _always(says(503, HTML, "text/html", Retry_After=_FAR)),
    ),
    # Not the API
    Case(
        "Not the API",
        "HTML with 200",
        Asked.ONCE,
        1,
        After.OWN,
        _NOT_CACHET,
        _always(says(200, HTML, "text/html")),
    ),
    Case(
        "Not the API",
        "HTML that is called JSON",
        Asked.ONCE,
        1,
        After.OWN,
        _NOT_CACHET,
        _always(says(200, HTML)),
    ),
    Case(
        "Not the API",
        "an error envelope with 200",
        Asked.ONCE,
        1,
        After.OWN,
        "the answer has no `data`",
        _always(says(200, _ERROR)),
    ),
    Case(
        "Not the API",
        "rows without attributes",
        Asked.ONCE,
        1,
        After.OWN,
        "a row has no `attributes`",
        _always(changed(lambda document: document["data"][0].pop("attributes") and None)),
    ),
    Case(
        "Not the API",
        "a refusal (400)",
        Asked.ONCE,
        1,
        After.OWN,
        "the server refuses the request (400, 'Requested sort(s) `id` is not allowed.')",
        _always(says(400, {"message": "Requested sort(s) `id` is not allowed."})),
    ),
    # Redirects and links
    Case(
        "Redirects",
        "to another host",
        Asked.ONCE,
        1,
        After.OWN,
        "where the token is not sent",
        lambda stage: redirects(f"{stage.other.url}/api/component-groups"),
    ),
    Case(
        "Redirects",
        "from https to http",
        Asked.ONCE,
        0,
        After.ALL,
        "where the token is not sent",
        place=_https_to_http,
    ),
    Case(
        "Redirects",
        "in a circle",
        Asked.ONCE,
        4,
        After.OWN,
        "redirects in a circle",
        _always(redirects_in_a_circle),
    ),
    Case(
        "Redirects",
        "within the same server",
        Asked.ONCE,
        2,
        After.LOADED,
        fault=_always(redirects_within("moved=1")),
    ),
    Case(
        "Redirects",
        "`links` to another host: never followed",
        Asked.ONCE,
        4,
        After.LOADED,
        fault=_elsewhere,
        endpoint="incidents",
    ),
    # Too large
    Case(
        "Too large",
        "a body over CACHET_MAX_BODY",
        Asked.ONCE,
        1,
        After.OWN,
        "set CACHET_MAX_BODY to more bytes",
        _always(says(200, b" " * (BODY_CAP + 1))),
    ),
    Case(
        "Too large",
        "a gzip bomb: unpacked no further than CACHET_MAX_BODY",
        Asked.ONCE,
        1,
        After.OWN,
        "set CACHET_MAX_BODY to more bytes",
        _always(bomb(50 * BODY_CAP)),
    ),
    # Hostile values
    Case(
        "Hostile values",
        "invalid UTF-8: it becomes U+FFFD",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_in_text(b'"name":"', b'"name":"\xff\xfe'),
        row={"name": "\ufffd\ufffd{}"},
    ),
    Case(
        "Hostile values",
        "NUL in a text: it becomes U+FFFD",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_in_text(b'"name":"', b'"name":"\\u0000'),
        row={"name": "\ufffd{}"},
    ),
    Case(
        "Hostile values",
        "a lone surrogate: it becomes U+FFFD",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_in_text(b'"name":"', b'"name":"\\ud800'),
        row={"name": "\ufffd{}"},
    ),
    Case(
        "Hostile values",
        "SQL, HTML and Markdown in a text: kept as it is",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_first_row(lambda row: row.update(name="'\"; DROP TABLE components; --<script>|`x`")),
        row={"name": "'\"; DROP TABLE components; --<script>|`x`"},
    ),
    Case(
        "Hostile values",
        "a number beyond 64 bits: in a text column beside",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_first_row(lambda row: row.update(order=2**63)),
        row={"order": None, "order__v_text": str(2**63)},
    ),
    Case(
        "Hostile values",
        "an id that is a path",
        Asked.ONCE,
        1,
        After.OWN,
        "a row has no whole number as its id",
        _first_id("../../subscribers"),
    ),
    Case(
        "Hostile values",
        "an id beyond 64 bits",
        Asked.ONCE,
        1,
        After.OWN,
        "a row has no whole number as its id",
        _first_id(str(2**64)),
    ),
    # Rows that move
    Case(
        "Rows that move",
        "inserted while the list is read",
        Asked.ONCE,
        4,
        After.SNAPSHOT,
        fault=_moving(_insert, 1),
        endpoint="incidents",
    ),
    Case(
        "Rows that move",
        "deleted while the list is read",
        Asked.ANEW,
        8,
        After.LOADED,
        fault=_moving(_delete, 1),
        endpoint="incidents",
    ),
    Case(
        "Rows that move",
        "deleted again and again",
        Asked.ANEW,
        12,
        After.OWN,
        "three scans in a row",
        _moving(_delete, 100),
        endpoint="incidents",
    ),
    Case(
        "Rows that move",
        "repeated on the next page: kept once",
        Asked.ONCE,
        4,
        After.LOADED,
        fault=_always(_repeated),
        endpoint="incidents",
    ),
    Case(
        "Rows that move",
        "repeated on one page",
        Asked.ONCE,
        1,
        After.OWN,
        "not in the order of their ids",
        _always(changed(_twice)),
    ),
    # Changed shape
    Case(
        "Changed shape",
        "null where a value was",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_first_row(lambda row: row.update(name=None)),
        row={"name": None},
    ),
    Case(
        "Changed shape",
        "a new attribute: a column of its own",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_first_row(lambda row: row.update(colour="blue")),
        row={"colour": "blue"},
    ),
    Case(
        "Changed shape",
        "an attribute gone: null",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_first_row(lambda row: row.pop("name")),
        row={"name": None},
    ),
    Case(
        "Changed shape",
        "an attribute of another type: in a column beside",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_first_row(lambda row: row.update(order="first")),
        row={"order": None, "order__v_text": "first"},
    ),
    Case(
        "Changed shape",
        "a new key beside a time or a code: a column of its own, the time as before",
        Asked.ONCE,
        1,
        After.LOADED,
        fault=_first_row(
            lambda row: row.update(opened={"human": "now", "string": "2026-01-02 03:04:05", "zone": "X"})
        ),
        row={"opened_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), "opened_zone": "X"},
    ),
)


def markdown_table() -> str:
    """Return the matrix as docs/reliability.md shows it."""
    lines = [
        "| What happens | The request is sent | What you read | What the tables hold afterwards |",
        "|---|---|---|---|",
    ]
    for case in CASES:
        reads = f"… {case.reads} …" if case.reads else "nothing"
        cells = (f"{case.group}: {case.what}", case.asked.value, reads, case.after.value)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
