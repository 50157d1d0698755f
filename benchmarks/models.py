"""The models at the size that they are meant for: 20,000 incidents × 500 components × 3 years, 10 million points.

`python -m benchmarks.models` prints seconds and CPU seconds of a build and of its steps, those of DuckDB's own
`GROUP BY` over the same points, and the peak of memory.
"""

from __future__ import annotations

import resource
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import duckdb

from cachet_dagster.analytics.build import build_models
from cachet_dagster.analytics.model_settings import ModelSettings
from cachet_dagster.warehouse.duckdb_session import DuckDBSession

AS_OF = datetime(2026, 11, 24, tzinfo=timezone.utc)

PAGE = """
CREATE SCHEMA cachet_data;
CREATE TABLE cachet_data.components AS SELECT i AS id, 'Component ' || i AS name, 1 AS status, 1 AS latest_status,
    TRUE AS enabled, 1 + i % 20 AS component_group_id, TIMESTAMPTZ '2023-11-24 00:00+00' AS created_at,
    TIMESTAMPTZ '2023-11-24 00:00+00' AS updated_at FROM range(1, 501) AS t(i);
CREATE TABLE cachet_data.components_groups AS SELECT i AS id, 'Group ' || i AS name, 1 AS visible
    FROM range(1, 21) AS t(i);
CREATE TABLE cachet_data.incidents AS SELECT i AS id, 'Incident ' || i AS name, 1 AS visible,
    CASE WHEN i % 500 = 0 THEN 1 ELSE 4 END AS status, begins AS occurred_at, begins + INTERVAL 5 MINUTE AS created_at,
    begins + INTERVAL 3 HOUR AS updated_at, NULL::TIMESTAMPTZ AS published_at
    FROM (SELECT i, TIMESTAMPTZ '2023-11-24 00:00+00' + INTERVAL 1 SECOND * (hash(i) % 94000000)::BIGINT AS begins
    FROM range(1, 20001) AS t(i));
CREATE TABLE cachet_data.incident_updates AS SELECT i.id * 10 + k AS id, i.id AS incident_id,
    CASE WHEN i.id % 500 = 0 AND k = 4 THEN 3 ELSE k END AS status,
    i.occurred_at + INTERVAL 1 MINUTE * (k * (10 + hash(i.id) % 60))::BIGINT AS created_at
    FROM cachet_data.incidents AS i, range(2, 5) AS t(k);
CREATE TABLE cachet_data.incident_components AS SELECT i.id AS incident_id,
    1 + hash(i.id * 7 + k) % 500 AS component_id, 'Component' AS component_name,
    2 + hash(i.id + k) % 3 AS component_status FROM cachet_data.incidents AS i, range(0, 3) AS t(k);
CREATE TABLE cachet_data.metric_points AS SELECT i AS id, 1 + i % 50 AS metric_id,
    (hash(i) % 10000) / 10.0::DOUBLE AS value, 1 + i % 3 AS counter,
    TIMESTAMPTZ '2025-11-24 00:00+00' + INTERVAL 1 SECOND * (i * 3)::BIGINT AS created_at
    FROM range(10000000) AS t(i);
"""

OWN_ROLLUP = """
CREATE OR REPLACE TEMP TABLE own_rollup AS SELECT metric_id, date_trunc('{grain}', created_at) AS starts_at, count(*),
    sum(counter), sum(value * counter) / sum(counter), min(value), max(value), quantile_cont(value, 0.5),
    quantile_cont(value, 0.95) FROM cachet_data.metric_points GROUP BY ALL
"""


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder) / "models.duckdb")) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(PAGE)
        for which in ("first build", "second build"):
            began, spent = time.perf_counter(), time.process_time()
            session = DuckDBSession(connection, "cachet_data")
            built = build_models(session, session.dataset, settings=ModelSettings(as_of=AS_OF))
            seconds, cpu = time.perf_counter() - began, time.process_time() - spent
            rollup = built.seconds["metric_rollups"]
            print(
                f"{which}: {seconds:.2f} s ({cpu:.2f} s of CPU), {seconds - rollup:.2f} s beside the points' rollup"
            )
        for name, taken in sorted(built.seconds.items(), key=lambda item: -item[1])[:6]:
            print(f"  {name}: {taken:.2f} s, {built.rows.get(name, 0):,} rows")
        began = time.perf_counter()
        for grain in ("hour", "day", "month"):
            connection.execute(OWN_ROLLUP.format(grain=grain))
        own = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"DuckDB's own GROUP BY over the points: {own:.2f} s; the rollup takes {rollup / own:.2f} times that"
        )
        print(f"peak memory: {peak:,.0f} MB")


if __name__ == "__main__":
    main()
