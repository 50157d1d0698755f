"""The environment's page's jobs as other processes find them, with the executor that a test is about."""

from __future__ import annotations

from dagster import JobDefinition, multiprocess_executor

from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.page import StatusPage


def _job(name: str) -> JobDefinition:
    return page_definitions(StatusPage.from_environment()).resolve_job_def(name)


def tables_job() -> JobDefinition:
    """Return the sync, each step in a process of its own."""
    return _job("cachet_sync").with_executor_def(multiprocess_executor)


def tables_job_in_process() -> JobDefinition:
    """Return the sync, in the process that runs it."""
    return _job("cachet_sync")


def points_job_in_process() -> JobDefinition:
    """Return the points, in the process that runs it."""
    return _job("cachet_metric_points")
