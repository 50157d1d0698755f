"""In a real browser, as a newcomer goes about it: look, materialize all, watch, check, switch a schedule.

Needs a Chromium on PATH and `make test-ui`, which installs Playwright; `dagster dev` is the real one, the
page is the embedded Cachet in this process, so that it can be told to misbehave. What the browser kept is
searched for the token at the end.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from cachet_dagster.demo import DemoServer, World, living_world

from .browser import WAIT, Newcomer, browser, needs_browser, playwright
from .dagster_dev import dagster_dev

pytestmark = needs_browser

LOCATION = "/locations/cachet_dagster.definitions"
GROUP = f"{LOCATION}/asset-groups/cachet"

SECRET = "FindMeInTheBrowser0123456789"
TOKEN = f"7|{SECRET}"

ALIVE = 120_000
"""Milliseconds within which a fresh start is to have loaded everything, without a click."""
RUN = 300_000
"""Milliseconds that a run may take on a slow machine; a backfill goes on only every half minute."""


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    page_rows = World(living_world(1, datetime.now(timezone.utc)).dump())
    with DemoServer(page_rows, me=True, tokens={TOKEN: {"*"}}) as started:
        yield started


@pytest.fixture(scope="module")
def newcomer(server, tmp_path_factory) -> Iterator[Newcomer]:
    folder = tmp_path_factory.mktemp("ui")
    environment = {
        "CACHET_BASE_URL": server.url,
        "CACHET_API_TOKEN": TOKEN,
        "CACHET_DATABASE": str(folder / "cachet.duckdb"),
    }
    with dagster_dev(folder, environment) as address, browser() as opened:
        yield Newcomer(opened, address, folder)


def test_the_page_comes_alive_without_a_click(newcomer):
    newcomer.open(GROUP)

    newcomer.sees("metric_points", within=ALIVE)
    newcomer.sees("4 partitions", within=ALIVE)
    newcomer.open("/assets/cachet/metric_points?view=partitions")
    newcomer.sees("Materialized (4)", within=ALIVE)
    # The page shows the row count when it is opened after the load.
    newcomer.open("/assets/cachet/incidents?view=events")
    newcomer.sees("row_count", within=ALIVE)


def test_materialize_all_runs_to_success(newcomer):
    newcomer.open(GROUP)

    newcomer.page.get_by_role("button", name="Materialize all").click()
    dialog = newcomer.page.get_by_role("dialog")
    dialog.get_by_role("button", name="All", exact=True).click()
    dialog.get_by_role("button", name="Launch backfill").click()

    newcomer.open("/runs")
    backfill = newcomer.page.locator("div[class*='VirtualizedTable_row']").filter(
        has_text="Manually launched"
    )
    backfill.get_by_text("Success").first.wait_for(timeout=RUN)
    newcomer.picture("runs")


def test_an_asset_shows_its_rows_columns_and_lineage(newcomer):
    newcomer.open("/assets/cachet/incidents")

    newcomer.sees("Row count")
    newcomer.sees("what went wrong, since when, and how it stands")
    newcomer.sees("Cachet's id of the incident.")
    newcomer.picture("asset")


def test_a_partition_shows_its_own_metadata(newcomer):
    newcomer.open("/assets/cachet/metric_points?view=partitions&partition=2")

    newcomer.sees("rows_read", exact=True)
    newcomer.sees("last_values", exact=True)
    newcomer.picture("partition")


def test_checks_are_green_until_the_page_misbehaves_and_then_say_what_is_wrong(newcomer, server):
    newcomer.open("/assets/cachet/incidents?view=checks&checkDetail=consistent")
    newcomer.sees("Passed", within=RUN)

    for number in server.world.ids("incidents")[20:]:
        server.world.delete("incidents", number, hard=True)
    newcomer.page.locator("button").filter(has_text="Materialize").first.click()

    newcomer.sees("Execution failed", within=RUN)
    newcomer.picture("failed-check")
    # The load was stopped before the checks: its run says why.
    newcomer.page.locator("a[href*='/runs/']").filter(has_text=re.compile(r"\d [AP]M")).first.click()
    newcomer.sees("CACHET_MAX_LOSS")


def test_a_schedule_is_switched_on_and_off(newcomer):
    newcomer.open("/automation")
    newcomer.sees("cachet_full_refresh_schedule")
    row = newcomer.page.locator("div[class*='ListItem_listItem__']").filter(
        has_text="cachet_full_refresh_schedule"
    )
    switch = row.locator("input").last

    def switch_to(wanted: bool) -> None:
        # A click that falls into a refresh of the list is lost: as a person would, click again, but only
        # when the switch is free again, since after a slow click one more would undo it.
        for _ in range(6):
            playwright.expect(switch).to_be_enabled(timeout=WAIT)
            if switch.is_checked() is not wanted:
                row.locator("label").last.click()
            with contextlib.suppress(AssertionError):
                playwright.expect(switch).to_be_checked(checked=wanted, timeout=WAIT / 6)
                return
        raise AssertionError(f"the schedule cannot be switched {'on' if wanted else 'off'}")

    playwright.expect(switch).to_be_enabled(timeout=WAIT)
    before = switch.is_checked()
    switch_to(True)
    switch_to(False)

    assert before is False
    newcomer.picture("automation")


def test_the_token_is_on_no_page_and_in_no_answer(newcomer):
    newcomer.open(f"{LOCATION}/jobs/cachet_sync/playground")
    newcomer.sees("Launch run")
    newcomer.open("/runs")
    runs = newcomer.page.locator("div[class*='VirtualizedTable_row']").filter(has_text="cachet_sync")
    runs = runs.filter(has_text="Success")
    runs.locator("a[href*='/runs/']").first.click()
    newcomer.sees("RUN_SUCCESS")
    newcomer.picture("run")
    newcomer.keep_page()

    for kept in (newcomer.pages, newcomer.answers, newcomer.frames):
        assert any("cachet_sync" in text for text in kept)
        assert not any(SECRET in text for text in kept)
