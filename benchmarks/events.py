"""What a run over 10,000 partitions costs where 100 have news, with Dagster's storage in PostgreSQL.

`python -m benchmarks.events`. The same load twice, each in a process of its own: as Dagster's run, and without Dagster,
which is what its requests and the warehouse take. Connections are those that PostgreSQL counts for Dagster's database.
That all partitions were recorded before is written into the storage in one statement, after a run over the first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from dagster import DagsterInstance

from cachet_dagster import StatusPage, page_definitions
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster_tests.deploy.cluster import DEPLOY
from cachet_dagster_tests.status_page.dagster_runs import QUIET
from cachet_dagster_tests.warehouse.places import Place
from cachet_dagster_tests.warehouse.postgres import PostgresServer, postgres_server

LATENCY = 0.03
EVENTS_OF_ALL = """
    INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    SELECT run_id, replace(event, '"partition": "1"', '"partition": "' || number || '"'), dagster_event_type, timestamp,
           step_key, asset_key, number::text
    FROM event_logs, generate_series(2, %s) AS number
    WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition = '1'
"""


def page(url: str) -> StatusPage:
    """Return the page, whose credentials are in the environment."""
    values = {"base_url": url, "destination": "postgres", "dataset": "events_data"}
    os.environ["EVENTS_TOKEN"] = DEMO_TOKEN
    return StatusPage(name="events", token_variable="EVENTS_TOKEN", values=values)


def run_of_dagster(home: str, url: str, only: list[int]) -> None:
    """Load the points of all metrics, or of some, as the schedule's run does."""
    job = page_definitions(page(url)).get_repository_def().get_job("events_all_points")
    config: dict[str, Any] = {**QUIET}
    if only:
        config["ops"] = {"events_load_all_points": {"config": {"metric_ids": only}}}
    with DagsterInstance.from_config(home) as instance:
        assert job.execute_in_process(instance=instance, run_config=config).success


def load_without_dagster(home: str, url: str, only: list[int]) -> None:
    """Load the same points through the package's own load."""
    from cachet_dagster.source import CachetSettings
    from cachet_dagster.warehouse.points import PointsLoad

    del home
    place = Place(
        "postgres",
        {"credentials": os.environ["DESTINATION__POSTGRES__CREDENTIALS"], "dataset": "events_data"},
    )
    settings = CachetSettings.model_validate({"base_url": url, "api_key": DEMO_TOKEN})
    for one in PointsLoad(settings, place.warehouse(), lambda _: None).run(only):
        if one.error:
            raise one.error


def in_a_process(function: Any, *arguments: Any) -> tuple[float, float]:
    """Run a function in a process of its own, and return its seconds and its seconds of CPU, imports left out."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_timed, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def _timed(answer: Any, function: Any, arguments: tuple[Any, ...]) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    answer.send((time.perf_counter() - began, time.process_time() - cpu))


def sessions(postgres: PostgresServer) -> int:
    """Return how many connections were opened to Dagster's storage so far."""
    # A connection is counted a moment after it was closed.
    time.sleep(2)
    with postgres.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = 'dagster'")
        return int((cursor.fetchone() or (0,))[0])


def add_news(cachet: DemoServer, metrics: list[int]) -> None:
    """Post a point to each of some metrics."""
    for metric in metrics:
        at = "2026-11-28 12:00:00"
        cachet.world.add("metric_points", metric_id=metric, value=1.0, created_at=at, updated_at=at)


def prepared(running: ExitStack, metrics: int) -> tuple[PostgresServer, DemoServer, str]:
    """Return a database, a server and Dagster's home, where all metrics have been loaded and recorded."""
    postgres = running.enter_context(postgres_server())
    cachet = running.enter_context(DemoServer(World.generate(metrics=metrics, points=5)))
    home = running.enter_context(tempfile.TemporaryDirectory(prefix="cachet-bench-"))
    settings = yaml.safe_load((DEPLOY / "hosts" / "dagster.yaml").read_text())
    Path(home, "dagster.yaml").write_text(yaml.safe_dump(settings))
    storage = postgres.create("dagster").replace("postgresql://", "postgresql+psycopg2://")
    os.environ["DAGSTER_POSTGRES_URL"] = storage
    os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = postgres.create("warehouse")
    os.environ["DLT_DATA_DIR"] = str(Path(home, "dlt"))
    every = cachet.world.ids("metrics")
    with DagsterInstance.from_config(home) as instance:
        instance.add_dynamic_partitions(page(cachet.url).partitions.name or "", [str(each) for each in every])
    in_a_process(load_without_dagster, home, cachet.url, every)
    in_a_process(run_of_dagster, home, cachet.url, [1])
    with postgres.connected("dagster") as connection, connection.cursor() as cursor:
        cursor.execute(EVENTS_OF_ALL, [metrics])
        assert cursor.rowcount == metrics - 1
    return postgres, cachet, home


def measured(metrics: int, news: int) -> dict[str, Any]:
    """Return what both take, each after points were posted to as many metrics."""
    found: dict[str, Any] = {"partitions": metrics, "with_news": news}
    with ExitStack() as running:
        postgres, cachet, home = prepared(running, metrics)
        cachet.settings.latency = LATENCY
        every = cachet.world.ids("metrics")
        for name, function, only in (
            ("without_dagster", load_without_dagster, every),
            ("run", run_of_dagster, []),
        ):
            add_news(cachet, random.Random(0).sample(every, news))
            cachet.clear_requests()
            before = sessions(postgres)
            seconds, cpu = in_a_process(function, home, cachet.url, only)
            found[name] = {
                "seconds": round(seconds, 1),
                "cpu_seconds": round(cpu, 1),
                "requests": cachet.request_count,
                "connections": sessions(postgres) - before,
            }
    return found


def main() -> int:
    """Measure it, and print a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--metrics", type=int, default=10_000, help="partitions (default: %(default)s)")
    parser.add_argument("--news", type=int, default=100, help="of which have news (default: %(default)s)")
    given = parser.parse_args()
    print(json.dumps(measured(given.metrics, given.news)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
