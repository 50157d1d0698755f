"""The jobs of a page: a sync of everything but points, the points of all metrics as one run, and reloads.

Points have a run of their own, because an endpoint that fails in a sync ends its run, and what lies
downstream in the same run would then not be loaded. Each job brings its executor: a run is one op, for which a
process of its own would only cost seconds, and nothing is imposed on other jobs of the code location.

Dagster writes an event for each check and each partition that a run plans (13 ms and 2 kB each), whether or not it is
due. So the sync plans no checks, and the points of all metrics are a job of an op; another job takes a selection of
partitions.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dagster import (
    AssetSelection,
    JobDefinition,
    OpExecutionContext,
    define_asset_job,
    in_process_executor,
    job,
    op,
)

from .failures import connected
from .housekeeping import housekeeping_job, keep_runs
from .page import StatusPage
from .points_asset import PointsConfig, load_metric_points
from .run_requests import ALL, FULL_REFRESH_TAG, PARTITIONS_TAG, POINTS_JOB, POINTS_OP

_IN_PROCESS: dict[str, Any] = {"executor_def": in_process_executor}


def page_jobs(page: StatusPage) -> Sequence[Any]:
    """Return the jobs of a page."""
    keep = keep_runs(page)
    return [
        *_table_jobs(page),
        *(_points_jobs(page) if page.has_points else ()),
        *([housekeeping_job(page, keep)] if keep else ()),
    ]


def _table_jobs(page: StatusPage) -> list[Any]:
    """Return the jobs of all tables but the points."""
    tables = AssetSelection.assets(
        *(page.asset_key(table.name) for table in page.whole_tables)
    ).without_checks()
    return [
        define_asset_job(
            page.named("sync"),
            tables,
            tags=page.run_tags,
            description="Load every endpoint but the points of metrics, and check the tables that changed.",
            **_IN_PROCESS,
        ),
        define_asset_job(
            page.named("full_refresh"),
            tables,
            config={"ops": {page.named("tables"): {"config": {"full_refresh": True}}}},
            tags={**page.run_tags, FULL_REFRESH_TAG: "true"},
            description="Load every endpoint, and read how each incident and schedule hit its components, whatever is "
            "stored; all points are read again after it.",
            **_IN_PROCESS,
        ),
    ]


def _points_jobs(page: StatusPage) -> list[Any]:
    """Return the jobs of the points: of a selection of partitions, of all metrics, and of a list of them."""
    return [
        define_asset_job(
            page.named("metric_points"),
            AssetSelection.assets(page.asset_key("metric_points")),
            partitions_def=page.partitions,
            tags=page.run_tags,
            description="Load the points of the partitions selected, in one run.",
            **_IN_PROCESS,
        ),
        _points_job(
            page,
            POINTS_JOB,
            page.named(POINTS_OP),
            tags={**page.run_tags, PARTITIONS_TAG: ALL},
            description="Load the points of all metrics in one run. Partitions with news are recorded.",
        ),
        _points_job(
            page,
            "reload_metrics",
            page.named("reload"),
            tags=page.run_tags,
            description="Load the points of a list of metrics in one run, where a backfill would take a run for "
            "each key that stands alone. With `full_refresh` their points are read from the start.",
        ),
    ]


def _points_job(
    page: StatusPage, name: str, op_name: str, *, tags: Mapping[str, str], description: str
) -> JobDefinition:
    @op(name=op_name, out={}, pool=page.pool)
    def load_points(context: OpExecutionContext, config: PointsConfig) -> Iterator[Any]:
        """Load the points of the metrics named in the config, of all where none is."""
        with connected(page, context.log.info) as connection:
            yield from load_metric_points(page, context, connection, config.metric_ids, config)

    @job(
        name=page.named(name),
        executor_def=in_process_executor,
        tags=tags,
        description=description,
    )
    def points_job() -> None:
        load_points()

    return points_job
