"""One contender, once, in this process: warm up, prepare, start the clock, run, stop it, compare its rows.

One decision shapes it: a contender is a function that prepares whatever it needs and returns a `Work`; only
`Work.run` is timed, and all of it has been done once before for a page of a few rows. So imports are excluded
everywhere, in the same way, those too that a library makes at its first load. Requests are what the server
counted while the clock ran. Run by `python -m benchmarks`; alone, which prints one line of JSON:
`python -m benchmarks.contender NAME FOLDER '{"metrics": 20, …}' URL URL_OF_THE_FEW_ROWS`.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.request import urlopen

from benchmarks.world import World

CONTENDERS = {
    "recipe": "benchmarks.public_recipe:points",
    "floor": "benchmarks.floor:points",
    "floor-incidents": "benchmarks.floor:incidents",
    "bare-requests": "benchmarks.floor:requests_only",
    "bare-events": "benchmarks.bare_events:events_only",
    "dlt": "benchmarks.ours:dlt_points",
    "dlt-no-news": "benchmarks.ours:dlt_no_news",
    "dlt-incidents": "benchmarks.ours:dlt_incidents",
    "dagster": "benchmarks.ours:dagster_points",
    "dagster-no-news": "benchmarks.ours:dagster_no_news",
    "dagster-incidents": "benchmarks.ours:dagster_incidents",
    "dagster-partitions": "benchmarks.ours:dagster_partitions",
}


@dataclass
class Bench:
    """What a contender is given: a server (`url` without `/api`), what it holds, and an empty folder."""

    url: str
    world: World
    folder: Path


@dataclass
class Work:
    """What a contender gives back: `run` is timed; afterwards `database` (a DuckDB file) holds `tables`, for
    each of the world's tables a SELECT with that table's columns, times in seconds since 1970."""

    run: Callable[[], None]
    database: Path | None = None
    tables: dict[str, str] = field(default_factory=dict)
    notes: Callable[[], dict] = dict


@dataclass
class Result:
    contender: str
    seconds: float
    cpu_seconds: float  # of this process, all threads: less moved by what else the machine does
    requests: int
    refused: int  # of the requests, those answered 429
    rows: int
    peak_mb: float
    differences: int | None  # rows missing, surplus or unequal; None where there is nothing to compare
    notes: dict


def prepare(name: str, bench: Bench) -> Work:
    module, function = CONTENDERS[name].split(":")
    return getattr(importlib.import_module(module), function)(bench)


def measure(name: str, bench: Bench) -> Result:
    work = prepare(name, bench)
    before = served(bench.url)
    cpu, started = time.process_time(), time.perf_counter()
    work.run()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    after = served(bench.url)
    peak_mb = _peak_mb()
    rows, differences = compare(work, bench.world) if work.database else (0, None)
    return Result(
        contender=name,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        requests=after["requests"] - before["requests"],
        refused=after["refused"] - before["refused"],
        rows=rows,
        peak_mb=peak_mb,
        differences=differences,
        notes=work.notes(),
    )


def served(url: str) -> dict[str, int]:
    """How many `requests` the server has answered so far, and how many of them it `refused`."""
    with urlopen(f"{url}/_count") as answer:
        return json.load(answer)


def _peak_mb() -> float:
    # Linux lets a child begin with its parent's peak; `python -m benchmarks` stays far below any contender's.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1_000_000 * (1 if sys.platform == "darwin" else 1_024)


def compare(work: Work, world: World) -> tuple[int, int]:
    """Rows found, and rows in which what was found and what the formulas say differ, in either direction."""
    import duckdb

    rows = differences = 0
    with duckdb.connect(str(work.database), read_only=True) as connection:
        for table, expected in world.expected().items():
            connection.execute(f"CREATE TEMP TABLE expected AS {expected}")
            connection.execute(f"CREATE TEMP TABLE found AS SELECT * FROM ({work.tables[table]})")
            found, surplus, missing = connection.execute(
                "SELECT (SELECT count(*) FROM found), "
                "(SELECT count(*) FROM (FROM found EXCEPT ALL FROM expected)), "
                "(SELECT count(*) FROM (FROM expected EXCEPT ALL FROM found))"
            ).fetchone() or (0, 0, 0)
            connection.execute("DROP TABLE expected; DROP TABLE found")
            rows += found
            differences += max(surplus, missing)
    return rows, differences


def main() -> None:
    name, folder, counts, url, url_of_few = sys.argv[1:]
    bench = Bench(url, World(**json.loads(counts)), Path(folder))
    few = Bench(url_of_few, bench.world.few(), bench.folder / "warm-up")
    few.folder.mkdir()
    prepare(name, few).run()
    result = measure(name, bench)
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
