"""The project's jobs as other processes find them: functions of a module, each run by the executor it names."""

from __future__ import annotations

from dagster import Definitions, ExecutorDefinition, JobDefinition, in_process_executor, multiprocess_executor

from cachet_dagster.definitions import defs


def _with(executor: ExecutorDefinition, name: str) -> JobDefinition:
    return Definitions.merge(defs, Definitions(executor=executor)).resolve_job_def(name)


def tables_job() -> JobDefinition:
    """Return the sync, each step in a process of its own."""
    return _with(multiprocess_executor, "cachet_sync")


def tables_job_in_process() -> JobDefinition:
    """Return the sync, in the process that runs it."""
    return _with(in_process_executor, "cachet_sync")


def points_job_in_process() -> JobDefinition:
    """Return the points, in the process that runs it."""
    return _with(in_process_executor, "cachet_metric_points")
