"""The project's jobs as other processes find them: its definitions with the executor that a test is about."""

from __future__ import annotations

from dagster import Definitions, ExecutorDefinition, JobDefinition, in_process_executor, multiprocess_executor

from cachet_dagster.definitions import defs


def _with(executor: ExecutorDefinition) -> Definitions:
    return Definitions(assets=defs.assets, jobs=defs.jobs, resources=defs.resources, executor=executor)


multiprocess = _with(multiprocess_executor)
in_process = _with(in_process_executor)


def tables_job() -> JobDefinition:
    """Return the sync, each step in a process of its own."""
    return multiprocess.resolve_job_def("cachet_sync")


def tables_job_in_process() -> JobDefinition:
    """Return the sync, in the process that runs it."""
    return in_process.resolve_job_def("cachet_sync")


def points_job_in_process() -> JobDefinition:
    """Return the points, in the process that runs it."""
    return in_process.resolve_job_def("cachet_metric_points")
