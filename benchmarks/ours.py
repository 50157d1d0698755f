"""This project as a contender: its source through dlt alone, and through its Dagster assets in process.

One decision shapes it: everything is done as a user would do it, with the defaults, through `cachet_source`
and `cachet_dagster.definitions`; nothing here reaches into the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.contender import Bench, Work

_TABLES = {
    "metric_points": """
        SELECT id, metric_id, value, counter, epoch(created_at)::BIGINT AS created_at
        FROM cachet_data.metric_points""",
    "incidents": """
        SELECT id, name, status, epoch(created_at)::BIGINT AS created_at FROM cachet_data.incidents""",
    "incident_updates": """
        SELECT id, incident_id, status, epoch(created_at)::BIGINT AS created_at
        FROM cachet_data.incident_updates""",
    "incident_components": """
        SELECT incident_id, component_id, component_status FROM cachet_data.incident_components""",
}
_INCIDENTS = ("incidents", "incident_updates", "incident_components", "incidents_by_id")


def _dlt(bench: Bench, *resources: str) -> Work:
    import dlt

    from cachet_dagster.source import cachet_source

    database = bench.folder / "cachet.duckdb"
    pipeline = dlt.pipeline(
        "cachet_pipeline",
        pipelines_dir=str(bench.folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="cachet_data",
    )

    def run() -> None:
        source = cachet_source(base_url=bench.url).with_resources(*resources)
        pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()

    return Work(run, database, _TABLES)


def dlt_points(bench: Bench) -> Work:
    return _dlt(bench, "metrics", "metric_points")


def dlt_no_news(bench: Bench) -> Work:
    work = dlt_points(bench)
    work.run()
    return work


def dlt_incidents(bench: Bench) -> Work:
    return _dlt(bench, *_INCIDENTS)


class _Dagster:
    """An instance with a fresh SQLite storage, and the project's definitions, pointed at the server."""

    def __init__(self, bench: Bench) -> None:
        self.database = bench.folder / "cachet.duckdb"
        os.environ["CACHET_BASE_URL"] = bench.url
        os.environ["CACHET_DATABASE"] = str(self.database)
        import dagster as dg

        from cachet_dagster.definitions import defs

        self.instance = dg.DagsterInstance.local_temp(str(bench.folder))
        self.key = lambda table: dg.AssetKey(["cachet", table])
        self.job = defs.resolve_implicit_global_asset_job_def()
        self.points_job = defs.resolve_job_def("cachet_all_points")

    def materialize(self, *tables: str) -> None:
        keys = [self.key(table) for table in tables]
        self.job.execute_in_process(instance=self.instance, asset_selection=keys)

    def add_partitions(self) -> None:
        """As a user does: loading `metrics` adds a partition for each."""
        self.materialize("metrics")

    def materialize_points(self) -> None:
        """As the schedule and the sensor do."""
        self.points_job.execute_in_process(instance=self.instance)

    def points(self) -> Work:
        self.add_partitions()
        return Work(self.materialize_points, self.database, _TABLES, self.notes)

    def notes(self) -> dict:
        return {
            "partitions materialized": len(
                self.instance.get_materialized_partitions(self.key("metric_points"))
            )
        }


def dagster_points(bench: Bench) -> Work:
    return _Dagster(bench).points()


def dagster_no_news(bench: Bench) -> Work:
    work = dagster_points(bench)
    work.run()
    return work


def dagster_incidents(bench: Bench) -> Work:
    dagster = _Dagster(bench)
    return Work(lambda: dagster.materialize(*_INCIDENTS), dagster.database, _TABLES)


def dagster_partitions(bench: Bench) -> Work:
    """As `dagster_points`; notes how long adding the partitions and loading the code location take, too."""
    dagster = _Dagster(bench)
    started = time.perf_counter()
    work = dagster.points()
    adding = time.perf_counter() - started

    def notes() -> dict:
        started = time.perf_counter()
        load = "from cachet_dagster.definitions import defs; defs.get_repository_def().load_all_definitions()"
        subprocess.run([sys.executable, "-c", load], check=True)
        return {
            **work.notes(),
            "seconds to read the metrics and add their partitions": round(adding, 2),
            "seconds to load the code location, start of Python included": round(
                time.perf_counter() - started, 2
            ),
        }

    return Work(work.run, work.database, work.tables, notes)
