"""The pictures of the documentation, taken from the running program: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from .dagster_dev import PROJECT, chromium, dagster_dev

PICTURES = {
    "lineage": "/locations/cachet_dagster.definitions/asset-groups/cachet",
    "asset": "/assets/cachet/incidents",
    "run": "/runs",
}
READY = {
    PICTURES["lineage"]: "4 partitions",
    "/assets/cachet/metric_points?view=partitions": "Materialized (4)",
    "/assets/cachet/incidents?view=events": "row_count",
}
"""What is to be seen where before pictures are taken."""


def main() -> int:
    """Start the UI on the demo page, wait until all is loaded, and take the pictures into docs/images/."""
    from playwright.sync_api import sync_playwright

    if chromium() is None:
        print("There is no Chromium on PATH: install Debian's chromium.")
        return 1
    docs = PROJECT / "docs" / "images"
    docs.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        dagster_dev(Path(folder), {"CACHET_DATABASE": str(Path(folder) / "cachet.duckdb")}) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        # In this order: a page that was opened before there was anything to show does not always come alive.
        for path, shown in READY.items():
            page.goto(f"{address}{path}")
            page.get_by_text(shown).first.wait_for(timeout=200_000)
        # What is built and checked after the load is on the pictures too.
        page.wait_for_timeout(60_000)
        for name, path in PICTURES.items():
            page.goto(f"{address}{path}")
            if name == "run":
                row = page.locator("div[class*='VirtualizedTable_row']").filter(has_text="cachet_sync")
                row.get_by_text("Success").first.wait_for(timeout=120_000)
                row.locator("a[href*='/runs/']").first.click()
            page.wait_for_timeout(6_000)
            if name == "lineage":
                _pull_down(page, 260)
            page.screenshot(path=str(docs / f"{name}.png"))
            print(f"docs/images/{name}.png")
        page.goto(f"{address}/assets/cachet/report?view=events")
        page.get_by_text("Show Markdown").first.wait_for(timeout=300_000)
        _picture_of_the_report(browser, next(Path(folder).rglob("report.html")), docs / "report.png")
        browser.close()
    return 0


def _pull_down(page: Any, pixels: int) -> None:
    """Pull the graph down, where the server stands above what the window shows of it."""
    page.mouse.move(1_480, 200)
    page.mouse.down()
    page.mouse.move(1_480, 200 + pixels, steps=10)
    page.mouse.up()
    page.wait_for_timeout(1_000)


def _picture_of_the_report(browser: Any, report: Path, picture: Path) -> None:
    """Take the report's first page, as it stands in the window of a reader."""
    page = browser.new_page(viewport={"width": 960, "height": 1500})
    page.goto(report.as_uri())
    page.screenshot(path=str(picture))
    page.close()
    print(f"docs/images/{picture.name}")


if __name__ == "__main__":
    sys.exit(main())
