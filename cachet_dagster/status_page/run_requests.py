"""What sensors and schedules ask for, and when they had better not: the runs they request, and runs in flight.

A request that comes while such a run is under way is put off rather than queued, because the run that
follows reads everything anyway. What really keeps two loads apart are the pools and the database's lock.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRequest, RunsFilter

from .page import PAGE_TAG, StatusPage

FULL_REFRESH_TAG = "cachet/full_refresh"
CHANGED_TAG = "cachet/changed"
PARTITIONS_TAG = "cachet/partitions"
ALL = "all"

POINTS_JOB = "all_points"
"""What follows the page's name in that of the job that loads the points of all metrics."""

POINTS_OP = "load_all_points"
"""The same of its op's name."""

GIVEN_UP = timedelta(hours=6)
"""Age at which an unfinished run is no longer waited for: a process that was killed leaves its run unfinished."""

_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
_TAG_LENGTH = 255


def sync_in_flight(page: StatusPage, instance: DagsterInstance, *, full_only: bool = False) -> str | None:
    """Return why a sync has to wait: a run that loads tables is under way. None where there is none.

    Args:
        page: The page; runs of others do not count.
        instance: Where runs are kept.
        full_only: Whether only a full refresh counts.
    """
    full, sync = page.named("full_refresh"), page.named("sync")
    jobs = {full} if full_only else {full, sync}
    tables = {page.asset_key(table.name) for table in page.whole_tables}
    for run in _unfinished(instance):
        by_hand = not full_only and not tables.isdisjoint(run.asset_selection or ())
        if run.job_name in jobs or by_hand:
            return _reason(run)
    return None


def points_in_flight(page: StatusPage, instance: DagsterInstance) -> str | None:
    """Return why a load of all points has to wait: such a run is under way. None where there is none."""
    runs = _unfinished(instance, {PARTITIONS_TAG: ALL})
    return next((_reason(run) for run in runs if _loads_points(page, run)), None)


def points_since(
    page: StatusPage, instance: DagsterInstance, since: datetime, *, exclude_schedule: str
) -> str | None:
    """Return why a load of all points is needless: one began since. None where there is none.

    Args:
        page: The page; runs of others do not count.
        instance: Where runs are kept.
        since: When it must have begun at the latest (aware).
        exclude_schedule: Name of the schedule whose own runs do not count.
    """
    runs = instance.get_runs(
        RunsFilter(tags={PARTITIONS_TAG: ALL}, statuses=[DagsterRunStatus.SUCCESS], created_after=since)
    )
    others = [
        run
        for run in runs
        if _loads_points(page, run) and run.tags.get("dagster/schedule_name") != exclude_schedule
    ]
    return f"run {others[0].run_id[:8]} has just loaded all points" if others else None


def make_pool_known(page: StatusPage, instance: DagsterInstance) -> None:
    """Give the page's pool its limit before runs of it are requested; one that it has already stays.

    Dagster's queue does so at its first look at a run of a pool, but keeps runs back only from the next look on: the
    first two runs of a page, requested at one moment, would run at once.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits or instance.global_op_concurrency_default_limit is None:
        return
    if page.pool in storage.get_concurrency_keys():
        return
    try:
        storage.initialize_concurrency_limit_to_default(page.pool)
    except Exception:
        # Another tick, or the queue, was quicker: on PostgreSQL Dagster's own second try then fails.
        if page.pool not in storage.get_concurrency_keys():
            raise


def new_points_request(
    page: StatusPage, keys: Sequence[str], *, all_keys: bool, run_key: str | None = None
) -> RunRequest:
    """Return the request of one run over a range of metric partitions.

    Args:
        page: The page.
        keys: The partitions, in the order in which they were added, without a gap.
        all_keys: Whether these are all there are.
        run_key: What Dagster tells the same request by.
    """
    return RunRequest(
        job_name=page.named("metric_points"),
        run_key=run_key,
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
            PAGE_TAG: page.name,
            PARTITIONS_TAG: ALL if all_keys else f"{len(keys)} new",
        },
    )


def all_points_request(
    page: StatusPage, *, run_key: str | None = None, full_refresh: bool = False
) -> RunRequest:
    """Return the request of one run over the points of all metrics.

    Args:
        page: The page.
        run_key: What Dagster tells the same request by.
        full_refresh: Whether points are read from the start.
    """
    config = {"ops": {page.named(POINTS_OP): {"config": {"full_refresh": True}}}}
    return RunRequest(
        job_name=page.named(POINTS_JOB),
        run_key=run_key,
        run_config=config if full_refresh else {},
        tags={
            PAGE_TAG: page.name,
            PARTITIONS_TAG: ALL,
            **({FULL_REFRESH_TAG: "true"} if full_refresh else {}),
        },
    )


def shortened(parts: Iterable[tuple[str, Sequence[int]]]) -> str:
    """Return lists of ids as a tag has room for them: `incidents 301,302; components 4`."""
    said = []
    for name, ids in parts:
        shown = ",".join(map(str, ids[:5]))
        said.append(f"{name} {shown}" + (f" and {len(ids) - 5} more" if len(ids) > 5 else ""))
    return "; ".join(said)[:_TAG_LENGTH]


def _unfinished(instance: DagsterInstance, tags: dict[str, str] | None = None) -> Sequence[DagsterRun]:
    since = datetime.now(timezone.utc) - GIVEN_UP
    return instance.get_runs(RunsFilter(statuses=_UNFINISHED, created_after=since, tags=tags or {}))


def _loads_points(page: StatusPage, run: DagsterRun) -> bool:
    return run.job_name in (page.named("metric_points"), page.named(POINTS_JOB))


def _reason(run: DagsterRun) -> str:
    return f"run {run.run_id[:8]} ({run.job_name}) is still {run.status.value.lower()}"
