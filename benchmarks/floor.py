"""The floor: the least code that puts the same pages into DuckDB as fast as this machine can fetch them.

One decision shapes it: it may know what a real reader has to find out (how many pages there are, which
incidents need their detail, that nothing moves or fails meanwhile), so it has no pipeline, state, retry or
orchestration, and whatever another contender takes beyond it is the price of those.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from operator import itemgetter

import aiohttp
import duckdb
import orjson
import pyarrow as pa

from benchmarks.contender import Bench, Work

READERS = 8
BATCH = 1_000  # pages handed to DuckDB at once

_attributes = itemgetter("attributes")
_string = itemgetter("string")
_value = itemgetter("value")


async def fetch_all(url: str, paths: Iterable[str], take: Callable[[bytes], None]) -> None:
    """Gives each body to `take`, as they come; READERS requests are under way at any time."""
    waiting = iter(paths)

    async def read(session: aiohttp.ClientSession) -> None:
        for path in waiting:
            async with session.get(f"{url}/api/{path}") as answer:
                answer.raise_for_status()
                take(await answer.read())

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(read(session) for _ in range(READERS)))


class Table:
    """Columns that pages add to; every BATCH pages they go to DuckDB in the writer's thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, /, **columns: pa.DataType) -> None:
        self.connection, self.name, self.columns = connection, name, columns
        self.writer = ThreadPoolExecutor(1)
        self.pages: list[list] = []
        self.inserts = []
        kinds = {
            pa.int64(): "BIGINT",
            pa.float64(): "DOUBLE",
            pa.string(): "VARCHAR",
            pa.timestamp("s"): "TIMESTAMP",
        }
        declared = ", ".join(f"{column} {kinds[kind]}" for column, kind in columns.items())
        connection.execute(f"CREATE TABLE {name} ({declared})")

    def add(self, page: list) -> None:
        """`page` has a sequence for each column; times as text."""
        self.pages.append(page)
        if len(self.pages) == BATCH:
            self.flush()

    def flush(self) -> None:
        pages, self.pages = self.pages, []
        self.inserts.append(self.writer.submit(self._insert, pages))

    def _insert(self, pages: list[list]) -> None:
        arrays = {}
        for number, (column, kind) in enumerate(self.columns.items()):
            values = list(chain.from_iterable(page[number] for page in pages))
            arrays[column] = (
                pa.array(values).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)
            )
        rows = pa.table(arrays)  # noqa: F841 - DuckDB finds it by name
        self.connection.cursor().execute(f"INSERT INTO {self.name} FROM rows")

    def finish(self) -> None:
        self.flush()
        for insert in self.inserts:
            insert.result()


def _columns(rows: Iterable[dict], *names: str) -> list:
    """The attributes of JSON:API rows as columns, one tuple for each name; empty where there is no row."""
    return list(zip(*map(itemgetter(*names), map(_attributes, rows)), strict=True)) or [() for _ in names]


