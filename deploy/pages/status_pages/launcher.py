"""A container for each run, by Dagster's `DockerRunLauncher`, which leaves containers behind and names no reasons.

Only the daemon and the web server of `deploy/compose/run-containers.yaml` start runs by it.
"""

from typing import Any

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster_docker import DockerRunLauncher
from docker.errors import APIError


class RunContainers(DockerRunLauncher):
    """Start a run in a container, and remove those whose runs have ended.

    Docker's own `auto_remove` would remove a container before anybody can ask why it has ended.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Remove the containers of ended runs, and start one more."""
        super().launch_run(context)
        client = self._get_client(self.get_container_context(context.dagster_run))
        for container in client.containers.list(
            all=True, filters={"label": "dagster/run_id", "status": "exited"}
        ):
            run = self._instance.get_run_by_id(container.labels["dagster/run_id"])
            # Of a run that has not ended, Dagster's monitor has yet to see why its container has.
            if run is None or run.is_finished:
                remove(container)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether a run's container runs; where it was killed, say for what."""
        health = super().check_run_worker_health(run)
        container = self._get_container(run) if health.status == WorkerStatus.FAILED else None
        state = container.attrs["State"] if container else {}
        # Not every engine tells which kills were the kernel's, for memory.
        if container is None or not (state.get("OOMKilled") or state.get("ExitCode") == 137):
            return health
        limit = container.attrs["HostConfig"]["Memory"] / 2**20
        ended = "was out of memory" if state.get("OOMKilled") else "was killed, most likely out of memory"
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            msg=f"The run's container {ended}: its limit is {limit:.0f} MB. Each table is whole."
            " Raise mem_limit in dagster.yaml if it happens again.",
        )


def remove(container: Any) -> None:
    """Remove a container, unless somebody else is just removing it."""
    try:
        container.remove()
    except APIError as error:
        if error.status_code not in (404, 409):
            raise
