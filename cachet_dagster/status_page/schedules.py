"""When loads happen though nothing seems to have changed: hourly, and whole once a night if switched on.

Times come from the page's settings when the code location loads. It always loads: what cannot be used is
replaced by the default, and the schedule's description says so.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
)

from .housekeeping import HOUSEKEEPING, keep_runs
from .page import StatusPage
from .partitions import metric_keys
from .run_requests import (
    POINTS_JOB,
    all_points_request,
    make_pool_known,
    points_in_flight,
    points_since,
    sync_in_flight,
)
from .settings import OFF

Requested = RunRequest | SkipReason

HOUSEKEEPING_CRON = "45 4 * * *"

JUST_LOADED = timedelta(minutes=10)
"""How lately a run over all points, begun by other than their schedule, makes the schedule leave it at that."""


def page_schedules(page: StatusPage) -> list[ScheduleDefinition]:
    """Return the schedules of a page as its settings have them; one that is `off` is left out."""

    def sync(context: ScheduleEvaluationContext) -> Requested:
        busy = sync_in_flight(page, context.instance)
        return SkipReason(busy) if busy else RunRequest()

    def full_refresh(context: ScheduleEvaluationContext) -> Requested:
        # A sync under way is no reason to lose a night: the pool makes the refresh wait for it.
        busy = sync_in_flight(page, context.instance, full_only=True)
        return SkipReason(busy) if busy else RunRequest()

    found = [
        _schedule(
            page,
            "sync",
            sync,
            on=True,
            what="Load every endpoint but points; the points follow as a run of their own.",
        ),
        _schedule(
            page,
            POINTS_JOB,
            partial(_points, page),
            setting="points",
            name="metric_points",
            on=True,
            what="Load the points of all metrics, halfway between two syncs, which are followed by one as well.",
        )
        if page.has_points
        else None,
        _schedule(
            page,
            "full_refresh",
            full_refresh,
            on=False,
            what="Load everything, asking for every row by id and reading all points from the start.",
        ),
    ]
    if keep_runs(page):
        found.append(_housekeeping(page))
    return [schedule for schedule in found if schedule]


def _housekeeping(page: StatusPage) -> ScheduleDefinition:
    _days, bad = page.configuration.setting_or_default("keep_runs_days")
    zone, bad_zone = page.configuration.setting_or_default("schedule_timezone")
    setting = page.configuration.setting_name("keep_runs_days")
    set_by = f"Delete the page's old runs. After how many days is set by {setting}."
    return ScheduleDefinition(
        name=page.named(f"{HOUSEKEEPING}_schedule"),
        job_name=page.named(HOUSEKEEPING),
        cron_schedule=HOUSEKEEPING_CRON,
        execution_timezone=zone,
        default_status=DefaultScheduleStatus.RUNNING,
        description=" ".join([set_by, *bad, *bad_zone]),
    )


def _schedule(
    page: StatusPage,
    job: str,
    evaluate: Callable[[ScheduleEvaluationContext], Requested],
    *,
    on: bool,
    what: str,
    setting: str = "",
    name: str = "",
) -> ScheduleDefinition | None:
    def requested(context: ScheduleEvaluationContext) -> Requested:
        request = evaluate(context)
        if isinstance(request, RunRequest):
            make_pool_known(page, context.instance)
        return request

    setting = f"{setting or job}_cron"
    if getattr(page.load_time, setting).strip().lower() == OFF:
        return None
    zone, bad_zone = page.configuration.setting_or_default("schedule_timezone")
    cron, bad_cron = page.configuration.setting_or_default(setting)
    set_by = f"Its time is set by {page.configuration.setting_name(setting)}."
    return ScheduleDefinition(
        name=page.named(f"{name or job}_schedule"),
        job_name=page.named(job),
        cron_schedule=cron,
        execution_timezone=zone,
        execution_fn=requested,
        default_status=DefaultScheduleStatus.RUNNING if on else DefaultScheduleStatus.STOPPED,
        description=" ".join([what, set_by, *bad_cron, *bad_zone]),
    )


def _points(page: StatusPage, context: ScheduleEvaluationContext) -> Requested:
    keys = metric_keys(page, context.instance)
    if not keys:
        return SkipReason("there are no metric partitions yet: a sync or the sensor adds them")
    now = context.scheduled_execution_time
    reason = points_in_flight(page, context.instance) or points_since(
        page, context.instance, now - JUST_LOADED, exclude_schedule=page.named("metric_points_schedule")
    )
    return SkipReason(reason) if reason else all_points_request(page)
