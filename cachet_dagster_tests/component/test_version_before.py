"""A database and a `.dagster` folder that commit 87e46b2 has left open as they are, and go on.

`before.tar.xz` was made by that commit: two `make run` of the generated page below, its database and its runs.
"""

from __future__ import annotations

import tarfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, EventRecordsResult
from pydantic import SecretStr

from cachet_dagster import StatusPage, page_definitions
from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.status_page.partitions import metric_keys

pytestmark = pytest.mark.slow

LATER = datetime(2026, 12, 2, tzinfo=timezone.utc)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
HELD = """
SELECT (SELECT count(*) FROM incidents), (SELECT count(*) FROM incident_updates), (SELECT count(*) FROM components),
       (SELECT count(*) FROM subscribers), (SELECT count(*) FROM metric_points), (SELECT count(*) FROM system_status)
"""
BEFORE = (12, 36, 6, 5, 120, 1)


def generated(points: int = 40, incidents: int = 12) -> World:
    sizes = {"components": 6, "groups": 2, "metrics": 3, "subscribers": 5, "schedules": 4, "templates": 2}
    return World.generate(incidents=incidents, points=points, seed=7, **sizes)


def gone_on_in_cachet() -> World:
    world = generated()
    for number in range(30):
        world.post_point(
            number % 3 + 1,
            float(number),
            at=LATER + number * timedelta(minutes=30),
        )
    return world


def held(folder: Path) -> tuple[int, ...]:
    with duckdb.connect(str(folder / "cachet.duckdb"), read_only=True) as connection:
        connection.execute("USE cachet_data")
        return connection.execute(HELD).fetchall()[0]


def address(folder: Path) -> str:
    with duckdb.connect(str(folder / "cachet.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT address FROM cachet_data.cachet_page").fetchall()[0][0]


def history(instance: DagsterInstance, table: str) -> EventRecordsResult:
    return instance.fetch_materializations(AssetRecordsFilter(AssetKey(["cachet", table])), limit=100)


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory) -> SimpleNamespace:
    """Return what was there before, and after this version has loaded once more."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(Path(__file__).with_name("before.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    settings = f"storage:\n  sqlite:\n    base_dir: {folder / '.dagster'}\ntelemetry:\n  enabled: false\n"
    (folder / "dagster.yaml").write_text(settings)
    with (
        DemoServer(gone_on_in_cachet()) as server,
        DagsterInstance.from_config(str(folder)) as instance,
    ):
        values = {
            "base_url": server.url,
            "database": str(folder / "cachet.duckdb"),
            "moved_from": address(folder),
        }
        page = StatusPage(env_prefix="CACHET_", token=SecretStr(DEMO_TOKEN), values=values)
        before = SimpleNamespace(
            rows=held(folder),
            keys=metric_keys(page, instance),
            runs={run.run_id: run.job_name for run in instance.get_runs()},
            incidents=len(history(instance, "incidents").records),
            partitions=instance.get_materialized_partitions(AssetKey(["cachet", "metric_points"])),
        )
        definitions = page_definitions(page)
        synced = definitions.resolve_job_def("cachet_sync").execute_in_process(
            instance=instance, run_config=QUIET
        )
        ends = {"dagster/asset_partition_range_start": "1", "dagster/asset_partition_range_end": "3"}
        loaded = definitions.resolve_job_def("cachet_metric_points").execute_in_process(
            instance=instance, run_config=QUIET, tags=ends
        )
        after = SimpleNamespace(
            rows=held(folder),
            keys=metric_keys(page, instance),
            runs={run.run_id: run.job_name for run in instance.get_runs()},
            incidents=len(history(instance, "incidents").records),
        )
    return SimpleNamespace(before=before, after=after, success=synced.success and loaded.success)


def test_partitions_history_and_rows_are_in_place(gone_on):
    before = gone_on.before

    assert before.rows == BEFORE
    assert list(before.keys) == ["1", "2", "3"]
    assert before.partitions == {"1", "2", "3"}
    assert sorted(before.runs.values()) == ["cachet_all_points"] * 2 + ["cachet_sync"] * 2
    # That version recorded changes only.
    assert before.incidents == 1


def test_it_goes_on_from_there(gone_on):
    before, after = gone_on.before, gone_on.after

    assert gone_on.success
    assert after.rows == (*BEFORE[:4], 150, 1)
    assert after.keys == before.keys
    assert before.runs.items() < after.runs.items()
    assert after.incidents == 2
