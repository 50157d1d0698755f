"""The models' charts where people look at them: as pictures, in the dialog that Dagster opens for Markdown.

What the browser saw is left in the test's folder, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .dagster_dev import chromium, dagster_dev

playwright = pytest.importorskip("playwright.sync_api", reason="make test-ui installs Playwright")

pytestmark = [
    pytest.mark.ui,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on PATH: install Debian's chromium"),
]

CHARTS = {
    "component_uptime_daily": ("component_uptime_90_days", "uptime_calendar"),
    "uptime_monthly": ("uptime_by_month",),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("charts")
    with dagster_dev(folder, {"CACHET_DATABASE": str(folder / "cachet.duckdb")}) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_pictures_in_the_dialog_that_dagster_opens(address: str, tmp_path: Path, scheme: str):
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1500, "height": 1000})
        for model, names in CHARTS.items():
            page.goto(f"{address}/assets/cachet/{model}?view=events")
            page.get_by_text("Show Markdown").first.wait_for(timeout=300_000)
            links = page.get_by_text("Show Markdown")
            assert links.count() >= len(names)
            for number, name in enumerate(names):
                links.nth(number).click()
                image = page.locator("img[src^='data:image/svg']")
                image.first.wait_for(timeout=30_000)
                image.first.evaluate("image => image.decode()")
                assert image.first.evaluate("image => image.naturalWidth") == 760
                # Not so much smaller than drawn that its letters could not be read.
                assert image.first.bounding_box()["width"] > 500
                page.screenshot(path=str(tmp_path / f"{model}_{name}_{scheme}.png"))
                page.keyboard.press("Escape")
                image.first.wait_for(state="detached", timeout=30_000)
        browser.close()
