"""Docker Compose's file, run in containers: pages of both APIs are loaded by themselves, and the UI shows them.

A code location is stopped, as by an upgrade, while one of its loads writes, and started again.
"""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace

import pytest
from dagster import DagsterRunStatus

from cachet_dagster_tests.ui.browser import Newcomer, browser

from .cluster import until
from .compose import Compose, compose, container
from .images import PAGES
from .test_hosts import UNDER_WAY, page_of, written_to

pytestmark = pytest.mark.containers


def have_loaded(services: Compose, after: float) -> bool:
    """Return whether each page was loaded by runs that began after a time; what fails by design has failed."""
    ended = {
        (record.dagster_run.job_name, record.dagster_run.status)
        for record in services.instance.get_run_records()
        if (record.start_time or 0) > after
    }
    return all(
        (f"{page.name}_{job}", DagsterRunStatus.SUCCESS if page.is_whole else DagsterRunStatus.FAILURE)
        in ended
        for page in PAGES.values()
        for job in ("sync", *(["all_points"] if page.points else []))
    )


@pytest.fixture(scope="module")
def brought_up(images, tmp_path_factory):
    with compose(images, images.folder / "compose") as services:
        services.start("daemon")
        until("a load of b writes", lambda: written_to(services, "b"), within=600, every=0.02)
        running = [run.run_id for run in services.runs(*UNDER_WAY) if page_of_run(run) in of_location("b")]
        began = time.monotonic()
        services.compose("stop", "--timeout", "30", "b")
        seconds, state = time.monotonic() - began, images.container(container("b"))["State"]
        services.start("b", "web")
        services.wait_for_location("b")
        mended = time.time()
        services.wait_for_web()
        images.until(
            container("daemon"), "every page is loaded", lambda: have_loaded(services, mended), within=900
        )
        services.compose("stop", "daemon")
        until("no run is under way", lambda: not services.runs(*UNDER_WAY), within=300)
        yield SimpleNamespace(services=services, stopped=running, seconds=seconds, state=state)


def page_of_run(run) -> str:
    return run.tags.get("cachet/page", "")


def of_location(location: str) -> set[str]:
    return {page.name for page in PAGES.values() if page.location == location}


def test_each_page_is_loaded_by_its_schedule_or_sensors_and_holds_cell_by_cell_what_its_server_has(
    brought_up,
):
    records = brought_up.services.instance.get_run_records()
    by = {
        kind: {page_of(record) for record in records if f"dagster/{kind}_name" in record.dagster_run.tags}
        for kind in ("schedule", "sensor")
    }
    differences = {page.name: page.differences(brought_up.services) for page in PAGES.values() if page.server}

    assert {name: lines for name, lines in differences.items() if lines} == {}
    assert {PAGES[name].kind for name in differences} == {"admin", "guest", "cachet2", "part"}
    assert "a_sensors" in by["sensor"] - by["schedule"]
    assert {"a_two", "b_part"} <= by["schedule"]


def test_a_location_that_is_stopped_in_mid_load_ends_in_time_and_its_runs_say_so(brought_up):
    services = brought_up.services
    ended = {run.run_id: run.status for run in services.runs() if run.run_id in brought_up.stopped}

    assert brought_up.stopped
    assert brought_up.state["ExitCode"] == 0
    assert brought_up.seconds < 30
    assert set(ended.values()) <= {
        DagsterRunStatus.SUCCESS,
        DagsterRunStatus.FAILURE,
        DagsterRunStatus.CANCELED,
    }
    assert written_to(services) == []


def test_the_ui_shows_the_pages(brought_up, tmp_path):
    with browser() as opened:
        newcomer = Newcomer(opened, brought_up.services.web_address, tmp_path)
        newcomer.open("/assets/a_sensors/incidents")
        newcomer.sees("Materialized")
        newcomer.open("/locations")
        for name in ("status_pages.definitions", "a", "b"):
            with contextlib.suppress(KeyError):
                newcomer.sees(name)


def test_no_container_of_this_project_has_written_to_its_root_or_runs_as_root(brought_up, images):
    for name in ("a", "b", "web"):
        described = images.container(container(name))
        assert described["HostConfig"]["ReadonlyRootfs"]
        assert described["Config"]["User"] == "1000:1000"
        assert images.podman("exec", container(name), "id", "-u") == "1000"
