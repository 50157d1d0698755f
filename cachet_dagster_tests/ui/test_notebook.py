"""The notebook's charts in a real browser: pictures, and not broken ones."""

from __future__ import annotations

import marimo
import pytest

from cachet_dagster_tests.ui import browser as chromium

from .browser import needs_browser
from .test_report import generated

pytestmark = needs_browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_in_a_notebook_is_a_picture(scheme: str):
    with chromium.browser() as opened:
        page = opened.new_page(color_scheme=scheme)
        for chart in generated(3, 3, 20):
            page.set_content(marimo.image(chart.data_url(), alt=chart.title).text)
            image = page.locator("img")
            image.evaluate("image => image.decode()")

            assert image.evaluate("image => image.naturalWidth") == 760
            assert page.locator("body").inner_text().strip() == ""
        page.close()
