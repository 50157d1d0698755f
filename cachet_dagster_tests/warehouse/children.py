"""What the processes do that these tests start, kill and count: each function runs in a process of its own.

They are forked from a server that has imported everything once, so that a process more costs milliseconds.
What a function returns, or the exception that it raised, comes back to the test.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401
import dlt.destinations.impl.duckdb.duck  # noqa: F401
import duckdb
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401
from dagster import AssetSelection, DagsterInstance, ExecuteInProcessResult, materialize
from pydantic import SecretStr

from cachet_dagster.demo import DEMO_TOKEN
from cachet_dagster.source import CachetSettings
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.partitions import metric_keys
from cachet_dagster.status_page.points_asset import points_asset
from cachet_dagster.status_page.tables_asset import tables_asset
from cachet_dagster.warehouse import DuckDBWarehouse
from cachet_dagster.warehouse.points import PointsLoad

# What a run imports late is imported here, once for all processes.
DagsterInstance.ephemeral().dispose()

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


class Child:
    """A process that runs one of the functions below."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **named: Any):
        self._answer, theirs = _processes.Pipe(duplex=False)
        self.process = _processes.Process(target=_run, args=(theirs, function, arguments, named), daemon=True)
        self.process.start()
        theirs.close()

    def result(self, timeout: float = 120.0) -> Any:
        """Wait for it to end, and return what its function did; what that raised is raised here."""
        if not self._answer.poll(timeout):
            self.kill()
            raise TimeoutError("the process did not end")
        done, value = self._answer.recv()
        self.process.join()
        if not done:
            raise value
        return value

    def kill(self) -> None:
        """Kill it, as a power cut would, and wait until it is gone."""
        self.process.kill()
        self.process.join()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.is_alive()


def _run(answer: Connection, function: Callable[..., Any], arguments: Any, named: Any) -> None:
    try:
        answer.send((True, function(*arguments, **named)))
    except BaseException as error:  # noqa: BLE001 - handed to the test
        answer.send((False, RuntimeError(f"{type(error).__name__}: {error}")))


def load_tables(database: Path, url: str, *, file_limit: int | None = None) -> list[str]:
    """Materialize all tables but points through Dagster, and return what the run tells where it failed.

    `file_limit` stands for a full disk: no file may grow beyond that many bytes.
    """
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    with DagsterInstance.ephemeral() as instance:
        return failures_of(_materialize(instance, database, url, points=False))


def load_all(database: Path, url: str, times: int = 1, *, checks: bool = False) -> list[str]:
    """Materialize tables and then points through Dagster, and return what the runs tell where they failed.

    Without `checks`, which take as long as the load, only the load is run.
    """
    failures: list[str] = []
    with DagsterInstance.ephemeral() as instance:
        for _ in range(times):
            failures += failures_of(_materialize(instance, database, url, points=False, checks=checks))
            if metric_keys(_page(database, url), instance):
                failures += failures_of(_materialize(instance, database, url, points=True, checks=checks))
    return failures


def load_points(database: Path, url: str, step_rows: int, *metric_ids: int) -> int:
    """Load points in steps of so many rows, and return how many are new."""
    settings = CachetSettings(base_url=url, api_key=DEMO_TOKEN)
    load = PointsLoad(settings, DuckDBWarehouse(database), lambda _: None, step_rows=step_rows)
    new = 0
    for done in load.run(metric_ids):
        if done.error:
            raise done.error
        new += done.new
    return new


def look(database: Path, until: Path) -> int:
    """Read the points over and over, waiting one's turn, until a file exists; return how often there were any.

    Raises:
        AssertionError: What was seen was a table half-loaded.
    """
    seen, highest = 0, 0
    while not until.exists():
        with DuckDBWarehouse(database).reading() as opened:
            found = opened("metric_points", "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {table}")
        if found:
            assert found[0]["n"] == found[0]["ids"] >= highest
            seen, highest = seen + 1, found[0]["n"]
        time.sleep(0.02)
    return seen


def hold(database: Path, ready: Path, until: Path) -> None:
    """Hold the file open as a DuckDB shell does, without anyone's lock, until another file exists."""
    connection = duckdb.connect(str(database))
    ready.touch()
    while not until.exists():
        time.sleep(0.02)
    connection.close()


@contextmanager
def foreign_holder(database: Path, folder: Path) -> Any:
    """Have another process hold the file; gives the process and the file whose making releases it."""
    ready, until = folder / "held", folder / "release"
    child = Child(hold, database, ready, until)
    try:
        while not ready.exists():
            assert child.alive, "the holder ended"
            time.sleep(0.01)
        yield child, until
    finally:
        until.touch()
        child.process.join()


def _page(database: Path, url: str) -> StatusPage:
    return StatusPage(
        env_prefix="CACHET_",
        token=SecretStr(DEMO_TOKEN),
        values={"base_url": url, "database": str(database)},
    )


def _materialize(
    instance: DagsterInstance, database: Path, url: str, *, points: bool, checks: bool = False
) -> ExecuteInProcessResult:
    page = _page(database, url)
    keys = metric_keys(page, instance) if points else ()
    assets = points_asset(page) if points else tables_asset(page)
    selection = AssetSelection.assets(assets)
    return materialize(
        [assets],
        selection=selection if checks else selection.without_checks(),
        instance=instance,
        run_config=QUIET,
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        }
        if keys
        else None,
        raise_on_error=False,
    )


def failures_of(result: ExecuteInProcessResult) -> list[str]:
    """Return what a run tells where it failed."""
    messages = []
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            told = data.user_failure_data.description if data.user_failure_data else None
            messages.append(told or str(data.error))
    assert result.success or messages, "the run failed without saying why"
    return messages
