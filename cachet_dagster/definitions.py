"""The map: every asset, check, job, schedule, sensor and resource that exists, on one page."""

import warnings

from dagster import (
    BetaWarning,
    Definitions,
    in_process_executor,
    map_asset_specs,
    with_source_code_references,
)

from cachet_dagster.status_page.assets import cachet_tables, metric_points
from cachet_dagster.status_page.checks import fresh
from cachet_dagster.status_page.jobs import (
    cachet_full_refresh,
    cachet_metric_points,
    cachet_reload_metrics,
    cachet_sync,
)
from cachet_dagster.status_page.resources import CachetResource, load_environment
from cachet_dagster.status_page.schedules import cachet_schedules
from cachet_dagster.status_page.sensors import (
    cachet_changes,
    cachet_metric_partitions,
    cachet_points_after_sync,
    failure_webhook,
)
from cachet_dagster.status_page.specs import server

_environment = load_environment()
_schedules = cachet_schedules(_environment)
_assets = map_asset_specs(fresh(_schedules), [server, cachet_tables, metric_points])
with warnings.catch_warnings():
    # That code references are a beta of Dagster's is no news to whoever starts it.
    warnings.simplefilter("ignore", BetaWarning)
    _assets = with_source_code_references(list(_assets))

defs = Definitions(
    assets=_assets,
    jobs=[cachet_sync, cachet_metric_points, cachet_full_refresh, cachet_reload_metrics],
    schedules=_schedules,
    sensors=[
        cachet_metric_partitions,
        cachet_changes,
        cachet_points_after_sync,
        failure_webhook(_environment),
    ],
    resources={"cachet": CachetResource()},
    # Each run is one op: a process of its own for it would only cost seconds.
    executor=in_process_executor,
)
