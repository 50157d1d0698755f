"""The proofs that come short in `make test` and long in `make soak`: the same functions, other numbers.

Each returns what it counted; what breaks a promise raises, naming the fault and the promise.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World, living_world
from cachet_dagster.source import (
    ENDPOINTS,
    TABLES,
    CachetReader,
    CachetSettings,
    stored_tables,
    table_resource,
)
from cachet_dagster.source.stored import read_stored
from cachet_dagster.warehouse import DuckDBWarehouse, load
from cachet_dagster.warehouse.points import PointsLoad

from .children import Child, load_all, load_points, load_tables, look
from .comparing import REPLACED, differences, rows, wrong_points


def a_page(word: str) -> World:
    """Return a page each of whose rows says `word`, so that no table of one page is like another's."""
    world = World.generate(
        incidents=30,
        components=30,
        groups=6,
        metrics=5,
        points=40,
        subscribers=30,
        schedules=12,
        templates=4,
        seed=len(word),
    )
    for table, column in {
        "incidents": "name",
        "components": "name",
        "component_groups": "name",
        "metrics": "name",
        "schedules": "name",
        "incident_templates": "name",
        "updates": "message",
        "subscribers": "email",
    }.items():
        for row in world.rows(table):
            changed = f"{word}-{row[column]}"
            world.update(table, row["id"], **{column: changed}, updated_at="2026-01-01 00:00:00")
    return world


# Where a run is, seen from outside it.


def _reading(_database: Path, server: DemoServer) -> bool:
    return server.request_count >= 3


def _preparing(database: Path, _server: DemoServer) -> bool:
    return any(database.parent.glob(f"{database.name}.load-*/cachet_pipeline/normalize/extracted*"))


def _loading(database: Path, _server: DemoServer) -> bool:
    return _written(database) > 0


def _written(database: Path) -> int:
    """Return how many bytes a load has written so far, to the log that is merged into the file at its end."""
    try:
        return database.with_name(f"{database.name}.wal").stat().st_size
    except FileNotFoundError:
        return 0


STAGES: dict[str, Callable[[Path, DemoServer], bool]] = {
    "reading": _reading,
    "preparing": _preparing,
    "loading": _loading,
}


def killed_table_loads(folder: Path, kills: int, *, seed: int = 1) -> Counter[str]:
    """Kill loads of all tables at each stage in turn, each followed by one that is left alone.

    After a kill the database opens and each table is whole, the old or the new; after the next load it is the new.
    """
    rng = random.Random(seed)
    counted: Counter[str] = Counter()
    before, after = folder / "before" / "cachet.duckdb", folder / "after" / "cachet.duckdb"
    for path in (before, after):
        path.parent.mkdir()
    with DemoServer(a_page("old")) as server:
        assert Child(load_tables, before, server.url).result() == []
    # The same page, some time later.
    with DemoServer(a_page("new"), port=server.port) as server:
        shutil.copy(before, after)
        whole = Child(load_tables, after, server.url)
        written = 0
        while whole.alive:
            written = max(written, _written(after))
            time.sleep(0.0005)
        assert whole.result() == []
        for table in REPLACED:
            assert differences(before, after, table), f"{table} cannot tell before from after"
        for number in range(kills):
            stage = list(STAGES)[number % len(STAGES)]
            path = folder / f"kill-{number}" / "cachet.duckdb"
            path.parent.mkdir()
            shutil.copy(before, path)
            reached = _kill_at(Child(load_tables, path, server.url), path, server, stage, written, rng)
            counted["kills"] += 1
            counted[f"killed while {reached}"] += 1
            replaced = 0
            for table in REPLACED:
                old, new = differences(path, before, table), differences(path, after, table)
                assert 0 in (old, new), f"killed while {reached}: {table} is neither before nor after"
                replaced += new == 0
                counted["tables compared"] += 1
            counted["kills after all tables were replaced"] += replaced == len(REPLACED)
            counted["kills between the tables of a load"] += 0 < replaced < len(REPLACED)
            assert Child(load_tables, path, server.url).result() == []
            for table in REPLACED:
                wrong = differences(path, after, table)
                counted["rows compared"] += rows(path, table)
                counted["differences"] += wrong
                assert not wrong, f"after a kill while {reached} the next run left {table} wrong"
            assert _left_over(path) == [], f"killed while {reached}: something is left behind"
            counted["survived"] += 1
            shutil.rmtree(path.parent)
    return counted


