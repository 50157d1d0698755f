"""Pages synced a minute by one and by two run workers, under Dagster's daemon, into PostgreSQL.

`python -m benchmarks.hosts --pages 20 --seconds 120`. Two code servers and a daemon, as `deploy/` has them, over one
PostgreSQL that holds Dagster's storage and the pages; an embedded Cachet that takes its time over each answer; every
page due each minute, so that the queue is never empty. A worker is a run that may be under way. How much of a sync is
CPU tells how many workers a core carries: a run that mostly waits for its Cachet would leave room for more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
from dagster import DagsterRunStatus

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster_tests.deploy.cluster import FASTER, Cluster, Host, cluster, until
from cachet_dagster_tests.warehouse.postgres import postgres_server

LATENCY = 0.03
WARM = 4
"""Syncs before those that count."""


def attributes(url: str) -> dict[str, Any]:
    """Return a page that is synced by its schedule alone."""
    return {
        "base_url": url,
        "token_variable": "BENCHMARK_TOKEN",
        "destination": "postgres",
        "sync_cron": "* * * * *",
        "sensor_seconds": "off",
        "exclude_endpoints": ["metric_points"],
    }


def cpu(host: Host) -> tuple[float, float]:
    """Return the seconds of CPU of a host's own processes, and those of the runs that have ended."""
    assert host.process is not None
    own = ended = 0.0
    root = psutil.Process(host.process.pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            own += times.user + times.system
            ended += times.children_user + times.children_system
    return own, ended


def synced(hosts: Cluster) -> list[float]:
    """Return when syncs ended, in seconds since the epoch, the first one first."""
    records = hosts.instance.get_run_records()
    assert not hosts.runs(DagsterRunStatus.FAILURE), "a sync failed: see the logs of the hosts"
    return sorted(record.end_time for record in records if record.end_time)


def measured(workers: int, pages: int, seconds: float) -> dict[str, Any]:
    """Return what so many workers do in a time."""
    settings = {**FASTER, "concurrency": {"runs": {"max_concurrent_runs": workers}}}
    settings["run_monitoring"] = {**FASTER["run_monitoring"], "max_runtime_seconds": 600}
    settings["run_coordinator"] = {
        "config": {**FASTER["run_coordinator"]["config"], "dequeue_interval_seconds": 1}
    }
    world = World.generate(incidents=100, components=20, metrics=5, points=10)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="cachet-bench-")))
        postgres = running.enter_context(postgres_server(max_connections="200"))
        cachet = running.enter_context(DemoServer(world, latency=LATENCY))
        divided = {
            location: {f"{location}_{number}": attributes(cachet.url) for number in range(pages // 2)}
            for location in ("a", "b")
        }
        secrets = {"BENCHMARK_TOKEN": DEMO_TOKEN}
        hosts = running.enter_context(cluster(folder / "cluster", postgres, divided, secrets, settings))
        hosts.start("a", "b", "daemon")
        until("the first syncs have ended", lambda: len(synced(hosts)) >= WARM, within=400)
        before, began, asked = (
            [cpu(hosts.hosts[name]) for name in ("a", "b")],
            time.time(),
            cachet.request_count,
        )
        daemon = cpu(hosts.hosts["daemon"])[0]
        time.sleep(seconds)
        after, ended = [cpu(hosts.hosts[name]) for name in ("a", "b")], time.time()
        daemon = cpu(hosts.hosts["daemon"])[0] - daemon
        done = sum(began < end <= ended for end in synced(hosts))
        each = sum(later[1] - earlier[1] for earlier, later in zip(before, after, strict=True)) / done
        return {
            "workers": workers,
            "syncs_a_minute": round(60 * done / (ended - began), 1),
            "seconds_a_sync": round(workers * (ended - began) / done, 1),
            "cpu_seconds_a_sync": round(each, 1),
            "requests_a_sync": round((cachet.request_count - asked) / done, 1),
            "cores": {
                "runs": round(each * done / (ended - began), 2),
                "daemon": round(daemon / (ended - began), 2),
            },
        }


def main() -> int:
    """Measure one worker and two, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=20, help="how many pages (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=120, help="how long to look on (default: %(default)s)"
    )
    given = parser.parse_args()
    for workers in (1, 2):
        print(json.dumps(measured(workers, given.pages, given.seconds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
