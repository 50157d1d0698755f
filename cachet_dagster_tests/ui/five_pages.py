"""A project of five status pages under a real `dagster dev`, loaded by their own sensors while a test lasts.

A Cachet 3 as its admin and as a guest, two datasets of one file; a Cachet 2; one that is down; and one that changes
with each request until it has been loaded. The project is laid out as `dg` has it: a folder with a `defs.yaml` each.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cachet_dagster.demo import DemoServer, World
from cachet_dagster_tests.changing import ChangingPage
from cachet_dagster_tests.conftest import ADMIN, serve_recorded
from cachet_dagster_tests.source.cachet2.test_cachet2 import TOKEN as TOKEN_2
from cachet_dagster_tests.source.cachet2.test_cachet2 import serving as serving_cachet2

from .dagster_dev import dagster_dev, graphql

MODULE = "status_pages.definitions"
LOCATION = f"/locations/{MODULE}"

REPOSITORY = {"repositoryLocationName": MODULE, "repositoryName": "__repository__"}

DEFINITIONS = """
from pathlib import Path

import dagster as dg

from cachet_dagster.project import project_definitions

defs = dg.Definitions.merge(
    project_definitions(Path(__file__).parent), dg.Definitions(executor=dg.in_process_executor)
)
"""

PYPROJECT = """
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "status_pages"
"""

SECONDS = 8
"""How often a sensor looks: often, so that a test need not wait for it."""

UNFINISHED = ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"]

RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter) { ... on Runs { results { jobName status } } }
}
"""
PARTITIONS = """
query Partitions($assetKey: AssetKeyInput!) {
  assetNodeOrError(assetKey: $assetKey) { ... on AssetNode { partitionKeys } }
}
"""
SENSORS = """
query Sensors($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) {
    ... on Sensors { results { id name sensorState { id } } }
  }
}
"""
STOP = """
mutation Stop($id: String!) { stopSensor(id: $id) { __typename } }
"""
LAUNCH = """
mutation Launch($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename
    ... on PythonError { message }
  }
}
"""


@dataclass
class FivePages:
    """The project while `dagster dev` runs it.

    Attributes:
        address: The UI's address.
        folder: Where the databases, the log and pictures are.
        changing: The page that changes.
        two: The Cachet 2.
    """

    address: str
    folder: Path
    changing: ChangingPage
    two: DemoServer

    def launch(self, job: str) -> None:
        """Launch a job as the UI's button does."""
        launched = graphql(self.address, LAUNCH, selector={**REPOSITORY, "jobName": job})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched

    def stop_sensors(self, unwanted: Callable[[str], bool]) -> None:
        """Switch off the sensors whose name is unwanted."""
        found = graphql(self.address, SENSORS, repository=REPOSITORY)["sensorsOrError"]["results"]
        for sensor in found:
            if unwanted(sensor["name"]):
                stopped = graphql(self.address, STOP, id=sensor["sensorState"]["id"])["stopSensor"]
                assert stopped["__typename"] == "StopSensorMutationResult", stopped

    def statuses(self) -> Mapping[str, list[str]]:
        """Return how the runs of each job went, the newest first."""
        found = defaultdict(list)
        for run in graphql(self.address, RUNS, filter={})["runsOrError"]["results"]:
            found[run["jobName"]].append(run["status"])
        return found

    def partitions(self, page: str) -> list[str]:
        """Return a page's metric partitions."""
        key = {"path": [page, "metric_points"]}
        return graphql(self.address, PARTITIONS, assetKey=key)["assetNodeOrError"]["partitionKeys"]

    def wait(self, what: str, so: Callable[[], bool], seconds: float = 300) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not so():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds} s; runs: {dict(self.statuses())}")
            time.sleep(0.5)

    def have_succeeded(self, *jobs: str) -> bool:
        """Return whether each job has a run that succeeded; raise where one of their runs failed."""
        statuses = self.statuses()
        assert not any("FAILURE" in statuses[job] for job in jobs), statuses
        return all("SUCCESS" in statuses[job] for job in jobs)

    def rest_after(self, *jobs: str) -> bool:
        """Return whether no run is unfinished, and the newest of each job has succeeded."""
        statuses = self.statuses()
        unfinished = [status for found in statuses.values() for status in found if status in UNFINISHED]
        return not unfinished and all(statuses[job][:1] == ["SUCCESS"] for job in jobs)


def written(folder: Path, pages: Mapping[str, dict[str, Any]]) -> Path:
    """Write a project with these pages, and return its folder."""
    package = folder / "project/status_pages"
    (package / "defs").mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)
    for name, attributes in pages.items():
        (package / "defs" / name).mkdir()
        page = {"type": "cachet_dagster.StatusPageComponent", "attributes": attributes}
        (package / "defs" / name / "defs.yaml").write_text(yaml.safe_dump(page))
    return package.parent


@contextmanager
def five_pages(folder: Path) -> Iterator[FivePages]:
    """Serve the pages, and run `dagster dev` over their project."""
    changing = ChangingPage()
    with ExitStack() as running:
        three = running.enter_context(serve_recorded())
        two = running.enter_context(serving_cachet2())
        alive = running.enter_context(changing.server())
        with DemoServer(World()) as gone:
            url_of_nobody = gone.url

        def page(url: str, database: str, token: str = "") -> dict[str, Any]:
            given = {"token_variable": token} if token else {}
            return {
                "base_url": url,
                "database": str(folder / f"{database}.duckdb"),
                "sensor_seconds": SECONDS,
                "attempts": 1,
                **given,
            }

        project = written(
            folder,
            {
                "admin": page(three.url, "shared", "ADMIN_TOKEN"),
                "guest": page(three.url, "shared"),
                "two": page(two.url, "two", "TWO_TOKEN"),
                "down": page(url_of_nobody, "down"),
                "changing": page(alive.url, "changing", "ADMIN_TOKEN"),
            },
        )
        environment = {
            "ADMIN_TOKEN": ADMIN,
            "TWO_TOKEN": TOKEN_2,
            "PYTHONPATH": os.pathsep.join([str(project), os.environ["PYTHONPATH"]]),
        }
        address = running.enter_context(dagster_dev(folder, environment, module=MODULE))
        yield FivePages(address, folder, changing, two)
