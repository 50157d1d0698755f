"""Dagster's own sensor daemon over the real code location, for a few rounds, in a process of its own.

`python -m cachet_dagster_tests.status_page.daemon FOLDER` leaves what happened in `rounds.json` there. It is a
process because the code location takes its settings from the environment that it is started in.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import SensorInstigatorData
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.sensor import execute_sensor_iteration


class Daemon:
    """The sensor daemon's rounds, without the pauses between them."""

    def __init__(self, context: WorkspaceProcessContext):
        self.context = context
        self.instance = context.instance

    def round(self) -> list[DagsterRun]:
        """Tick every sensor that is switched on, and return the runs that were requested for it."""
        before = {run.run_id for run in self.instance.get_runs()}
        for error in execute_sensor_iteration(self.context, logging.getLogger("daemon"), None, None):
            assert error is None or not hasattr(error, "message"), error
        return [run for run in self.instance.get_runs() if run.run_id not in before]

    def forget(self, *, cursors: bool) -> None:
        """Make the sensors tick again at once, as if the cursors of their last tick had never been saved."""
        for state in self.instance.all_instigator_state():
            data = state.instigator_data
            if isinstance(data, SensorInstigatorData):
                keep = data.sensor_type is not None and (
                    not cursors or state.name not in ("cachet_changes", "cachet_metric_partitions")
                )
                fresh = SensorInstigatorData(
                    cursor=data.cursor if keep else None, sensor_type=data.sensor_type
                )
                self.instance.update_instigator_state(state.with_data(fresh))

    def run(self, run: DagsterRun) -> DagsterRunStatus:
        """Start a requested run where the code location is, and wait for its end."""
        self.instance.launch_run(run.run_id, self.context.create_request_context())
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = self.instance.get_run_by_id(run.run_id)
            if found and found.is_finished:
                return found.status
            time.sleep(0.2)
        raise TimeoutError(run.run_id)


def _summary(runs: list[DagsterRun]) -> dict[str, Any]:
    return {run.job_name: dict(run.tags) for run in runs}


def main(folder: str) -> dict[str, Any]:
    """Return what the rounds requested."""
    target = ModuleTarget("cachet_dagster.definitions", None, folder, "cachet")
    with (
        DagsterInstance.local_temp(folder) as instance,
        create_test_daemon_workspace_context(target, instance) as context,
    ):
        daemon = Daemon(context)
        first = daemon.round()
        daemon.forget(cursors=True)
        repeated = daemon.round()
        sync = next(run for run in first if run.job_name == "cachet_sync")
        ended = daemon.run(sync)
        # Nothing dequeues runs here, and points that are still to be loaded would be waited for.
        for queued in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED])):
            instance.report_run_canceled(queued)
        daemon.forget(cursors=False)
        after = daemon.round()
        return {
            "first": _summary(first),
            "repeated": _summary(repeated),
            "sync": sync.run_id,
            "ended": ended.value,
            "after": _summary(after),
        }


if __name__ == "__main__":
    Path(sys.argv[1], "rounds.json").write_text(json.dumps(main(sys.argv[1])))
