"""Everything that Dagster has of one page, put together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from dagster import BetaWarning, Definitions, map_asset_specs, with_source_code_references

from cachet_dagster.source.destinations import builds_models

from .analytics_assets import history_specs, models_asset
from .checks import with_freshness
from .jobs import page_jobs
from .page import StatusPage
from .points_asset import points_asset
from .reports import report_asset
from .schedules import page_schedules
from .sensors import page_sensors
from .specs import server_spec
from .tables_asset import tables_asset


def page_definitions(page: StatusPage) -> Definitions:
    """Return the assets, checks, jobs, schedules and sensors of a page, which merge with anybody else's.

    Every name begins with the page's; no resource, executor or logger is set for others.
    """
    schedules = page_schedules(page)
    assets: list[Any] = [server_spec(page), tables_asset(page)]
    if page.has_points:
        assets.append(points_asset(page))
    assets += history_specs(page)
    if builds_models(page.load_time.destination):
        assets += [models_asset(page), report_asset(page)]
    fresh = map_asset_specs(with_freshness(page, schedules), assets)
    return Definitions(
        assets=_with_code(fresh), jobs=page_jobs(page), schedules=schedules, sensors=page_sensors(page)
    )


def _with_code(assets: Iterable[Any]) -> Sequence[Any]:
    with warnings.catch_warnings():
        # That code references are a beta of Dagster's is no news to whoever starts it.
        warnings.simplefilter("ignore", BetaWarning)
        return with_source_code_references(list(assets))
