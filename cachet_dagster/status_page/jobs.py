"""The jobs: a sync of everything but points, the points of all metrics as one run, and reloads.

Points have a run of their own, because an endpoint that fails in a sync ends its run, and what lies
downstream in the same run would then not be loaded.
"""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetMaterialization,
    AssetSelection,
    OpExecutionContext,
    define_asset_job,
    job,
    op,
)

from .assets import API_POOL, PointsConfig, connected, load_metric_points
from .partitions import metric_partitions
from .resources import CachetResource
from .specs import asset_key, table_specs

_TABLES = AssetSelection.assets(*(spec.key for spec in table_specs()))

cachet_sync = define_asset_job(
    "cachet_sync", _TABLES, description="Load every endpoint but the points of metrics."
)

cachet_full_refresh = define_asset_job(
    "cachet_full_refresh",
    _TABLES,
    config={"ops": {"cachet_tables": {"config": {"full_refresh": True}}}},
    tags={"cachet/full_refresh": "true"},
    description="Load every endpoint, asking for each incident, component and schedule by id, whatever is "
    "stored; all points are read again after it.",
)

cachet_metric_points = define_asset_job(
    "cachet_metric_points",
    AssetSelection.assets(asset_key("metric_points")),
    partitions_def=metric_partitions,
    description="Load the points of the partitions selected, in one run.",
)


@op(out={}, pool=API_POOL)
def reload_metrics(
    context: OpExecutionContext, config: PointsConfig, cachet: CachetResource
) -> Iterator[AssetMaterialization | AssetCheckResult]:
    """Load the points of the metrics named in the config."""
    with connected(context.log.info, cachet) as connection:
        yield from load_metric_points(context, connection, config.metric_ids, config)


@job(
    description="Load the points of a list of metrics in one run, where a backfill would take a run for each "
    "key that stands alone. With `full_refresh` their points are read from the start."
)
def cachet_reload_metrics() -> None:
    """Load the points of the metrics named in the op's config."""
    reload_metrics()