def _kill_at(
    child: Child, path: Path, server: DemoServer, stage: str, written: int, rng: random.Random
) -> str:
    """Kill a load a moment after it has reached a stage, and return how far it was.

    While it is loading, the moment is how much it has `written`, which is the finer clock.
    """
    server.clear_requests()
    while child.alive and not STAGES[stage](path, server):
        time.sleep(0.0005)
    if stage == "loading":
        enough = written * rng.uniform(0.2, 1.0)
        while child.alive and 0 < _written(path) < enough:
            time.sleep(0.0002)
    else:
        time.sleep(rng.uniform(0, 0.1))
    reached = "reading"
    for name, there in STAGES.items():
        if there(path, server):
            reached = name
    finished = not child.alive
    child.kill()
    return "done" if finished else reached


def killed_point_loads(
    folder: Path, kills: int, points: int, step_rows: int, *, seed: int = 1
) -> Counter[str]:
    """Kill a first load of points at random moments, and start it again each time.

    After each kill the points are the server's from the first one on, without a gap; at the end they are all.
    """
    rng = random.Random(seed)
    counted: Counter[str] = Counter()
    path = folder / "cachet.duckdb"
    world = World.generate(metrics=1, points=points)
    with DemoServer(world) as server:
        whole = folder / "whole" / "cachet.duckdb"
        whole.parent.mkdir()
        started = time.monotonic()
        assert Child(load_points, whole, server.url, step_rows, 1).result(600) == points
        longest = time.monotonic() - started
        counted["requests of one whole load"] = server.request_count
        server.clear_requests()
        while counted["kills"] < kills:
            child = Child(load_points, path, server.url, step_rows, 1)
            time.sleep(rng.uniform(0, longest / 3))
            counted["kills of a finished load"] += not child.alive
            child.kill()
            counted["kills"] += 1
            stored = rows(path, "metric_points")
            counted["kills after which there were points"] += stored > 0
            assert not wrong_points(path, world, whole=False), (
                f"kill {counted['kills']}: a gap, or a point twice"
            )
            counted["survived"] += 1
        Child(load_points, path, server.url, step_rows, 1).result(600)
        counted["requests"] = server.request_count
    counted["rows compared"] = rows(path, "metric_points")
    counted["differences"] = wrong_points(path, world)
    counted["pages read again"] = counted["requests"] - counted["requests of one whole load"]
    # A step being merged, one that waits for it, one handed over, one being gathered, four read ahead; and
    # the search for the cursor.
    in_flight = min(8 * step_rows, points) // 100 + 40
    counted["pages read again at most"] = kills * in_flight
    assert counted["pages read again"] <= counted["pages read again at most"], (
        "killed loads read too much again"
    )
    assert not counted["differences"], "killed loads left points that are not the server's"
    assert _left_over(path) == []
    return counted


def many_processes(folder: Path, processes: int, *, times: int = 1, readers: int = 1) -> Counter[str]:
    """Load the same absent database from processes at once, while others read it: all succeed, rows are exact."""
    path, end = folder / "cachet.duckdb", folder / "end"
    world = a_page("same")
    counted: Counter[str] = Counter(processes=processes, readers=readers)
    with DemoServer(world) as server:
        looking = [Child(look, path, end) for _ in range(readers)]
        loading = [Child(load_all, path, server.url, times) for _ in range(processes)]
        failures = [failure for child in loading for failure in child.result(600)]
        assert failures == [], "a process that waited its turn failed"
        end.touch()
        counted["times read meanwhile"] = sum(child.result() for child in looking)
        alone = folder / "alone" / "cachet.duckdb"
        alone.parent.mkdir()
        assert Child(load_all, alone, server.url).result() == []
    for table in [*REPLACED, "metric_points"]:
        counted["rows compared"] += rows(path, table)
        counted["differences"] += differences(path, alone, table)
    counted["differences"] += wrong_points(path, world)
    # Many looked, and saw the same: one row of each.
    counted["differences"] += rows(path, "versions") - 1 + rows(path, "system_status") - 1
    counted["loads"] = processes * times
    assert not counted["differences"], "processes at once left rows that are not the server's"
    assert _left_over(path) == []
    return counted


