"""An upgrade in containers, as docs/operations.md says it, from the oldest release of Dagster that the project takes.

Runs wait in the queue meanwhile, and end under the new release.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from dagster import DagsterRunStatus

from .cluster import FASTER, until
from .compose import compose, container
from .images import PAGES, PAGES_IMAGE, WEB_IMAGE
from .test_hosts import UNDER_WAY

pytestmark = pytest.mark.containers

BEFORE = "1.13.0"
LIBRARIES = ("dagster-postgres", "dagster-dlt", "dagster-duckdb", "dagster-k8s", "dagster-docker")
ONE_AT_A_TIME = {**FASTER, "concurrency": {"runs": {"max_concurrent_runs": 1}}}


def build_before(images) -> dict[str, dict[str, str]]:
    """Build both images with the release before, and return them as Compose's services have them."""
    own = ["dagster", "dagster-shared", "dagster-pipes"]
    libraries = [f"{name}=={BEFORE.replace('1.13', '0.29')}" for name in LIBRARIES]
    of_web = [f"{name}=={BEFORE}" for name in ("dagster-webserver", "dagster-graphql")]
    packages = [*(f"{name}=={BEFORE}" for name in own), *libraries]
    for image, more in ((PAGES_IMAGE, []), (WEB_IMAGE, of_web)):
        context = images.folder / "before"
        context.mkdir(exist_ok=True)
        install = f"RUN pip install --no-cache-dir --no-deps {' '.join([*packages, *more])}"
        lines = [f"FROM {image}", "USER root", install, "USER 1000:1000"]
        (context / "Dockerfile").write_text("\n".join(lines))
        images.build(context, "--tag", f"{image}-before")
    of_service = {"a": PAGES_IMAGE, "b": PAGES_IMAGE, "daemon": WEB_IMAGE, "web": WEB_IMAGE}
    return {name: {"image": f"{image}-before"} for name, image in of_service.items()}


@pytest.fixture(scope="module")
def upgraded(images):
    with compose(
        images, images.folder / "upgrade", settings=ONE_AT_A_TIME, changes=build_before(images)
    ) as services:
        before = images.podman("exec", container("a"), "dagster", "--version")
        services.start("daemon")
        until("runs wait", lambda: len(services.runs(DagsterRunStatus.QUEUED)) >= 2, within=600)
        services.compose("stop", "daemon")
        until("no run is under way", lambda: not services.runs(*UNDER_WAY), within=600)
        queued = [run.run_id for run in services.runs(DagsterRunStatus.QUEUED)]
        services.compose("stop", "a", "b")
        services.changes = {}
        services.write_files()
        services.compose("run", "--rm", "--no-deps", "daemon", "dagster", "instance", "migrate")
        services.start("a", "b")
        for name in ("a", "b"):
            services.wait_for_location(name)
        after = images.podman("exec", container("a"), "dagster", "--version")
        services.start("daemon")
        images.until(
            container("daemon"),
            "the runs of the queue have ended",
            lambda: all(services.instance.get_run_by_id(run_id).is_finished for run_id in queued),
            within=900,
        )
        services.compose("stop", "daemon")
        until("no run is under way", lambda: not services.runs(*UNDER_WAY), within=600)
        yield SimpleNamespace(services=services, queued=queued, before=before, after=after)


def test_runs_that_wait_in_the_queue_end_under_the_new_release(upgraded):
    ended = {
        run.job_name: run.status
        for run_id in upgraded.queued
        for run in [upgraded.services.instance.get_run_by_id(run_id)]
    }
    fails = {f"{page.name}_sync" for page in PAGES.values() if not page.is_whole}

    assert upgraded.before.endswith(BEFORE)
    assert upgraded.after != upgraded.before
    assert len(ended) >= 2
    assert {job for job, status in ended.items() if status != DagsterRunStatus.SUCCESS} <= fails


def test_what_they_load_is_cell_by_cell_what_the_server_has(upgraded):
    loaded = {
        run.tags["cachet/page"]
        for run in upgraded.services.runs()
        if run.job_name.endswith("_sync") and run.is_finished
    }

    assert loaded
    found = {
        name: [
            line
            for line in PAGES[name].differences(upgraded.services)
            if not line.startswith("metric_points")
        ]
        for name in loaded
    }
    assert found == {name: [] for name in loaded}
