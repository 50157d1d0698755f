"""`make soak`: a year of a page in which little changes, with nobody looking after it, as far as 80 minutes take it.

What is real: the jobs (a sync an hour, and the points after it), housekeeping once a day, the models and the report
whenever declarative automation asks for them, Dagster's storage in files with the project's `dagster.yaml`, the
DuckDB file, and a Cachet over sockets whose clock moves on by an hour. What is scaled: Dagster dates its events by the
real clock, so a day of `CACHET_KEEP_RUNS_DAYS` is as long as 24 syncs took. What is
left out: the points' run between two syncs, which is the same again, and the processes of Dagster's daemon; the ticks
that it would keep are written at the end. `SOAK_YEAR_SYNCS` and `SOAK_YEAR_SECONDS` end it earlier or later;
`SOAK_YEAR_KEEP_DAYS` has housekeeping keep fewer days than thirty, so that a shorter one shows what stays of it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import random
import statistics
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    BetaWarning,
    DagsterInstance,
    Definitions,
    JobDefinition,
    RunRequest,
    evaluate_automation_conditions,
    materialize,
)
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.status_page.analytics_assets import models_asset
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.housekeeping import housekeeping_job
from cachet_dagster.status_page.reports import report_asset
from cachet_dagster_tests.status_page.automation import Automation
from cachet_dagster_tests.status_page.dagster_runs import QUIET
from cachet_dagster_tests.ui.dagster_dev import new_home, webserver

from .test_soak import show

pytestmark = pytest.mark.soak

SYNCS = int(os.environ.get("SOAK_YEAR_SYNCS", "8760"))
SECONDS = float(os.environ.get("SOAK_YEAR_SECONDS", "4800"))
EVERY = int(os.environ.get("SOAK_YEAR_EVERY", "100"))

DAY = 24
KEEP_DAYS = int(os.environ.get("SOAK_YEAR_KEEP_DAYS", "30"))
METRICS = 50
HOUSEKEEPING_HOUR = 4
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Year:
    """A project and a page that moves on hour by hour."""

    def __init__(self, folder: Path, world: World, server: DemoServer, now: list[datetime]):
        self.world, self.server, self.now = world, server, now
        self.home = new_home(folder)
        self.temporary = folder / "temporary"
        self.project = Automation(folder / "project", server.url, DEMO_TOKEN)
        self.project.instance = DagsterInstance.from_config(str(self.home))
        self.random = random.Random(1)
        self.began: list[float] = []
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.models_built = 0
        self._cursor: Any = None
        self._definitions: Definitions | None = None

    def hour(self) -> None:
        """Let an hour pass, and everything that happens of itself in it."""
        number = len(self.began)
        self._change_page(number)
        wall, cpu = time.monotonic(), time.process_time()
        self.began.append(time.time())
        self._run("cachet_sync")
        self._run("cachet_all_points")
        self.wall.append(time.monotonic() - wall)
        self.cpu.append(time.process_time() - cpu)
        self._automation()
        if number % DAY == HOUSEKEEPING_HOUR:
            self._housekeeping()
        assert self.server.errors == []
        self.server.clear_requests()
        self.now[0] += timedelta(hours=1)

    def _change_page(self, number: int) -> None:
        """Change a little: a point now and then, an incident every three days that ends five hours later."""
        now = self.now[0]
        if self.random.random() < 1 / 8:
            self.world.post_point(self.random.randint(1, METRICS), self.random.random(), at=now)
        component = number // 72 % 20 + 1
        if number % 72 == 30:
            self.world.post_incident("Slow", "Looking into it", at=now, components={component: 2})
            self.world.update("components", component, status=2)
        if number % 72 == 35:
            self.world.post_update(len(self.world.rows("incidents")), 4, "Mended", at=now)
            self.world.update("components", component, status=1)

    def _run(self, job: str) -> None:
        result = self.project.launch(RunRequest(job_name=job))
        assert result.success, job

    def _automation(self) -> None:
        """Do what declarative automation asks for now."""
        page = self.project.page
        self._definitions = self._definitions or page_definitions(page)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BetaWarning)
            asked = evaluate_automation_conditions(
                self._definitions, self.project.instance, cursor=self._cursor
            )
        self._cursor = asked.cursor
        if asked.total_requested:
            self.models_built += 1
            done = materialize(
                [models_asset(page), report_asset(page)],
                instance=self.project.instance,
                run_config=QUIET,
                tags=page.run_tags,
            )
            assert done.success

    def _housekeeping(self) -> None:
        """Run the page's own job; its days are as long as so many syncs have taken."""
        first = len(self.began) - KEEP_DAYS * DAY
        if first >= 0:
            keep = timedelta(seconds=time.time() - self.began[first])
            job: JobDefinition = housekeeping_job(self.project.page, keep)
            assert job.execute_in_process(instance=self.project.instance, run_config=QUIET).success

    def measured(self) -> dict[str, float]:
        """Return what may grow."""
        gc.collect()
        dlt = Path(os.environ["DLT_DATA_DIR"])
        history = self.home / "history"
        return {
            "Dagster MB": megabytes(self.home),
            "Dagster MB, events of runs": megabytes(history / "runs")
            - megabytes(history / "runs" / "index.db"),
            "Dagster MB, index of events": megabytes(history / "runs" / "index.db"),
            "runs kept": self.project.instance.get_runs_count(),
            "database MB": megabytes(self.project.database),
            "dlt's folders MB": megabytes(dlt),
            "files in dlt's folders": files(dlt),
            "temporary files": files(self.temporary),
            "temporary MB": megabytes(self.temporary),
            "resident MB": resident() / 1e6,
            "file handles": files(Path("/proc/self/fd")),
            "threads": threading.active_count(),
        }

    def close(self) -> None:
        self.project.instance.dispose()


