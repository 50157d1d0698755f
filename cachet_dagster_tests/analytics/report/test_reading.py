"""A report read as a person does: section by section, no two statements about one figure differ."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cachet_dagster.analytics.report import WrittenReport
from cachet_dagster_tests import recordings, truth, truth_cachet2
from cachet_dagster_tests.analytics.pages import Rows, at

from .test_report import PAGE, component, incident, link, written

NOW = at("2026-11-03 12:00")
World = tuple[WrittenReport, dict[str, str]]
"""A report as it was written, and its texts by section."""


def many() -> Rows:
    """Return 300 components, each tenth of which was down on a day of its own."""
    numbers = range(1, 301)
    return {
        "components": [component(number, f"Service {number}") for number in numbers],
        "components_groups": [],
        "incidents": [
            incident(n, f"Trouble {n}", f"2026-10-{1 + n // 10:02} 10:00", 2) for n in numbers[9::10]
        ],
        "incident_updates": [],
        "incident_components": [link(n, n, 4) for n in numbers[9::10]],
    }  # fmt: skip


def quiet() -> Rows:
    """Return a page of which nothing is told for twelve months."""
    return {
        "components": [component(1, "Only", created_at=NOW - timedelta(days=365))],
        "components_groups": [],
        "incidents": [],
        "incident_components": [],
    }


def cachet2() -> Rows:
    world = truth_cachet2.expected_tables(recordings.world("v2"), admin=True, page="http://localhost")
    return {**world, "versions": [{"api_version": 2, "observed_at": truth.RECORDED_AT}]}


WORLDS: dict[str, Callable[[], tuple[Rows, dict[str, Any]]]] = {
    "cachet 3": lambda: (truth.tables("admin"), {"as_of": truth.RECORDED_AT}),
    "cachet 3 as a guest": lambda: (truth.tables("guest"), {"as_of": truth.RECORDED_AT}),
    "cachet 2": lambda: (cachet2(), {"as_of": truth.RECORDED_AT}),
    "small": lambda: (PAGE, {"as_of": NOW}),
    "empty": lambda: ({"components": [], "components_groups": [], "incidents": []}, {"as_of": NOW}),
    "one component, twelve months without anything": lambda: (quiet(), {"as_of": NOW}),
    "300 components": lambda: (many(), {"as_of": NOW}),
}


class Sections(HTMLParser):
    """A report's texts by section: `head` before the first heading of the second level, then by its text."""

    def __init__(self, text: str):
        super().__init__()
        self.sections: dict[str, list[str]] = {"head": []}
        self._name = "head"
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if not text or "style" in self._open:
            return
        if "h2" in self._open:
            self._name = text
        self.sections.setdefault(self._name, []).append(text)


@cache
def read(world: str, folder: Path) -> World:
    rows, settings = WORLDS[world]()
    report = written(rows, folder, "this-month" if world == "empty" else None, **settings)
    sections = Sections(report.html.read_text()).sections
    return report, {name: " | ".join(texts) for name, texts in sections.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reading")


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.slow] * name.startswith("cachet 3")) for name in WORLDS]
)
def world(request: pytest.FixtureRequest, folder: Path) -> World:
    place = folder / request.param.replace(" ", "_")
    place.mkdir(exist_ok=True)
    return read(request.param, place)


def test_head_tiles_table_charts_and_csv_say_the_same_of_each_figure(
    world: World,
):
    written, sections = world
    report = written.report
    with written.html.with_name("components.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert report.verdict in sections["head"]
    for line, row in zip(report.components, rows, strict=True):
        shares = [row["uptime_lower"], row["uptime_upper"]]
        if line.uptime.upper is None:
            assert shares == ["", ""]
            continue
        low, high = (f"{float(share) * 100:.2f}".replace("100.00", "100") for share in shares)
        low, high = ("0" if text == "0.00" else text for text in (low, high))
        assert line.uptime.text == (f"{low} %" if low == high else f"{low}–{high} %")
        assert f"{line.name} | {line.uptime.text}" in sections["Components"]
    assert f"| {report.uptime.text} | uptime, mean of" in sections["head"]
    if report.uptime.upper is not None and report.uptime.known:
        between = report.uptime.text.replace("–", " and ")
        assert (
            f"up {between if report.uptime.is_certain else f'between {between}'} of the time"
            in report.verdict
        )
        month = report.period.first_day.strftime("%b %y")
        drawn = report.charts["months"].body
        if month in drawn and report.uptime.known:
            for figure in report.uptime.text.removesuffix(" %").split("–"):
                assert f">{figure}" in drawn


def test_every_percentage_has_one_precision(world: World):
    _, sections = world
    figures = re.findall(
        r"[\d.]+(?:–[\d.]+)? %", " ".join(sections[name] for name in ("head", "Uptime under each policy"))
    )

    for figure in figures:
        for number in figure.removesuffix(" %").split("–"):
            assert re.fullmatch(r"100|0|\d{1,2}|\d{1,2}\.\d{2}", number), figure


def test_kept_missed_and_no_downtime_are_said_only_where_it_is_certain(
    world: World,
):
    written, sections = world
    components = written.report.components

    for line in components:
        low, high, target = line.uptime.lower, line.uptime.upper, line.target
        if low is None or high is None or target is None:
            assert line.kept is None
        elif low < target <= high or not line.uptime.known:
            assert line.kept == "not certain"
    certain = all(line.uptime.lower == 1 for line in components if line.uptime.upper is not None)
    assert ("worst component: no downtime" in sections["head"]) == certain


def test_what_is_known_assumed_and_unknown_is_all_of_the_time_and_said_alike(
    world: World,
):
    written, sections = world
    uptime = written.report.uptime

    assert uptime.known + uptime.assumed + uptime.unknown == pytest.approx(1)
    for line in written.report.components:
        assert line.uptime.known + line.uptime.assumed + line.uptime.unknown == pytest.approx(1)
    if uptime.upper is not None:
        assert sections["How sure is this?"].split(" | ")[1].split(" Observed:")[0] in sections["head"]


def test_time_of_which_nothing_is_told_is_never_drawn_as_up(folder: Path):
    place = folder / "twelve"
    place.mkdir()
    report, _ = read("one component, twelve months without anything", place)
    drawn = "".join(chart.body for chart in report.report.charts.values())

    assert report.report.uptime.assumed == 1
    assert report.report.verdict.startswith("Nothing was observed or reported in October 2026.")
    assert 's-operational"' not in drawn
    assert 'f-scale-0"' not in drawn
    assert report.report.charts["months"].answer == "Every month is unknown or assumed."
