"""The map: every asset, check, job, schedule, sensor and resource that exists, on one page."""

from dagster import Definitions

from cachet_dagster.defs.assets import cachet_tables, metric_points
from cachet_dagster.defs.jobs import (
    cachet_full_refresh,
    cachet_metric_points,
    cachet_reload_metrics,
    cachet_sync,
)
from cachet_dagster.defs.resources import CachetResource
from cachet_dagster.defs.specs import server

defs = Definitions(
    assets=[server, cachet_tables, metric_points],
    jobs=[cachet_sync, cachet_metric_points, cachet_full_refresh, cachet_reload_metrics],
    resources={"cachet": CachetResource()},
)
