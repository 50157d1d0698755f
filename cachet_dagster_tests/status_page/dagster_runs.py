"""Runs of the real assets in this process, against a real server, a real DuckDB file and a real instance."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dagster import AssetSelection, DagsterInstance, ExecuteInProcessResult, materialize
from pydantic import SecretStr

from cachet_dagster.source import TABLES
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.partitions import metric_keys
from cachet_dagster.status_page.points_asset import points_asset
from cachet_dagster.status_page.tables_asset import tables_asset

WHOLE = [table for table in TABLES if table != "metric_points"]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Project:
    """A database and an instance of their own, and the page that they load.

    What is not given comes from the environment, as it does for the page `cachet`.
    """

    def __init__(
        self,
        folder: Path,
        base_url: str | None,
        token: str | None = None,
        name: str = "cachet",
        **values: Any,
    ):
        self.database = folder / "cachet.duckdb"
        self.instance = instance_in(folder)
        given = {"base_url": base_url, "database": str(self.database), **values}
        self.page = StatusPage(
            name=name,
            env_prefix="CACHET_",
            token=SecretStr(token) if token else None,
            values={setting: value for setting, value in given.items() if value is not None},
        )

    def set(self, **values: Any) -> None:
        """Set something of the page."""
        self.page = replace(self.page, values={**self.page.values, **values})

    def keys(self) -> Sequence[str]:
        """Return the partitions."""
        return metric_keys(self.page, self.instance)

    def load_tables(self, *tables: str, **config: Any) -> ExecuteInProcessResult:
        """Materialize the named tables, all where none is named; a failure is in the result."""
        # Without the checks, which have tests of their own: recording a hundred of them takes seconds.
        chosen = AssetSelection.assets(*(self.page.asset_key(table) for table in tables or WHOLE))
        return materialize(
            [tables_asset(self.page)],
            selection=chosen.without_checks(),
            instance=self.instance,
            run_config={**QUIET, "ops": {self.page.named("tables"): {"config": config}}},
            raise_on_error=False,
        )

    def load_tables_and_checks(self) -> ExecuteInProcessResult:
        """Materialize all tables but the points and evaluate their checks."""
        return materialize(
            [tables_asset(self.page)],
            instance=self.instance,
            run_config=QUIET,
            raise_on_error=False,
        )

    def load_points(self, keys: Sequence[str] = (), **config: Any) -> ExecuteInProcessResult:
        """Materialize the partitions from the first to the last of `keys`, all where there are none."""
        wanted = keys or self.keys()
        return materialize(
            [points_asset(self.page)],
            instance=self.instance,
            run_config={**QUIET, "ops": {self.page.named("load_points"): {"config": config}}},
            tags={
                "dagster/asset_partition_range_start": wanted[0],
                "dagster/asset_partition_range_end": wanted[-1],
            },
            raise_on_error=False,
        )

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the database to look."""
        connection = duckdb.connect(str(self.database), read_only=True)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query over the dataset gives."""
        with self.opened() as connection:
            connection.execute("USE cachet_data")
            return connection.execute(sql).fetchall()

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return self.rows(f'SELECT count(*) FROM "{table}"')[0][0]


def instance_in(folder: Path) -> DagsterInstance:
    """Return an instance in a folder, where its storage is made unless it is there."""
    # Making an instance's storage takes a second on a busy machine, copying it hardly any time.
    if not (folder / "history").exists():
        shutil.copytree(_empty_storage().name, folder, dirs_exist_ok=True)
    return DagsterInstance.local_temp(str(folder))


@cache
def _empty_storage() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="cachet_dagster_tests-")
    with DagsterInstance.local_temp(folder.name) as instance:
        instance.get_runs()
    return folder


def failure(result: ExecuteInProcessResult) -> str:
    """Return what a failed run tells a person."""
    messages = [
        event.step_failure_data.user_failure_data.description or ""
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.user_failure_data
    ]
    assert messages, "the run failed without a message for a person, or did not fail"
    return "\n".join(messages)


def materialized(result: ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the metadata of each asset that the run recorded, by table; by `table/partition` for points."""
    found = {}
    for event in result.all_events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            data = event.step_materialization_data.materialization
            name = "/".join([data.asset_key.path[-1], *([data.partition] if data.partition else [])])
            found[name] = {key: value.value for key, value in data.metadata.items()}
    return found