def points(bench: Bench) -> Work:
    database = bench.folder / "floor.duckdb"
    number, time = pa.int64(), pa.timestamp("s")
    connection = duckdb.connect(str(database))
    table = Table(
        connection, "metric_points", id=number, metric_id=number, value=pa.float64(), counter=number,
        calculated_value=pa.float64(), created_at=time, updated_at=time,
    )  # fmt: skip
    paths = [
        f"metrics/{metric}/points?per_page=100&sort=id&page={page}"
        for metric in range(1, bench.world.metrics + 1)
        for page in range(1, -(-bench.world.points // 100) + 1)
    ]

    def take(body: bytes) -> None:
        page = _columns(
            orjson.loads(body)["data"],
            "id", "metric_id", "value", "counter", "calculated_value", "created", "updated",
        )  # fmt: skip
        table.add([*page[:5], list(map(_string, page[5])), list(map(_string, page[6]))])

    def run() -> None:
        gc.disable()  # it finds nothing here, and looking costs a quarter of the time
        asyncio.run(fetch_all(bench.url, paths, take))
        table.finish()
        connection.close()

    seconds = "id, metric_id, value, counter, epoch(created_at)::BIGINT AS created_at"
    return Work(run, database, {"metric_points": f"SELECT {seconds} FROM metric_points"})


def incidents(bench: Bench) -> Work:
    """Incidents with updates and links; asks for a detail where the list's link cannot be right (FACTS)."""
    database = bench.folder / "floor.duckdb"
    number, text, time = pa.int64(), pa.string(), pa.timestamp("s")
    connection = duckdb.connect(str(database))
    incidents = Table(
        connection, "incidents", id=number, guid=text, name=text, message=text, visible=number,
        notifications=number, meta=text, status=number, occurred_at=time, published_at=time, created_at=time,
        updated_at=time,
    )  # fmt: skip
    updates = Table(
        connection, "incident_updates", id=number, incident_id=number, message=text, status=number,
        created_at=time, updated_at=time,
    )  # fmt: skip
    links = Table(
        connection, "incident_components", incident_id=number, component_id=number, component_status=number
    )
    doubtful: list[str] = []
    include = "include=updates,components,user,meta"
    pages = range(1, -(-bench.world.incidents // 100) + 1)

    def take_page(body: bytes) -> None:
        document = orjson.loads(body)
        data, included = document["data"], document["included"]
        of_type = {
            kind: [row for row in included if row["type"] == kind] for kind in ("updates", "components")
        }
        plain = _columns(
            data, "id", "guid", "name", "message", "visible", "notifications", "meta", "status", "occurred",
            "published", "created", "updated",
        )  # fmt: skip
        times = [list(map(_string, column)) for column in plain[8:]]
        incidents.add(
            [*plain[:6], [orjson.dumps(meta) for meta in plain[6]], list(map(_value, plain[7])), *times]
        )
        plain = _columns(of_type["updates"], "id", "updateable_id", "message", "status", "created", "updated")
        times = [list(map(_string, column)) for column in plain[4:]]
        updates.add([*plain[:3], list(map(_value, plain[3])), *times])
        seen: set[str] = set()
        sure = []
        for row in data:
            of_row = {link["id"] for link in row["relationships"]["components"]["data"]}
            if of_row & seen:
                doubtful.append(f"incidents/{row['id']}?{include}")
            else:
                sure.append((row["attributes"]["id"], of_row))
            seen |= of_row
        add_links(sure, of_type["components"])

    def take_detail(body: bytes) -> None:
        document = orjson.loads(body)
        row = document["data"]
        of_row = {link["id"] for link in row["relationships"]["components"]["data"]}
        add_links([(row["attributes"]["id"], of_row)], document["included"])

    def add_links(rows: list[tuple[int, set[str]]], included: list[dict]) -> None:
        status = {
            row["id"]: row["attributes"]["pivot"]["component_status"]["value"]
            for row in included
            if row["type"] == "components"
        }
        found = [
            (incident, int(component), status[component]) for incident, of_row in rows for component in of_row
        ]
        links.add(list(zip(*found, strict=True)) or [(), (), ()])

    def run() -> None:
        gc.disable()
        lists = [f"incidents?per_page=100&sort=id&page={page}&{include}" for page in pages]
        asyncio.run(fetch_all(bench.url, lists, take_page))
        asyncio.run(fetch_all(bench.url, doubtful, take_detail))
        for table in (incidents, updates, links):
            table.finish()
        connection.close()

    created = "status, epoch(created_at)::BIGINT AS created_at"
    return Work(
        run,
        database,
        {
            "incidents": f"SELECT id, name, {created} FROM incidents",
            "incident_updates": f"SELECT id, incident_id, {created} FROM incident_updates",
            "incident_components": """
                SELECT incident_id, component_id, component_status FROM incident_components""",
        },
    )


def requests_only(bench: Bench) -> Work:
    """A bare loop that asks each metric once for its newest page, and keeps nothing."""
    paths = [
        f"metrics/{metric}/points?per_page=100&sort=-id&page=1"
        for metric in range(1, bench.world.metrics + 1)
    ]
    return Work(lambda: asyncio.run(fetch_all(bench.url, paths, orjson.loads)))
