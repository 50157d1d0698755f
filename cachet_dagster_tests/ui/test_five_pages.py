"""Five status pages in one `dagster dev`: each is loaded by its own sensors, and a person sees which one is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace

import duckdb
import pytest

from cachet_dagster_tests import truth, truth_cachet2
from cachet_dagster_tests.source.cachet2.test_cachet2 import WORLD as WORLD_2

from .browser import WAIT, Newcomer, browser, needs_browser, playwright
from .five_pages import FivePages, five_pages

pytestmark = needs_browser

ALIVE = ("admin", "guest", "two", "changing")
PAGES = (*ALIVE, "down")
KEYS = {
    "admin": ["1", "2", "3", "4", "6"],
    "guest": ["1", "2", "4", "6"],
    "two": ["1", "2", "3", "4", "5", "6"],
    "changing": ["1", "2", "3", "4", "6"],
    "down": [],
}
"""The metrics that each caller is shown."""

RUN = 300.0
"""Seconds that the first loads may take on a slow machine."""


@pytest.fixture(scope="module")
def five(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """Return the pages once each has been loaded, the one that changed once more since it stands still."""
    with five_pages(tmp_path_factory.mktemp("five")) as pages, browser() as opened:
        # What follows a load is proven with one page: here it would only take its time, page after page.
        pages.stop_sensors(needless)
        pages.launch("down_sync")
        first = [f"{page}_{job}" for page in ALIVE for job in ("sync", "metric_points")]
        pages.wait("the first loads", lambda: pages.have_succeeded(*first), RUN)
        before = {page: pages.partitions(page) for page in PAGES}
        pages.stop_sensors(lambda sensor: sensor.endswith("_changes"))
        pages.changing.changing = False
        changes = pages.changing.changes
        added = pages.changing.world.add("metrics", name="new")["id"]
        pages.wait("the new metric's partition", lambda: str(added) in pages.partitions("changing"), RUN)
        pages.launch("changing_sync")
        pages.wait("the last load", lambda: pages.rest_after("changing_sync", "changing_all_points"), RUN)
        newcomer = Newcomer(opened, pages.address, pages.folder)
        yield SimpleNamespace(
            pages=pages, newcomer=newcomer, before=before, added=str(added), changes=changes
        )


def needless(sensor: str) -> bool:
    """Whether a sensor is switched off: those of models, and of points but of the page that changes."""
    return sensor.endswith("_models_after_changes") or (
        sensor.endswith("_points_after_sync") and not sensor.startswith("changing")
    )


def test_each_page_has_its_group_and_the_broken_one_is_red_alone(five):
    newcomer: Newcomer = five.newcomer
    newcomer.open("/asset-groups")

    for page in PAGES:
        newcomer.sees(f"{page}_analytics", exact=True)
    page = newcomer.page
    groups = page.locator("foreignObject.group")
    red = groups.filter(has=page.locator("[style*='color-text-red']"))
    playwright.expect(groups).to_have_count(2 * len(PAGES), timeout=WAIT)
    playwright.expect(page.get_by_text("fetching statuses")).to_have_count(0, timeout=WAIT)
    newcomer.picture("five-pages")

    # What has not been loaded yet is yellow.
    assert [re.findall("^[a-z_]+", text) for text in red.all_text_contents()] == [["down"]]


def test_the_broken_page_says_why(five):
    newcomer: Newcomer = five.newcomer
    newcomer.open("/runs")
    row = newcomer.page.locator("div[class*='VirtualizedTable_row']").filter(has_text="down_sync")
    row.locator("a[href*='/runs/']").first.click()

    newcomer.sees("refuses connections")
    newcomer.picture("broken-page")


def test_a_pages_sensors_add_its_own_partitions_and_only_those(five):
    newcomer: Newcomer = five.newcomer
    pages: FivePages = five.pages
    after = {page: pages.partitions(page) for page in PAGES}

    newcomer.open("/assets/changing/metric_points?view=partitions")
    newcomer.sees(f"Materialized ({len(after['changing'])})")

    assert five.before == KEYS
    assert after == {**KEYS, "changing": [*KEYS["changing"], five.added]}


def test_each_page_equals_its_server_cell_by_cell(five):
    found = {}
    folder = five.pages.folder
    with duckdb.connect(str(folder / "shared.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found["admin"] = truth.differences(connection, "admin", schema="admin_data")
        found["guest"] = truth.differences(connection, "guest", schema="guest_data")
    with duckdb.connect(str(folder / "changing.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        world = five.pages.changing.world.dump()
        found["changing"] = truth.differences(connection, "admin", world=world, schema="changing_data")
    found["two"] = truth_cachet2.differences(
        folder / "two.duckdb", WORLD_2, admin=True, page=five.pages.two.url, schema="two_data"
    )

    assert found == {page: [] for page in ALIVE}
    assert five.changes > 20
