"""A page's old runs are deleted, with their events and logs: Dagster keeps each of them for ever, some 0.3 MB an hour.

A run is deleted only if it is the page's own (by its tag), ended long ago, and holds nothing that Dagster shows as
the present: not the newest event of an asset or of a partition, nor what a check said last. Runs that a person
starts over assets, and those of anybody else, carry no such tag and stay.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    JobDefinition,
    OpExecutionContext,
    RunsFilter,
    in_process_executor,
    job,
    op,
)
from sqlalchemy import inspect, text

from .checks import check_keys
from .page import PAGE_TAG, StatusPage
from .settings import OFF

HOUSEKEEPING = "housekeeping"
"""What follows the page's name in that of the job."""

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_AT_ONCE = 500
_CHECK_EXECUTIONS = "asset_check_executions"


def keep_runs(page: StatusPage) -> timedelta | None:
    """Return how long runs are kept, the default where that cannot be used; None for ever."""
    days, _ = page.configuration.setting_or_default("keep_runs_days")
    return None if days.lower() == OFF else timedelta(days=int(days))


def housekeeping_job(page: StatusPage, keep: timedelta) -> JobDefinition:
    """Return the job that deletes the page's runs that ended longer ago than `keep`."""

    @op(name=page.named("delete_old_runs"))
    def delete_old_runs(context: OpExecutionContext) -> None:
        """Delete the page's old runs, but those that hold what Dagster shows as the present."""
        deleted, kept = delete_runs(page, context.instance, datetime.now(timezone.utc) - keep)
        context.log.info(
            f"{deleted:,} runs older than {keep.days} days are deleted; {kept:,} as old hold the newest event of "
            "an asset, a partition or a check, and stay"
        )

    @job(
        name=page.named(HOUSEKEEPING),
        executor_def=in_process_executor,
        tags=page.run_tags,
        description=f"Delete this page's runs, with their events and logs, {keep.days} days after they were made, but "
        "those that hold the newest event of an asset, a partition or a check. Runs of others, and those that a person "
        "started over assets, stay.",
    )
    def housekeeping() -> None:
        delete_old_runs()

    return housekeeping


def delete_runs(page: StatusPage, instance: DagsterInstance, before: datetime) -> tuple[int, int]:
    """Delete the page's runs that were made before a time and have ended.

    Args:
        page: The page; runs without its tag are left alone.
        instance: Where runs are kept.
        before: The time (aware).

    Returns:
        How many were deleted, and how many stay since they hold something newest.
    """
    present = _Present(page, instance)
    deleted = kept = 0
    for run in _old_runs(page, instance, before):
        if present.holds(run):
            kept += 1
            continue
        instance.delete_run(run.run_id)
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        _delete_check_executions(instance, run)
        _delete_file(instance, run)
        deleted += 1
    return deleted, kept


def _old_runs(page: StatusPage, instance: DagsterInstance, before: datetime) -> list[DagsterRun]:
    """Return them all before any is deleted: the next ones are asked for by the last of those before."""
    wanted = RunsFilter(tags={PAGE_TAG: page.name}, statuses=_ENDED, created_before=before)
    runs: list[DagsterRun] = []
    while found := instance.get_runs(wanted, cursor=runs[-1].run_id if runs else None, limit=_AT_ONCE):
        runs += found
    return runs


@dataclass
class _Present:
    """Tells which runs hold what is newest of an asset, a partition or a check."""

    page: StatusPage
    instance: DagsterInstance
    _newest: dict[tuple[AssetKey, str | None], str] = field(default_factory=dict)
    _checks: set[str] = field(init=False)

    def __post_init__(self) -> None:
        keys = check_keys(self.page, [table.name for table in self.page.tables])
        found = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        self._checks = {record.run_id for record in found.values()}

    def holds(self, run: DagsterRun) -> bool:
        """Return whether a run holds something newest."""
        if run.run_id in self._checks:
            return True
        events = self.instance.get_records_for_run(
            run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION
        ).records
        for record in events:
            event = record.asset_materialization
            if event and self._newest_run(event.asset_key, event.partition) == run.run_id:
                return True
        return False

    def _newest_run(self, key: AssetKey, partition: str | None) -> str:
        at = (key, partition)
        if at not in self._newest:
            chosen = AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
            found = self.instance.fetch_materializations(chosen, limit=1).records
            self._newest[at] = found[0].run_id if found else ""
        return self._newest[at]


def _delete_check_executions(instance: DagsterInstance, run: DagsterRun) -> None:
    """Delete the rows by which checks are looked up: Dagster leaves them, 2 kB for each check of each run."""
    # Only storages in SQL have such a table, and a later Dagster may have another.
    connect = getattr(instance.event_log_storage, "index_connection", None)
    if connect:
        with connect() as connection:
            if inspect(connection).has_table(_CHECK_EXECUTIONS):
                of_run = text(f"DELETE FROM {_CHECK_EXECUTIONS} WHERE run_id = :run_id")
                connection.execute(of_run, {"run_id": run.run_id})


def _delete_file(instance: DagsterInstance, run: DagsterRun) -> None:
    """Delete the file that SQLite keeps for each run: Dagster empties it, and 124 kB stay."""
    # Only the storage in SQLite has such files.
    path_of = getattr(instance.event_log_storage, "path_for_shard", None)
    if path_of:
        path = Path(path_of(run.run_id))
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink(missing_ok=True)
