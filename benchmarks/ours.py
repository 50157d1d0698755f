"""This project as a contender: its source through dlt alone, and the same through its Dagster assets in process.

One decision shapes it: everything is done as a user would do it, with the defaults, through `cachet_source` and
`cachet_dagster.definitions`; nothing here reaches into the project.
"""

from __future__ import annotations

from benchmarks.contender import Bench, Work

_TABLES = {
    "metric_points": """
        SELECT id, metric_id, value, counter, epoch(created_at)::BIGINT AS created_at
        FROM cachet_data.metric_points""",
    "incidents": "SELECT id, name, status, epoch(created_at)::BIGINT AS created_at FROM cachet_data.incidents",
    "incident_updates": """
        SELECT id, incident_id, status, epoch(created_at)::BIGINT AS created_at
        FROM cachet_data.incident_updates""",
    "incident_components": """
        SELECT incident_id, component_id, component_status FROM cachet_data.incident_components""",
}


def _dlt(bench: Bench, *resources: str) -> Work:
    import dlt

    from cachet_dagster.source import cachet_source

    database = bench.folder / "cachet.duckdb"
    pipeline = dlt.pipeline(
        "cachet_pipeline",
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
    return _dlt(bench, "incidents", "incident_updates", "incident_components", "incidents_by_id")
