"""The project's jobs as other processes find them: functions of a module, each run by the executor it names."""

from __future__ import annotations

from dagster import Definitions, JobDefinition, in_process_executor, multiprocess_executor

from cachet_dagster.definitions import defs


def _with(executor: object, name: str) -> JobDefinition:
    return Definitions.merge(defs, Definitions(executor=executor)).resolve_job_def(name)  # pyright: ignore


def tables_job() -> JobDefinition:
    """Return the sync, each step in a process of its own."""
    return _with(multiprocess_executor, "cachet_sync")


def points_job() -> JobDefinition:
    """Return the points, each step in a process of its own."""
    return _with(multiprocess_executor, "cachet_metric_points")


def tables_job_in_process() -> JobDefinition:
    """Return the sync, in the process that runs it."""
    return _with(in_process_executor, "cachet_sync")