def megabytes(path: Path) -> float:
    """Return the size of a file or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size / 1e6
    return sum(child.stat().st_size for child in path.rglob("*") if child.is_file()) / 1e6


def files(path: Path) -> int:
    return len(list(path.rglob("*") if path.name != "fd" else path.iterdir())) if path.exists() else 0


def resident() -> int:
    """Return the bytes of memory that this process holds, the embedded Cachet's rows among them."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


PAGE_OF_AN_ASSET = """
query Page($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      id
      assetMaterializations(limit: 100) { runId timestamp metadataEntries { label } }
      assetObservations(limit: 100) { runId timestamp metadataEntries { label } }
      partitionStats { numMaterialized numPartitions numFailed numMaterializing }
      assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions failedPartitions } }
      freshnessStatusInfo { freshnessStatus }
      assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { id status } } } }
    }
  }
  assetsLatestInfo(assetKeys: [$key]) { id latestMaterialization { timestamp } latestRun { id status } }
}
"""


def asset_page_seconds(address: str, table: str) -> float:
    """Return how long what the UI asks for an asset's page takes, the median of five times."""
    key = {"path": ["cachet", table]}
    body = json.dumps({"query": PAGE_OF_AN_ASSET, "variables": {"key": key}}).encode()
    took = []
    for _ in range(6):
        began = time.monotonic()
        request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
        took.append(time.monotonic() - began)
        assert "errors" not in said, said
        assert said["data"]["assetNodeOrError"]["assetMaterializations"], said
    return statistics.median(took[1:])


def asset_pages(year: Year, folder: Path) -> dict[str, float]:
    """Return how long two assets' pages take: the one with an event a run, and the one with partitions."""
    environment = {
        "CACHET_BASE_URL": year.server.url,
        "CACHET_API_TOKEN": DEMO_TOKEN,
        "CACHET_DATABASE": str(year.project.database),
    }
    with webserver(folder, year.home, environment) as address:
        return {
            f"seconds for the page of {table}": asset_page_seconds(address, table)
            for table in ("incidents", "metric_points")
        }


def ticks_megabytes(instance: DagsterInstance, home: Path) -> float:
    """Return what the ticks take that Dagster keeps, two days of four sensors that skip, going by a thousand."""
    kept, written = 2 * (1440 + 1440 + 5760 + 1440), 1000
    before = megabytes(home / "schedules")
    for _ in range(written):
        tick = TickData(
            instigator_origin_id="changes",
            instigator_name="cachet_changes",
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.SKIPPED,
            timestamp=time.time(),
            selector_id="changes",
            skip_reason="nothing has changed",
        )
        instance.create_tick(tick)
    return (megabytes(home / "schedules") - before) * kept / written


@pytest.fixture
def year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Year]:
    now = [BEGIN]
    world = World.generate(
        incidents=20,
        components=20,
        groups=4,
        metrics=METRICS,
        points=50,
        subscribers=5,
        schedules=3,
        templates=3,
    )
    (tmp_path / "temporary").mkdir()
    (tmp_path / "project").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with DemoServer(world, me=True, clock=lambda: now[0]) as server:
        year = Year(tmp_path, world, server, now)
        yield year
        year.close()


@contextlib.contextmanager
def nothing_captured() -> Iterator[None]:
    """Keep pytest from holding every line that is logged in a year, which would be what memory grows by."""
    root = logging.getLogger()
    capturing = root.handlers[:]
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = capturing


def test_a_year_of_hourly_syncs_stays_small_and_as_quick_as_on_its_first_day(
    year: Year, tmp_path: Path
) -> None:
    until = time.monotonic() + SECONDS
    early: dict[str, float] = {}
    early_pages: dict[str, float] = {}
    while len(year.began) < SYNCS and time.monotonic() < until:
        with nothing_captured():
            year.hour()
        done = len(year.began)
        if done == EVERY:
            early, early_pages = year.measured(), asset_pages(year, tmp_path / "early")
        if done % EVERY == 0:
            cpu, wall = sum(year.cpu[-EVERY:]) / EVERY, sum(year.wall[-EVERY:]) / EVERY
            found = ", ".join(f"{name} {value:,.1f}" for name, value in year.measured().items())
            print(f"{done:,} syncs, {cpu:.2f} s of CPU and {wall:.2f} s each; {found}", flush=True)
    late = year.measured()
    counted: dict[str, float] = {
        "syncs": len(year.began),
        "days": len(year.began) // DAY,
        "builds of the models": year.models_built,
        "CPU seconds a sync, first hundred": statistics.median(year.cpu[1:EVERY]),
        "CPU seconds a sync, last hundred": statistics.median(year.cpu[-EVERY:]),
        "seconds a sync, first hundred": statistics.median(year.wall[1:EVERY]),
        "seconds a sync, last hundred": statistics.median(year.wall[-EVERY:]),
        **{f"early: {name}": value for name, value in {**early, **early_pages}.items()},
        **{
            f"late: {name}": value for name, value in {**late, **asset_pages(year, tmp_path / "late")}.items()
        },
        "two days of ticks MB": ticks_megabytes(year.project.instance, year.home),
    }
    show(f"{len(year.began) / DAY:.0f} days of a page", counted)
    # Steady: what a month leaves, what is newest, and the index of all that was.
    assert late["Dagster MB"] <= 600
    assert late["files in dlt's folders"] <= early["files in dlt's folders"]
    assert late["temporary files"] <= early["temporary files"]
    assert late["file handles"] <= early["file handles"]
    assert late["threads"] <= early["threads"]
    assert late["resident MB"] - early["resident MB"] < 100
    assert late["database MB"] - early["database MB"] < 20
