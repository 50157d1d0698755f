"""`python -m benchmarks.destinations`: points into each destination that runs here, beside what its own tool takes.

Three questions: how fast are rows that have been read loaded, with psql's `\\copy` of the same rows as the floor; does
memory stay flat over how many there are; and what do 1,000 metrics without news cost over what they cost on DuckDB. The
same rows read from a server stand beside the first, where no floor is: reading takes most of that. Each contender is a
process of its own, so that a peak of memory is its own, and what it left is counted and summed afterwards.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
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
METRICS = 20
WITHOUT_NEWS = 1_000
ROUNDS = 3

Measured = tuple[float, float]  # seconds, peak MB


def tables(points: int) -> Iterator[Any]:
    """Points of the metrics, in tables of a step's rows."""
    import numpy as np
    import pyarrow as pa

    from cachet_dagster.source.points.columns import SCHEMA

    for start in range(0, points, STEP):
        ids = np.arange(start + 1, min(points, start + STEP) + 1, dtype=np.int64)
        times = (1_700_000_000 + ids * 30) * 1_000_000
        columns = {
            "id": ids,
            "metric_id": ids % METRICS + 1,
            "value": ids * 0.125,
            "counter": np.ones_like(ids),
            "calculated_value": ids * 0.125,
            "created_at": times,
            "updated_at": times,
        }
        table = [pa.table([pa.array(columns[at.name]).cast(at.type) for at in SCHEMA], schema=SCHEMA)]
        del ids, times, columns
        yield table.pop()


def load_rows(place: Place, points: int) -> None:
    """Load points that are there, as `PointsLoad` loads each of its steps."""
    from cachet_dagster.source import metric_points_resource
    from cachet_dagster.warehouse.load import Loader
    from cachet_dagster.warehouse.points import GROUP_ROWS

    with Loader(place.warehouse()) as loader:
        for step in tables(points):
            groups = [step.slice(start, GROUP_ROWS) for start in range(0, step.num_rows, GROUP_ROWS)]
            del step
            loader.load([metric_points_resource(lambda groups=groups: iter(groups))])


def load_metrics(place: Place, url: str, metrics: int) -> None:
    """Load the points of so many metrics from a server."""
    from cachet_dagster.source import CachetSettings
    from cachet_dagster.warehouse.points import PointsLoad

    settings = CachetSettings.model_validate({"base_url": url})
    for one in PointsLoad(settings, place.warehouse(), lambda _: None).run(range(1, metrics + 1)):
        if one.error:
            raise one.error


def measured(function: Callable[..., None], place: Place, *arguments: Any) -> Measured:
    """Run a function in a process of its own, which has loaded a little before, and measure it there."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_measure, args=(theirs, function, place, arguments)
    )
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def _measure(answer: Any, function: Callable[..., None], place: Place, arguments: tuple[Any, ...]) -> None:
    # Imports, and whatever a library makes at its first load, are not what is measured.
    beside = {"dataset": "warm_data", "pipeline_name": "warm_pipeline"}
    load_rows(replace(place, options={**place.options, **beside}), 10)
    started = time.perf_counter()
    function(place, *arguments)
    seconds = time.perf_counter() - started
    answer.send((seconds, _peak_mb()))


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage says of a process begins with the peak of the one that started it.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1_024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


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


def counted(place: Place) -> int:
    """Return how many points a place holds."""
    with place.warehouse().reading() as session:
        return (session("metric_points", "SELECT count(*) AS n FROM {table}") or [{"n": 0}])[0]["n"]


def compare_loads(postgres: PostgresServer, points: int, folder: Path) -> Table:
    """Load the same rows with psql and into PostgreSQL in turn, then into the others, and once from a server."""
    table = Table("points loaded", "seconds", "rows/s", "peak MB", "÷ psql")
    seconds: dict[str, list[float]] = {"psql \\copy": [], "postgres": []}
    peak = 0.0
    for number in range(ROUNDS):
        seconds["psql \\copy"].append(psql_copy(postgres, f"copied_{number}", points, folder))
        place = Place("postgres", {"credentials": postgres.create(f"loaded_{number}")})
        took, this = measured(load_rows, place, points)
        verified(place, points)
        seconds["postgres"].append(took)
        peak = max(peak, this)
    copied = statistics.median(seconds["psql \\copy"])

    def row(name: str, took: float, peak: float | None = None, *, floor: bool = True) -> None:
        ratio = f"{copied / took:.2f}" if floor else ""
        table.add_row(name, f"{took:.2f}", f"{points / took:,.0f}", f"{peak:.0f}" if peak else "", ratio)

    row("psql \\copy", copied)
    row("postgres", statistics.median(seconds["postgres"]), peak)
    for name, options in {
        "duckdb": {"database": folder / "loaded.duckdb"},
        "filesystem": {"credentials": str(folder / "lake")},
    }.items():
        place = Place(name, options)
        row(name, *measured(load_rows, place, points))
        verified(place, points)
    place = Place("postgres", {"credentials": postgres.create("read")})
    world = World(metrics=METRICS, points=points // METRICS, interleaved=True)
    with server(Scenario("", world, (), ready=(100,))) as url:
        row("postgres, read from a server", *measured(load_metrics, place, url, METRICS), floor=False)
    assert counted(place) == points // METRICS * METRICS
    return table


def compare_sizes(postgres: PostgresServer, points: int) -> Table:
    """Load a quarter of the rows, all of them, and four times as many."""
    table = Table("points into PostgreSQL", "seconds", "rows/s", "peak MB")
    for size in (points // 4, points, points * 4):
        place = Place("postgres", {"credentials": postgres.create(f"size_{size}")})
        seconds, peak = measured(load_rows, place, size)
        verified(place, size)
        table.add_row(f"{size:,}", f"{seconds:.2f}", f"{size / seconds:,.0f}", f"{peak:.0f}")
    return table


def compare_no_news(postgres: PostgresServer, folder: Path) -> Table:
    """Load metrics whose points are all there already, into DuckDB and PostgreSQL in turn."""
    table = Table("no news", "seconds", "÷ DuckDB")
    places = {
        "duckdb": Place("duckdb", {"database": folder / "news.duckdb"}),
        "postgres": Place("postgres", {"credentials": postgres.create("news")}),
    }
    seconds: dict[str, list[float]] = {name: [] for name in places}
    world = World(metrics=WITHOUT_NEWS, points=100, interleaved=True)
    with server(Scenario("", world, (), ready=(100,))) as url:
        for place in places.values():
            measured(load_metrics, place, url, WITHOUT_NEWS)
        for _ in range(ROUNDS):
            for name, place in places.items():
                seconds[name].append(measured(load_metrics, place, url, WITHOUT_NEWS)[0])
    for name, took in seconds.items():
        middle = statistics.median(took)
        table.add_row(name, f"{middle:.2f}", f"{middle / statistics.median(seconds['duckdb']):.2f}")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.destinations", description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000, help="(default: %(default)s)")
    points = parser.parse_args().points
    console = Console()
    with tempfile.TemporaryDirectory(prefix="cachet-bench-") as made, postgres_server() as postgres:
        folder = Path(made)
        os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        console.print(compare_loads(postgres, points, folder))
        console.print(compare_sizes(postgres, points))
        console.print(compare_no_news(postgres, folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
