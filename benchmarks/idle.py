"""Many pages under Dagster's own daemon while nothing happens: what they cost, and whether each is looked at in time.

`python -m benchmarks.idle 1 10 100 --seconds 180`. For each number of pages: a project with a folder for each, its code
server and the daemon as processes of their own, and an embedded Cachet in this one, which counts what each page asks
by its token. Runs that the first looks request are cancelled, not started: the loads are another benchmark's matter.
CPU is that of the two processes, from /proc; ticks are what the instance has recorded of each sensor.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import InstigatorType, SensorInstigatorData
from dagster._grpc.client import DagsterGrpcClient

from cachet_dagster.demo import DemoServer, World

PROJECT = Path(__file__).parents[1]
MODULE = "pages_of_the_benchmark.definitions"
DEFINITIONS = """
from pathlib import Path

from cachet_dagster.project import project_definitions

defs = project_definitions(Path(__file__).parent)
"""
PYPROJECT = (
    '[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "pages_of_the_benchmark"\n'
)
TICK = os.sysconf("SC_CLK_TCK")


def tokens(count: int) -> dict[str, str]:
    """Return each page's name and its token."""
    return {f"page{number}": f"{number + 1}|token-of-page-{number}" for number in range(count)}


def write_project(folder: Path, count: int, url: str) -> None:
    """Write a project with so many pages, and an instance that has this project's settings but starts no run."""
    package = folder / "pages_of_the_benchmark"
    for name in tokens(count):
        (package / "defs" / name).mkdir(parents=True)
        attributes = {"base_url": url, "token_variable": f"{name.upper()}_TOKEN"}
        page = {"type": "cachet_dagster.StatusPageComponent", "attributes": attributes}
        (package / "defs" / name / "defs.yaml").write_text(yaml.safe_dump(page))
    (package / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    settings = yaml.safe_load((PROJECT / "dagster.yaml").read_text().replace(".dagster", str(folder)))
    settings.setdefault("concurrency", {})["runs"] = {"max_concurrent_runs": 0}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))


@contextmanager
def process(
    folder: Path, name: str, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of Dagster's commands in the project, its output in a file."""
    path = os.pathsep.join([str(folder), str(PROJECT)])
    with (folder / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env={**os.environ, "DAGSTER_HOME": str(folder), "PYTHONPATH": path, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield started
        finally:
            started.send_signal(signal.SIGINT)
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def cpu(of: subprocess.Popen[bytes]) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{of.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the code server has loaded its definitions."""
    client = DagsterGrpcClient(port=port, host="127.0.0.1")
    while True:
        try:
            client.ping("")
            return
        except Exception:  # noqa: BLE001 - whatever it is, the server is not there yet
            assert server.poll() is None, "the code server ended: see its log"
            time.sleep(0.1)


def settle(instance: DagsterInstance, wanted: int) -> None:
    """Cancel what the first looks request, until every sensor has looked and nothing was recorded for a minute.

    A sensor counts as having looked when its tick begins; the runs that it then requests, and the first word on each
    asset's freshness, are events that take Dagster minutes once, for a hundred pages.
    """
    deadline = time.monotonic() + 900
    looked, events, quiet_since = 0, 0, time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(2)
        for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
            instance.report_run_canceled(run)
        looked = sum(
            isinstance(state.instigator_data, SensorInstigatorData)
            and state.instigator_data.last_tick_timestamp is not None
            for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        )
        newest = instance.event_log_storage.get_maximum_record_id() or 0
        if newest > events:
            events, quiet_since = newest, time.monotonic()
        if looked >= wanted and time.monotonic() - quiet_since > 60:
            return
    raise AssertionError(f"of {wanted} sensors, {looked} have looked: see daemon.log")


def ticks(instance: DagsterInstance, began: float, ended: float) -> dict[str, Any]:
    """Return, for each kind of sensor, its ticks of a time: how many were due, recorded, and how far apart."""
    due: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    apart: dict[str, list[float]] = defaultdict(list)
    failed = 0
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
        assert isinstance(state.instigator_data, SensorInstigatorData)
        found = instance.get_ticks(state.instigator_origin_id, state.selector_id, after=began, before=ended)
        kind = state.name.partition("_")[2]
        due[kind] += int((ended - began) // (state.instigator_data.min_interval or 30))
        seen[kind] += len(found)
        failed += sum(tick.status.value == "FAILURE" for tick in found)
        times = sorted(tick.timestamp for tick in found)
        apart[kind] += [later - earlier for earlier, later in pairwise(times)]
    return {
        "failed_ticks": failed,
        **{
            kind: {
                "due": due[kind],
                "recorded": seen[kind],
                "seconds_apart": round(median(apart[kind]), 1) if apart[kind] else None,
                "most_apart": round(max(apart[kind]), 1) if apart[kind] else None,
            }
            for kind in sorted(due)
        },
    }


def measured(count: int, seconds: float, sensors: int) -> dict[str, Any]:
    """Return what so many pages cost while nothing happens."""
    callers = tokens(count)
    world = World.generate(incidents=100, components=20, metrics=5, points=10)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="cachet-bench-")))
        cachet = running.enter_context(DemoServer(world, tokens={token: {"*"} for token in callers.values()}))
        write_project(folder, count, cachet.url)
        environment = {f"{name.upper()}_TOKEN": token for name, token in callers.items()}
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        began = time.monotonic()
        code = running.enter_context(
            process(
                folder, "code", "dagster", "api", "grpc", "-m", MODULE, "-h", "127.0.0.1", "-p", str(port),
                **environment,
            )
        )  # fmt: skip
        wait_for(port, code)
        loaded, loaded_cpu = time.monotonic() - began, cpu(code)
        (folder / "workspace.yaml").write_text(
            f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: pages}}\n"
        )
        daemon = running.enter_context(
            process(folder, "daemon", "dagster._daemon", "run", "-w", "workspace.yaml")
        )
        instance = running.enter_context(DagsterInstance.from_config(str(folder)))
        settle(instance, sensors * count)
        print(f"{count} pages: settled after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        cachet.clear_requests()
        at, before = time.time(), (cpu(code), cpu(daemon))
        time.sleep(seconds)
        until, after = time.time(), (cpu(code), cpu(daemon))
        asked = Counter(request.headers.get("authorization", "") for request in cachet.requests)
        each = [60 * asked[f"Bearer {token}"] / (until - at) for token in callers.values()]
        shares = [(later - earlier) / (until - at) for earlier, later in zip(before, after, strict=True)]
        return {
            "pages": count,
            "seconds_to_load": round(loaded, 1),
            "cpu_seconds_to_load": round(loaded_cpu, 1),
            "requests_a_minute_of_a_page": [round(min(each), 1), round(median(each), 1), round(max(each), 1)],
            "cores": {
                "code_server": round(shares[0], 3),
                "daemon": round(shares[1], 3),
                "both": round(sum(shares), 3),
            },
            "ticks": ticks(instance, at, until),
        }


def main() -> int:
    """Measure each number of pages, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument(
        "--seconds", type=float, default=180, help="how long to look on (default: %(default)s)"
    )
    given = parser.parse_args()
    for count in given.pages:
        print(json.dumps(measured(count, given.seconds, sensors=4)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
