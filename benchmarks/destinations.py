"""`python -m benchmarks.destinations`: points into each destination that runs here, beside what its own tool takes.

Two questions: how fast are rows that have been read loaded, with psql's `\\copy` of the same rows as the floor;
and what do 1,000 metrics without news cost over what they cost on DuckDB. Each contender is a process of its own, so
that a peak of memory is its own, and what it left is counted and summed afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import server
from benchmarks.scenarios import Scenario
from benchmarks.world import World
from cachet_dagster_tests.warehouse.places import Place
from cachet_dagster_tests.warehouse.postgres import PASSWORD, PostgresServer, postgres_server

STEP = 250_000  # rows that the project loads at a time
METRICS = 1_000

Measured = tuple[float, float]  # seconds, peak MB


def tables(points: int) -> Iterator[Any]:
    """Points of 20 metrics, in tables of a step's rows."""
    import numpy as np
    import pyarrow as pa

    from cachet_dagster.source.points.arrow import SCHEMA

    for start in range(0, points, STEP):
        ids = np.arange(start + 1, min(points, start + STEP) + 1, dtype=np.int64)
        times = (1_700_000_000 + ids * 30) * 1_000_000
        columns = {
            "id": ids,
            "metric_id": ids % 20 + 1,
            "value": ids * 0.125,
            "counter": np.ones_like(ids),
            "calculated_value": ids * 0.125,
            "created_at": times,
            "updated_at": times,
        }
        yield pa.table([pa.array(columns[at.name]).cast(at.type) for at in SCHEMA], schema=SCHEMA)


def load_rows(place: Place, points: int) -> None:
    """Load points that are there, as `PointsLoad` loads each of its steps."""
    from cachet_dagster.source import metric_points_resource
    from cachet_dagster.warehouse import load
    from cachet_dagster.warehouse.points import GROUP_ROWS

    for step in tables(points):
        groups = [step.slice(start, GROUP_ROWS) for start in range(0, step.num_rows, GROUP_ROWS)]
        load(place.warehouse(), [metric_points_resource(lambda groups=groups: iter(groups))])


def load_metrics(place: Place, url: str) -> None:
    """Load the points of all metrics from a server."""
    from cachet_dagster.source import CachetSettings
    from cachet_dagster.warehouse.points import PointsLoad

    settings = CachetSettings.model_validate({"base_url": url})
    for one in PointsLoad(settings, place.warehouse(), lambda _: None).run(range(1, METRICS + 1)):
        if one.error:
            raise one.error


def measured(function: Callable[..., None], *arguments: Any) -> Measured:
    """Run a function in a process of its own, which has loaded a little before, and measure it there."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_measure, args=(theirs, function, arguments)
    )
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def _measure(answer: Any, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # Imports, and whatever a library makes at its first load, are not what is measured.
    with tempfile.TemporaryDirectory() as folder:
        load_rows(Place("duckdb", {"database": Path(folder, "warm.duckdb")}), 10)
    started = time.perf_counter()
    function(*arguments)
    seconds = time.perf_counter() - started
    answer.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / 1e6))


def psql_copy(postgres: PostgresServer, database: str, points: int, folder: Path) -> float:
    """Copy the same rows with psql into a table of the same columns and key, and return the seconds."""
    import pyarrow.csv

    postgres.create(database)
    with postgres.connected(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE points (id bigint PRIMARY KEY, metric_id bigint, value double precision, counter bigint,"
            " calculated_value double precision, created_at timestamptz, updated_at timestamptz)"
        )
    path = folder / "points.csv"
    with pyarrow.csv.CSVWriter(
        path, next(tables(1)).schema, write_options=pyarrow.csv.WriteOptions(include_header=False)
    ) as file:
        for table in tables(points):
            file.write_table(table)
    started = time.perf_counter()
    subprocess.run(
        [
            postgres.binaries / "psql",
            "-q",
            "-U",
            "postgres",
            "-c",
            f"\\copy points FROM '{path}' CSV",
            database,
        ],
        env={**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGPASSWORD": PASSWORD},
        check=True,
    )
    return time.perf_counter() - started


def verified(place: Place, points: int) -> None:
    """Raise where a place does not hold the points.

    Raises:
        AssertionError: It does not.
    """
    with place.warehouse().reading() as session:
        found = session(
            "metric_points", "SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(value) AS s FROM {table}"
        )
    assert found
    row = found[0]
    assert (row["n"], row["ids"], float(row["s"])) == (points, points, points * (points + 1) / 2 * 0.125), row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.destinations", description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000, help="(default: %(default)s)")
    points = parser.parse_args().points
    console = Console()
    loads, news = (
        Table("points loaded", "seconds", "rows/s", "peak MB", "÷ psql"),
        Table("no news", "seconds", "÷ DuckDB"),
    )
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="cachet-bench-")))
        os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        postgres = running.enter_context(postgres_server())
        copied = psql_copy(postgres, "copied", points, folder)
        loads.add_row("psql \\copy", f"{copied:.2f}", f"{points / copied:,.0f}", "", "1.00")
        for name, options in {
            "postgres": {"credentials": postgres.create("loaded")},
            "duckdb": {"database": folder / "loaded.duckdb"},
            "filesystem": {"credentials": str(folder / "lake")},
        }.items():
            place = Place(name, options)
            seconds, peak = measured(load_rows, place, points)
            verified(place, points)
            rate = f"{points / seconds:,.0f}"
            loads.add_row(name, f"{seconds:.2f}", rate, f"{peak:.0f}", f"{copied / seconds:.2f}")
            console.print(f"  {name}: {seconds:.2f} s", style="dim")
        console.print(loads)
        url = running.enter_context(
            server(Scenario("", World(metrics=METRICS, points=100, interleaved=True), (), ready=(100,)))
        )
        on_duckdb = 0.0
        for name, options in {
            "duckdb": {"database": folder / "news.duckdb"},
            "postgres": {"credentials": postgres.create("news")},
        }.items():
            place = Place(name, options)
            measured(load_metrics, place, url)
            seconds, _ = measured(load_metrics, place, url)
            on_duckdb = on_duckdb or seconds
            news.add_row(name, f"{seconds:.2f}", f"{seconds / on_duckdb:.2f}")
        console.print(news)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