def many_syncs(folder: Path, syncs: int, *, warm: int, keep_loads: int = 20) -> dict[str, float]:
    """Load a page that moves on by 20 minutes each time, and measure what grows from the `warm`-th sync on."""
    now = [datetime(2026, 3, 1, tzinfo=timezone.utc)]
    database = DuckDBWarehouse(folder / "cachet.duckdb", keep_loads=keep_loads)
    measured: dict[str, float] = {}
    with DemoServer(partial(living_world, 1), clock=lambda: now[0], me=True) as server:
        settings = CachetSettings(base_url=server.url, api_key=DEMO_TOKEN)
        for number in range(1, syncs + 1):
            sync(settings, database)
            assert server.errors == []
            server.clear_requests()
            now[0] += timedelta(minutes=20)
            if number == warm:
                measured = _measured(database)
        now[0] -= timedelta(minutes=20)
        truth = living_world(1, now[0])
    grown = {f"{name} grew by": value - measured[name] for name, value in _measured(database).items()}
    return {"syncs": syncs, **measured, **grown, "differences": _living_differences(database, truth)}


def sync(settings: CachetSettings, database: DuckDBWarehouse) -> None:
    """Do what the ops do, without Dagster, whose events would be what grows."""
    endpoints = [endpoint for endpoint in ENDPOINTS.values() if not endpoint.kind.per_metric]
    database.probe()
    with database.reading() as opened:
        stored = read_stored(opened, whole=stored_tables(endpoints))
    reads = CachetReader(settings, stored).read([endpoint.name for endpoint in endpoints])
    for read in reads.values():
        if read.error:
            raise read.error
    load(
        database,
        [
            table_resource(TABLES[table], partial(read.rows.get, table, ()))
            for read in reads.values()
            for table in read.endpoint.tables
        ],
    )
    metric_ids = [row["id"] for row in reads["metrics"].rows["metrics"]]
    for done in PointsLoad(settings, database, lambda _: None).run(metric_ids):
        if done.error:
            raise done.error


def _measured(database: DuckDBWarehouse) -> dict[str, float]:
    gc.collect()
    with database.reading() as opened:
        query = opened
        dlt = {
            f"rows of {table}": (query(table, "SELECT count(*) AS n FROM {table}") or [{"n": 0}])[0]["n"]
            for table in ("_dlt_loads", "_dlt_pipeline_state", "_dlt_version")
        }
    return {
        "resident MB": _resident() / 1e6,
        "file handles": _file_handles(),
        "threads": threading.active_count(),
        "database MB": database.path.stat().st_size / 1e6,
        "files beside the database": len(list(database.path.parent.iterdir())),
        "points": rows(database.path, "metric_points"),
        **dlt,
    }


def _file_handles() -> int:
    handles = Path("/proc/self/fd")
    return len(list(handles.iterdir())) if handles.exists() else 0


def _resident() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _living_differences(database: DuckDBWarehouse, truth: World) -> int:
    """Return how many rows of the moving page's tables are not the page's; its points are never removed here."""
    wrong = 0
    with database.reading() as opened:
        query = opened
        for table, origin in {
            "incidents": "incidents",
            "components": "components",
            "schedules": "schedules",
        }.items():
            found = {row["id"]: row["name"] for row in query(table, "SELECT id, name FROM {table}") or []}
            expected = {row["id"]: row["name"] for row in truth.rows(origin) if row["deleted_at"] is None}
            wrong += len(found.items() ^ expected.items())
        found = {
            row["id"]: (row["value"], row["counter"])
            for row in query("metric_points", "SELECT id, value, counter FROM {table}") or []
        }
        for row in truth.rows("metric_points"):
            wrong += found.get(row["id"]) != (row["value"], row["counter"])
    return wrong


def _left_over(database: Path) -> list[str]:
    """Return what lies beside a database that no run uses, but for its locks."""
    return sorted(
        found.name
        for found in database.parent.iterdir()
        if found.name.startswith(database.name) and found != database and found.suffix != ".lock"
    )
