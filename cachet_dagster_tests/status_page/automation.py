"""Ticks of the real sensors and schedules, as the definitions have them, and the runs that they request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from dagster import (
    DagsterRun,
    DagsterRunStatus,
    ExecuteInProcessResult,
    RepositoryDefinition,
    RunRequest,
    build_schedule_context,
    build_sensor_context,
    materialize,
)
from dagster._core.utils import make_new_run_id

from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.tables_asset import tables_asset

from .dagster_runs import QUIET, Project


class Automation(Project):
    """A project whose sensors are ticked by hand, with their cursors kept as Dagster's daemon keeps them."""

    def __init__(self, folder: Path, base_url: str | None, token: str | None = None, **values: Any):
        super().__init__(folder, base_url, token, **values)
        self.cursors: dict[str, str | None] = {}

    def set(self, **values: Any) -> None:
        """Set something of the page."""
        super().set(**values)
        self.__dict__.pop("repository", None)

    @cached_property
    def repository(self) -> RepositoryDefinition:
        """What Dagster has of the page."""
        return page_definitions(self.page).get_repository_def()

    def tick(self, sensor: str, *, lost: bool = False) -> Any:
        """Evaluate a sensor; the cursor of a tick that is `lost` is not kept."""
        with build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=self.repository,
            sensor_name=sensor,
        ) as context:
            ticked = self.repository.get_sensor_def(sensor).evaluate_tick(context)
        if not lost:
            self.cursors[sensor] = ticked.cursor
        return ticked

    def scheduled(self, schedule: str, at: datetime | None = None) -> Any:
        """Evaluate a schedule's tick."""
        with build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=at or datetime.now(timezone.utc),
            repository_def=self.repository,
        ) as context:
            return self.repository.get_schedule_def(schedule).evaluate_tick(context)

    def launch(self, request: RunRequest, job: str | None = None) -> ExecuteInProcessResult:
        """Run what was requested, in this process; a failure is in the result."""
        definition = self.repository.get_job(request.job_name or job or "")
        return definition.execute_in_process(
            instance=self.instance,
            run_config={**QUIET, **request.run_config},
            tags=request.tags,
            raise_on_error=False,
        )

    def load_metrics_as(self, job: str) -> ExecuteInProcessResult:
        """Load the list of metrics alone, in a run with the tags of a job that loads every table."""
        return materialize(
            [tables_asset(self.page)],
            selection=[self.page.asset_key("metrics")],
            instance=self.instance,
            run_config=QUIET,
            tags=self.repository.get_job(job).tags,
        )

    def under_way(
        self, job: str, *, only: Sequence[str] = (), begun: datetime | None = None, **tags: str
    ) -> DagsterRun:
        """Record a run of a job, or of some tables only, that has begun and has not ended."""
        run = DagsterRun(
            job_name=job,
            run_id=make_new_run_id(),
            status=DagsterRunStatus.STARTED,
            tags=tags,
            asset_selection=frozenset(self.page.asset_key(table) for table in only) or None,
        )
        return self.instance.run_storage.add_historical_run(run, begun or datetime.now(timezone.utc))

    def ended(self, run: DagsterRun) -> None:
        """Record that it has ended."""
        self.instance.report_run_canceled(run)


def sync(project: Automation, job: str = "cachet_sync") -> ExecuteInProcessResult:
    """Run a job that loads the tables."""
    return project.launch(RunRequest(job_name=job))


def points(project: Automation, **config: object) -> ExecuteInProcessResult:
    """Run the job that loads the points of all metrics."""
    run_config = {"ops": {"cachet_load_all_points": {"config": config}}}
    return project.launch(RunRequest(job_name="cachet_all_points", run_config=run_config))


def partition_range(request: RunRequest) -> tuple[str, str]:
    """Return the first and the last partition that a run is requested for."""
    tags = request.tags
    return tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]
