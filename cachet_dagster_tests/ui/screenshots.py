"""The README's pictures, taken from the running program: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .dagster_dev import PROJECT, chromium, dagster_dev

PICTURES = {
    "lineage": "/locations/cachet_dagster.definitions/asset-groups/cachet",
    "asset": "/assets/cachet/incidents",
    "run": "/runs",
}


def main() -> int:
    """Start the UI on the demo page, wait until all is loaded, and take the pictures into docs/."""
    from playwright.sync_api import sync_playwright

    if chromium() is None:
        print("There is no Chromium on PATH: install Debian's chromium.")
        return 1
    docs = PROJECT / "docs"
    docs.mkdir(exist_ok=True)
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
        page.goto(f"{address}/assets/cachet/metric_points?view=partitions")
        page.get_by_text("Materialized (4)").wait_for(timeout=300_000)
        page.goto(f"{address}/assets/cachet/incidents")
        page.get_by_text("Row count").wait_for(timeout=300_000)
        for name, path in PICTURES.items():
            page.goto(f"{address}{path}")
            if name == "run":
                row = page.locator("div[class*='VirtualizedTable_row']").filter(has_text="cachet_sync")
                row.get_by_text("Success").wait_for(timeout=120_000)
                row.locator("a[href*='/runs/']").first.click()
            page.wait_for_timeout(6_000)
            page.screenshot(path=str(docs / f"{name}.png"))
            print(f"docs/{name}.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
