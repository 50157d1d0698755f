"""The jobs of a page: a sync of everything but points, the points of all metrics as one run, and reloads.

Points have a run of their own, because an endpoint that fails in a sync ends its run, and what lies
downstream in the same run would then not be loaded. Each job brings its executor: a run is one op, for which a
process of its own would only cost seconds, and nothing is imposed on other jobs of the code location.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetMaterialization,
    AssetSelection,
    JobDefinition,
    OpExecutionContext,
    define_asset_job,
    in_process_executor,
    job,
    op,
)

from .assets import PointsConfig, connected, load_metric_points
from .page import StatusPage
from .run_requests import FULL_REFRESH_TAG


def page_jobs(page: StatusPage) -> Sequence[Any]:
    """Return the jobs of a page."""
    tables = AssetSelection.assets(*(page.asset_key(table.name) for table in page.whole_tables))
    common: dict[str, Any] = {"executor_def": in_process_executor}
    jobs: list[Any] = [
        define_asset_job(
            page.named("sync"),
            tables,
            tags=page.run_tags,
            description="Load every endpoint but the points of metrics.",
            **common,
        ),
        define_asset_job(
            page.named("full_refresh"),
            tables,
            config={"ops": {page.named("tables"): {"config": {"full_refresh": True}}}},
            tags={**page.run_tags, FULL_REFRESH_TAG: "true"},
            description="Load every endpoint, asking for each incident, component and schedule by id, whatever is "
            "stored; all points are read again after it.",
            **common,
        ),
    ]
    if page.has_points:
        points = define_asset_job(
            page.named("metric_points"),
            AssetSelection.assets(page.asset_key("metric_points")),
            partitions_def=page.partitions,
            tags=page.run_tags,
            description="Load the points of the partitions selected, in one run.",
            **common,
        )
        jobs += [points, _reload_job(page)]
    return jobs


def _reload_job(page: StatusPage) -> JobDefinition:
    @op(name=page.reload_op, out={}, pool=page.pool)
    def reload_metrics(
        context: OpExecutionContext, config: PointsConfig
    ) -> Iterator[AssetMaterialization | AssetCheckResult]:
        """Load the points of the metrics named in the config."""
        with connected(page, context.log.info) as connection:
            yield from load_metric_points(page, context, connection, config.metric_ids, config)

    @job(
        name=page.named("reload_metrics"),
        executor_def=in_process_executor,
        tags=page.run_tags,
        description="Load the points of a list of metrics in one run, where a backfill would take a run for each "
        "key that stands alone. With `full_refresh` their points are read from the start.",
    )
    def reload_job() -> None:
        reload_metrics()

    return reload_job
