"""The map: every asset, check, job, schedule, sensor and resource that exists, on one page."""

from dagster import Definitions

from cachet_dagster.defs.assets import cachet_tables, metric_points
from cachet_dagster.defs.jobs import (
    cachet_full_refresh,
    cachet_metric_points,
    cachet_reload_metrics,
    cachet_sync,
)
from cachet_dagster.defs.resources import CachetResource, load_environment
from cachet_dagster.defs.schedules import cachet_schedules
from cachet_dagster.defs.sensors import (
    cachet_changes,
    cachet_metric_partitions,
    cachet_points_after_sync,
    failure_webhook,
)
from cachet_dagster.defs.specs import server

_environment = load_environment()

defs = Definitions(
    assets=[server, cachet_tables, metric_points],
    jobs=[cachet_sync, cachet_metric_points, cachet_full_refresh, cachet_reload_metrics],
    schedules=cachet_schedules(_environment),
    sensors=[
        cachet_metric_partitions,
        cachet_changes,
        cachet_points_after_sync,
        failure_webhook(_environment),
    ],
    resources={"cachet": CachetResource()},
)
