"""The report and its charts in a real browser: light, dark and printed, with nothing asked of anybody.

The page is one whose texts would do harm if they were taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cachet_dagster.analytics.report import WrittenReport
from cachet_dagster_tests.analytics.report.test_report import PAGE, written

from . import browser as chromium
from .browser import needs_browser

pytestmark = needs_browser

WHITE = "rgb(255, 255, 255)"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> WrittenReport:
    return written(PAGE, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with chromium.browser() as opened:
        yield opened


def background(page, selector: str, attribute: str) -> str:
    return page.eval_on_selector(selector, f"element => getComputedStyle(element).{attribute}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_a_page_of_its_own_in_either_scheme(browser, report: WrittenReport, scheme: str):
    page = browser.new_page(color_scheme=scheme, viewport={"width": 900, "height": 1200})
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: faults.append(message.text))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.on("pageerror", lambda error: faults.append(str(error)))

    page.goto(report.html.as_uri())

    charts = page.locator("svg.chart")
    boxes = [charts.nth(number).bounding_box() for number in range(charts.count())]
    assert asked == [report.html.as_uri()]
    assert faults == []
    assert page.locator("script, img, a, iframe").count() == 0
    assert len(boxes) == len(report.report.charts) + len(report.report.metric_charts)
    assert all(box["width"] > 700 and box["height"] > 60 for box in boxes)
    assert (background(page, "svg.chart .paper", "fill") == WHITE) is (scheme == "light")
    assert (background(page, ".tile", "backgroundColor") == WHITE) is (scheme == "light")
    # Nothing is cut off at the sides.
    assert page.evaluate("document.documentElement.scrollWidth") <= 900
    page.screenshot(path=str(report.html.with_name(f"{scheme}.png")), full_page=True)
    page.close()


def test_on_a_telephone_only_tables_scroll_sideways(browser, report: WrittenReport):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(report.html.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_printed_it_is_light_and_has_pages(browser, report: WrittenReport):
    page = browser.new_page(color_scheme="dark")
    page.goto(report.html.as_uri())
    page.emulate_media(media="print")

    printed = page.pdf(format="A4")

    assert background(page, "svg.chart .paper", "fill") == WHITE
    assert background(page, "body", "backgroundColor") == WHITE
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 4
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_is_seen_as_a_picture_where_it_stands_alone(
    browser, report: WrittenReport, scheme: str, tmp_path: Path
):
    page = browser.new_page(color_scheme=scheme, viewport={"width": 800, "height": 800})
    for chart in [*report.report.charts.values(), *report.report.metric_charts]:
        page.set_content(f'<body style="margin:0"><img src="{chart.data_url()}">')
        image = page.locator("img")
        image.evaluate("image => image.decode()")

        assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [
            760,
            round(chart.height),
        ]
        assert len(image.screenshot(path=str(tmp_path / "chart.png"))) > 2_000
    page.close()
