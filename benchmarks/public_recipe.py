"""The public recipe: dlt's generic `rest_api` source as dltHub's page on Cachet describes it, else defaults.

One decision shapes it: nothing is set that the page does not name (base URL, the `X-Cachet-Token` header, the
paths, the data selector), so paging is what `rest_api` detects by itself: one page of 15 after the other,
along `links.next`.

What it loses against a real Cachet 3, and does not notice: the token, since Cachet 3 ignores that header and
answers as to a guest (FACTS), so rows that only a token may see are missing; the order, since the points'
default order is no order, so on a busy server rows can repeat or vanish between pages; and `append` doubles
each row at the next load. Here, with public metrics on a server at rest and one load, every row arrives.
JSON:API's `attributes` stay nested: dlt flattens them to `attributes__id`, `attributes__created__string` (the
server's local time, taken for UTC) and so on, beside the envelope's `id` (text) and `type`, and
`attributes__created__human` makes each row differ at each load.
"""

from __future__ import annotations

import dlt
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import RESTAPIConfig

from benchmarks.contender import Bench, Work


def points(bench: Bench) -> Work:
    database = bench.folder / "recipe.duckdb"
    config: RESTAPIConfig = {
        "client": {
            "base_url": f"{bench.url}/api/",
            "auth": {
                "type": "api_key",
                "name": "X-Cachet-Token",
                "api_key": "benchmark",
                "location": "header",
            },
        },
        "resources": [
            {"name": "metrics", "endpoint": {"path": "metrics", "data_selector": "data"}},
            {
                "name": "metric_points",
                "endpoint": {"path": "metrics/{resources.metrics.id}/points", "data_selector": "data"},
            },
        ],
    }
    pipeline = dlt.pipeline(
        pipeline_name="cachet_pipeline",
        pipelines_dir=str(bench.folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="cachet_data",
    )
    source = rest_api_source(config)
    return Work(
        run=lambda: pipeline.run(source).raise_on_failed_jobs(),
        database=database,
        tables={
            "metric_points": """
                SELECT attributes__id AS id, attributes__metric_id AS metric_id,
                       attributes__value AS value, attributes__counter AS counter,
                       epoch(attributes__created__string)::BIGINT AS created_at
                FROM cachet_data.metric_points"""
        },
    )
