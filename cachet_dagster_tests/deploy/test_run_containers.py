"""A container for each run, by `deploy/compose/run-containers.yaml`, over podman's socket as over Docker's.

Location b's runs have less memory than they need, so that what is said of them is seen.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from dagster import DagsterRunStatus

from .cluster import FASTER, until
from .compose import compose, container
from .engine import Engine
from .images import PAGES, PAGES_IMAGE
from .test_hosts import UNDER_WAY

pytestmark = pytest.mark.containers

TOO_LITTLE = {"mem_limit": "120m"}


@contextlib.contextmanager
def docker_socket(engine: Engine) -> Iterator[Path]:
    """Serve Docker's API, and yield its socket, which is root's group's."""
    socket = engine.folder / "docker.sock"
    socket.unlink(missing_ok=True)
    service = subprocess.Popen(
        ["podman", "system", "service", "--time", "0", f"unix://{socket}"], env=engine.environment
    )
    try:
        until("the socket is there", socket.exists, within=30)
        socket.chmod(0o660)
        yield socket
    finally:
        service.terminate()
        service.wait(10)


def context(location: str, *tokens: str, **more: dict) -> dict:
    """Return what Compose is told of a location's runs."""
    told = {"docker": {"env_vars": [f"STATUS_PAGES={location}", *tokens], **more}}
    return {"environment": {"DAGSTER_CONTAINER_CONTEXT": json.dumps(told)}}


@pytest.fixture(scope="module")
def launched(images):
    """Return the runs of two locations, what containers they had, and what is left of those."""
    with docker_socket(images) as socket:
        variables = {"DOCKER_SOCKET": str(socket), "DOCKER_GROUP": "0", "IMAGE": f"{PAGES_IMAGE}:latest"}
        changes = {
            "a": context("a", "ACME_API_TOKEN", "OLD_API_TOKEN"),
            "b": context("b", "ACME_API_TOKEN", container_kwargs=TOO_LITTLE),
        }
        with compose(
            images, images.folder / "runs", settings=FASTER, source="compose/run-containers/dagster.yaml",
            more=["run-containers.yaml"], variables=variables, changes=changes,
        ) as services:  # fmt: skip
            services.start("daemon")
            seen: dict[str, dict] = {}

            def finished() -> bool:
                seen.update(described(images, seen))
                of_a = {run.job_name for run in services.runs(DagsterRunStatus.SUCCESS)}
                killed = [
                    run for run in services.runs(DagsterRunStatus.FAILURE) if run.job_name.startswith("b_")
                ]
                again = [run for run in killed if run.parent_run_id]
                return {"a_two_sync", "a_two_all_points", "a_sensors_sync"} <= of_a and bool(again)

            images.until(container("daemon"), "both locations' runs have ended", finished, within=900)
            services.compose("stop", "daemon")
            until("no run is under way", lambda: not services.runs(*UNDER_WAY), within=300)
            time.sleep(1)
            left = images.podman("ps", "--all", "--quiet", "--filter", "label=dagster/run_id").split()
            yield SimpleNamespace(services=services, seen=seen, left=left)


def described(engine: Engine, known: dict[str, dict]) -> dict[str, dict]:
    """Return what the engine says of runs' containers that are not known yet, by the run."""
    found = {}
    for name in engine.podman("ps", "--quiet", "--filter", "label=dagster/run_id").split():
        with contextlib.suppress(AssertionError):
            one = engine.container(name)
            found[one["Config"]["Labels"]["dagster/run_id"]] = one
    return {run: one for run, one in found.items() if run not in known}


def test_a_run_is_a_container_of_its_locations_image_within_its_bounds(launched):
    runs = {run.run_id: run for run in launched.services.runs()}
    of_a = [one for run, one in launched.seen.items() if runs[run].job_name.startswith("a_")]

    assert of_a
    for one in of_a:
        host = one["HostConfig"]
        assert one["ImageName"] == f"{PAGES_IMAGE}:latest"
        assert (host["Memory"], host["NanoCpus"], host["ReadonlyRootfs"]) == (2**30, 10**9, True)
        assert list(one["NetworkSettings"]["Networks"]) == ["status-pages_default"]
        assert one["Config"]["User"] == "1000:1000"
        assert "STATUS_PAGES=a" in one["Config"]["Env"]


def test_what_such_runs_load_is_cell_by_cell_what_the_server_has(launched):
    assert {name: PAGES[name].differences(launched.services) for name in ("a_two", "a_sensors")} == {
        "a_two": [],
        "a_sensors": [],
    }


def test_a_run_that_is_out_of_memory_is_named_as_that_and_tried_again(launched):
    services = launched.services
    failed = [run for run in services.runs(DagsterRunStatus.FAILURE) if run.job_name.startswith("b_")]
    said = {
        run.run_id: "\n".join(str(entry.message) for entry in services.instance.all_logs(run.run_id))
        for run in failed
    }

    assert [run for run in failed if run.parent_run_id]
    assert [text[-600:] for text in said.values() if "out of memory: its limit is 120 MB" not in text] == []


def test_containers_are_removed_when_their_runs_have_ended(launched):
    # Those that ended after the last run was started are there until the next one.
    assert len(launched.seen) >= 4
    assert len(launched.left) < len(launched.services.runs()) / 2
