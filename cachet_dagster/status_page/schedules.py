"""When loads happen though nothing seems to have changed: hourly, and whole once a night if switched on.

Times come from the environment when the code location loads. It always loads: what cannot be used is
replaced by the default, and the schedule's description says so.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import islice

from dagster import (
    DagsterInvalidDefinitionError,
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
)
from dagster._utils.schedules import cron_string_iterator

from .jobs import cachet_full_refresh, cachet_metric_points, cachet_sync
from .partitions import metric_keys
from .run_requests import points_in_flight, points_request, points_since, sync_in_flight

logger = logging.getLogger("cachet_dagster")

Requested = RunRequest | SkipReason

SYNC_CRON = "0 * * * *"
POINTS_CRON = "30 * * * *"
FULL_REFRESH_CRON = "15 3 * * *"
TIMEZONE = "UTC"

JUST_LOADED = timedelta(minutes=10)
"""How lately a run over all points, begun by other than their schedule, makes the schedule leave it at that."""

_POINTS_SCHEDULE = "cachet_metric_points_schedule"


def cachet_schedules(environment: Mapping[str, str]) -> list[ScheduleDefinition]:
    """Return the schedules as the environment sets them.

    Args:
        environment: `CACHET_SYNC_CRON`, `CACHET_POINTS_CRON` and `CACHET_FULL_REFRESH_CRON` are cron
            expressions, `CACHET_SCHEDULE_TIMEZONE` is the IANA name of the zone that they are read in.
    """

    def scheduled(
        job_name: str, variable: str, default: str, evaluate: Callable[..., Requested], *, on: bool, what: str
    ) -> ScheduleDefinition:
        zone, bad_zone = _usable(environment, "CACHET_SCHEDULE_TIMEZONE", TIMEZONE, _is_zone)
        cron, bad_cron = _usable(environment, variable, default, _is_cron)
        return ScheduleDefinition(
            name=f"{job_name}_schedule",
            job_name=job_name,
            cron_schedule=cron,
            execution_timezone=zone,
            execution_fn=evaluate,
            default_status=DefaultScheduleStatus.RUNNING if on else DefaultScheduleStatus.STOPPED,
            description=" ".join([what, f"Its time is set by {variable}.", *bad_cron, *bad_zone]),
        )

    return [
        scheduled(
            cachet_sync.name,
            "CACHET_SYNC_CRON",
            SYNC_CRON,
            _sync,
            on=True,
            what="Load every endpoint but points; the points follow as a run of their own.",
        ),
        scheduled(
            cachet_metric_points.name,
            "CACHET_POINTS_CRON",
            POINTS_CRON,
            _points,
            on=True,
            what="Load the points of all metrics, halfway between two syncs, which are followed by one as well.",
        ),
        scheduled(
            cachet_full_refresh.name,
            "CACHET_FULL_REFRESH_CRON",
            FULL_REFRESH_CRON,
            _full_refresh,
            on=False,
            what="Load everything, asking for every row by id and reading all points from the start.",
        ),
    ]


def _sync(context: ScheduleEvaluationContext) -> Requested:
    busy = sync_in_flight(context.instance)
    return SkipReason(busy) if busy else RunRequest()


def _full_refresh(context: ScheduleEvaluationContext) -> Requested:
    # A sync under way is no reason to lose a night: the pool makes the refresh wait for it.
    busy = sync_in_flight(context.instance, full_only=True)
    return SkipReason(busy) if busy else RunRequest()


def _points(context: ScheduleEvaluationContext) -> Requested:
    keys = metric_keys(context.instance)
    if not keys:
        return SkipReason("there are no metric partitions yet: a sync or the sensor adds them")
    now = context.scheduled_execution_time
    reason = points_in_flight(context.instance) or points_since(
        context.instance, now - JUST_LOADED, but_by=_POINTS_SCHEDULE
    )
    return SkipReason(reason) if reason else points_request(keys, all_keys=True)


def _usable(
    environment: Mapping[str, str], variable: str, default: str, check: Callable[[str], bool]
) -> tuple[str, list[str]]:
    """Return a variable's value, or the default and a sentence that says why."""
    text = environment.get(variable, "").strip()
    if not text or check(text):
        return text or default, []
    said = f"{variable} is {text!r}, which cannot be used: `{default}` is used instead."
    logger.warning(said)
    return default, [said]


def _is_cron(text: str) -> bool:
    return _is_valid(text)


def _is_zone(text: str) -> bool:
    return _is_valid(SYNC_CRON, text)


def _is_valid(cron: str, zone: str | None = None) -> bool:
    """Return whether Dagster would take it and find ticks, which decides whether the code location loads.

    A schedule for the 31st of April can be defined: that it never comes shows only where its ticks are computed.
    """
    try:
        ScheduleDefinition(name="valid", job_name="valid", cron_schedule=cron, execution_timezone=zone)
        ticks = cron_string_iterator(time.time(), cron, zone)
        return len(list(islice(ticks, 2))) == 2
    except (DagsterInvalidDefinitionError, ValueError):  # the latter from croniter
        return False
