"""The report and its charts in a real browser: light, dark and printed, with nothing asked of anybody.

The page is one whose texts would do harm if they were taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from cachet_dagster.analytics.charts import (
    Band,
    Chart,
    ComponentDays,
    DayKind,
    DayUptime,
    MonthUptime,
    metric_band,
    monthly_uptime,
    uptime_bars,
    uptime_calendar,
)
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

    charts = page.locator("svg.wide")
    boxes = [charts.nth(number).bounding_box() for number in range(charts.count())]
    assert asked == [report.html.as_uri()]
    assert faults == []
    assert page.locator("script, img, a, iframe").count() == 0
    assert len(boxes) == len(report.report.charts) + len(report.report.metric_charts)
    assert all(box["width"] > 700 and box["height"] > 60 for box in boxes)
    assert (background(page, "svg.wide .paper", "fill") == WHITE) is (scheme == "light")
    assert (background(page, ".tile", "backgroundColor") == WHITE) is (scheme == "light")
    # Nothing is cut off at the sides.
    assert page.evaluate("document.documentElement.scrollWidth") <= 900
    page.screenshot(path=str(report.html.with_name(f"{scheme}.png")), full_page=True)
    page.close()


def test_on_a_telephone_charts_are_drawn_for_its_width_and_nothing_is_cut_off(browser, report: WrittenReport):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(report.html.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("svg.wide:visible").count() == 0
    narrow = page.locator("svg.narrow")
    assert narrow.count() == len(report.report.charts) + len(report.report.metric_charts)
    # Drawn pixels are the screen's, so that a text of eleven pixels is one.
    assert all(narrow.nth(at).bounding_box()["width"] >= 345 for at in range(narrow.count()))
    page.close()


def test_printed_it_is_light_and_has_pages(browser, report: WrittenReport):
    page = browser.new_page(color_scheme="dark")
    page.goto(report.html.as_uri())
    page.emulate_media(media="print")

    printed = page.pdf(format="A4")

    assert background(page, "svg.wide .paper", "fill") == WHITE
    assert background(page, "body", "backgroundColor") == WHITE
    assert printed.startswith(b"%PDF")
    assert 2 <= printed.count(b"/Type /Page\n") <= 5
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_is_seen_as_a_picture_where_it_stands_alone(
    browser, report: WrittenReport, scheme: str, tmp_path: Path
):
    page = browser.new_page(color_scheme=scheme, viewport={"width": 800, "height": 800})
    for chart in [*report.report.charts.values(), *report.report.metric_charts.values()]:
        page.set_content(f'<body style="margin:0"><img src="{chart.data_url()}">')
        image = page.locator("img")
        image.evaluate("image => image.decode()")

        assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [
            760,
            round(chart.height),
        ]
        assert len(image.screenshot(path=str(tmp_path / "chart.png"))) > 2_000
    page.close()


OVERLAPS = """svg => {
    const frame = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    const found = [];
    for (const [text, box] of boxes) {
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
            found.push(text + " is outside");
    }
    boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        // Lines of a text stand close: their boxes hold more than their letters.
        if (wide > 1 && tall > 4) found.push(one + " lies over " + other);
    }));
    return found;
}"""


@pytest.mark.parametrize("letters", [3, 60])
@pytest.mark.parametrize(("components", "months"), [(1, 1), (7, 3), (60, 24)])
def test_no_text_of_a_chart_lies_over_another_or_outside(browser, letters: int, components: int, months: int):
    page = browser.new_page(viewport={"width": 800, "height": 800})
    for chart in generated(components, months, letters):
        for drawn in (chart, chart.narrow):
            assert drawn is not None
            page.set_content(drawn.svg())
            assert page.locator("svg").evaluate(OVERLAPS) == [], (chart.title, drawn.width)
    page.close()


def generated(components: int, months: int, letters: int) -> list[Chart]:
    """Return charts of random figures, the same each time."""
    random = Random(components * 100 + months)
    name = ("Warehouse scanner synchronisation of the north east region " * 2)[:letters]
    first = date(2025, 1, 1)
    length = min(30 * months, 90)
    kinds = [kind for kind in get_args(DayKind) for _ in range(1 + 30 * (kind == "operational"))]

    def bounds() -> tuple[float, float]:
        low = 1 - random.random() ** 4 / 2
        return low, min(1.0, low + random.choice((0, 0, 0.013)))

    strips = [
        ComponentDays(name, [random.choice(kinds) for _ in range(length)], *bounds())
        for _ in range(components)
    ]
    days = [DayUptime(first + timedelta(days=n), *bounds()) for n in range(min(30 * months, 365))]
    starts = [date(2025 + n // 12, n % 12 + 1, 1) for n in range(months)]
    begin = datetime(2025, 1, 1, tzinfo=timezone.utc)
    bands = [
        Band(begin + timedelta(hours=n), 1, random.random() * 900 + 2, 1_000) for n in range(24 * months)
    ]
    return [
        uptime_bars(strips, first + timedelta(days=length - 1)),
        uptime_calendar(days, whose=name),
        *(monthly_uptime([MonthUptime(at, *bounds()) for at in starts], target) for target in (None, 0.999)),
        metric_band(name, "milliseconds", bands, [], begin + timedelta(days=60)),
    ]
