"""Charts are well-formed pictures that answer their question, whatever a page is called, for whoever looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from itertools import combinations
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from cachet_dagster.analytics.charts import (
    Band,
    Chart,
    ComponentDays,
    DayKind,
    DayUptime,
    MonthUptime,
    Span,
    metric_band,
    monthly_uptime,
    uptime_bars,
    uptime_calendar,
)
from cachet_dagster.analytics.charts.colours import DARK, LIGHT

from . import sight

HOSTILE = '</text><script>alert(1)</script>"\' onload="x" &amp; ]]> ‮ann@example.com\x00'
LAST = date(2026, 10, 31)
BEGIN = datetime(2026, 10, 1, tzinfo=timezone.utc)
END = datetime(2026, 11, 1, tzinfo=timezone.utc)


def days(*shares: float | None) -> list[DayUptime]:
    first = LAST - timedelta(days=len(shares) - 1)
    return [DayUptime(first + timedelta(days=at), share, share) for at, share in enumerate(shares)]


def spans(name: str) -> list[Span]:
    return [
        Span(name, BEGIN + timedelta(days=2), BEGIN + timedelta(days=3)),
        Span(name, BEGIN + timedelta(days=2, hours=5), None),
        Span(name, BEGIN - timedelta(days=9), BEGIN - timedelta(days=8)),
    ]


CHARTS: dict[str, Callable[[str], Chart]] = {
    "bars": lambda name: uptime_bars(
        [ComponentDays(name, ["operational", "unknown", "major"], 0.8, 0.95)], LAST
    ),
    "calendar": lambda name: uptime_calendar(days(1, None, 0.97), whose=name),
    "monthly": lambda name: monthly_uptime([MonthUptime(BEGIN.date(), 0.9, 1)], 0.999, whose=name),
    "metric": lambda name: metric_band(
        name, name, [Band(BEGIN + timedelta(hours=h), 1, 2, h + 3) for h in range(5)], spans(name), END
    ),
}


@pytest.mark.parametrize("make", CHARTS.values(), ids=CHARTS.keys())
def test_a_chart_asks_a_question_answers_it_and_stands_alone_as_an_image(make):
    chart = make("Parcel tracking")

    root = ElementTree.fromstring(chart.svg())
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    address = re.search(r"\]\(<data:image/svg\+xml;charset=utf-8,([^<>\"']+)>\)$", chart.markdown())

    assert chart.title.endswith("?")
    assert chart.answer.endswith(".")
    assert " ".join(texts).startswith(f"{chart.title} {chart.answer}"[:60])
    label = f"{chart.title} {chart.answer}"
    drawn = ElementTree.fromstring(f"<p>{chart.inline()}</p>")
    assert [element.get("aria-label") for element in drawn] == [label, label]
    assert address is not None
    assert unquote(address[1]) == chart.svg()
    assert "http" not in chart.svg().replace("http://www.w3.org/2000/svg", "")
    # Dagster keeps each event for ever, and this in it.
    assert len(chart.markdown()) < 8_000


@pytest.mark.parametrize("make", CHARTS.values(), ids=CHARTS.keys())
def test_a_hostile_name_stays_a_name_in_a_picture_and_an_address_is_left_out(make):
    svg = make(HOSTILE).svg()

    root = ElementTree.fromstring(svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}

    assert tags <= {"svg", "style", "text", "rect", "path", "circle", "g"}
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    assert "ann@" not in svg
    assert "\u202e" not in svg


def test_a_strip_has_a_dash_for_each_day_and_a_younger_component_begins_later():
    old: list[DayKind] = [*["operational"] * 30, *["major"] * 2, "unknown", *["operational"] * 57]
    chart = uptime_bars(
        [ComponentDays("old", old, 0.98, 0.98), ComponentDays("new", ["assumed", "partial"], 0.9, 0.9)], LAST
    )

    dash, gap = re.search(r'stroke-dasharray="([\d.]+) ([\d.]+)"', chart.body).groups()
    runs = [
        (int(days), name, int(first) + int(days))
        for path, name in re.findall(r'd="([Mh\d. ]+)" stroke-width="[\d.]+" class="s-(\w+)"', chart.body)
        for first, days in re.findall(r"M(\d+) [\d.]+h(\d+)", path)
        if name != "track"
    ]

    assert float(dash) + float(gap) == 1
    assert sorted((days, name) for days, name, _ in runs) == [
        (1, "assumed"), (1, "partial"), (1, "unknown"), (2, "major"), (30, "operational"), (57, "operational"),
    ]  # fmt: skip
    assert [end for *_, end in runs].count(90) == 2


def test_ninety_days_of_twenty_components_stay_small_and_more_are_counted():
    kinds: list[DayKind] = [*["operational"] * 40, "partial", *["operational"] * 49]
    quiet = [ComponentDays(f"component {number}", kinds, 0.99, 0.99) for number in range(20)]

    assert len(uptime_bars(quiet, LAST).body) < 6_000
    assert "and 3 more components, in the table" in uptime_bars(quiet, LAST, most=17).body


def test_the_answer_names_what_was_worst_and_leaves_open_what_nobody_can_tell():
    def strip(name: str, lower: float, upper: float) -> ComponentDays:
        return ComponentDays(name, ["operational"], lower, upper)

    strips = [strip("old", 1, 1), strip("new", 0.85, 0.9), strip("odd", 0.5, 1)]
    assert uptime_bars(strips, LAST).answer == (
        "new was lowest: between 85.00 and 90.00 %; 1 of 3 had no downtime; "
        "of 1 it is not certain whether there was any."
    )
    assert uptime_bars([strip("odd", 0.5, 1)], LAST).answer.startswith(
        "odd was lowest: between 50.00 and 100 %;"
    )
    assert uptime_bars([strip("old", 1, 1)], LAST).answer == "1 component, and no downtime."

    perhaps = DayUptime(LAST, 0.2, 1)
    assert uptime_calendar([*days(1, 0.5, None, 0.9, 1)[:-1], perhaps]).answer == (
        "On 2 of 4 days there was downtime; worst: 28 Oct 2026 (50.00 %), 30 Oct 2026 (90.00 %); "
        "on 1 more it is not certain."
    )
    months = [
        MonthUptime(date(2026, 6, 1), None, None),
        MonthUptime(date(2026, 7, 1), 1, 1, is_assumed=True),
        MonthUptime(date(2026, 8, 1), 0.9991, 0.9991),
        MonthUptime(date(2026, 9, 1), 0.998, 0.9995),
        MonthUptime(date(2026, 10, 1), 0.9, 0.9),
    ]
    assert monthly_uptime(months, 0.999).answer == (
        "Kept in 1 of 3 months, not certain in 1; lowest: October 2026, 90.00 %; 2 months more are assumed or unknown."
    )


def test_a_legend_explains_what_is_drawn_and_nothing_else():
    strips = uptime_bars([ComponentDays("a", ["operational", "assumed"], 1, 1)], LAST)
    calendar = uptime_calendar([*days(None, 1), DayUptime(LAST, 1, 1, is_assumed=True)])

    assert words_of(strips) == {"operational", "assumed"}
    assert words_of(calendar) == {"100 %", "assumed", "unknown"}


def words_of(chart: Chart) -> set[str]:
    """Return the words of a chart's legend: its last line."""
    texts = re.findall(r'y="([\d.]+)" class="small soft">([^<]+)<', chart.body)
    return {text for y, text in texts if float(y) == max(float(y) for y, _ in texts)}


def test_a_line_does_not_cross_a_gap_between_points():
    bands = [Band(BEGIN + timedelta(hours=hour), 1, 2, 3) for hour in (0, 1, 2, 6, 7)]

    assert metric_band("m", "ms", bands, [], END).body.count('class="f-accent-soft band"') == 2


@pytest.mark.parametrize(
    "chart",
    [
        uptime_bars([], LAST),
        uptime_calendar(days(None)),
        monthly_uptime([], 0.99),
        metric_band("m", "ms", [], [], END),
    ],
    ids=CHARTS.keys(),
)
def test_without_anything_to_show_a_chart_says_why(chart):
    assert chart.title.endswith("?")
    assert chart.answer.endswith(".")
    assert chart.height < 80
    ElementTree.fromstring(chart.svg())


STATUSES = (
    "operational", "assumed", "uncertain", "performance", "partial", "major", "unknown", "maintenance"
)  # fmt: skip


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", sight.KINDS)
def test_statuses_are_told_apart_by_their_colours_however_one_sees_them(scheme, kind):
    seen = {name: sight.lab(sight.seen(scheme[name], kind)) for name in STATUSES}

    closest = {pair: sight.distance(seen[pair[0]], seen[pair[1]]) for pair in combinations(STATUSES, 2)}

    # A difference of 2 is just noticeable; 10 is clear at a glance. Heights and words tell as well.
    assert min(closest.values()) > 10, min(closest.items(), key=lambda item: item[1])


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_marks_have_the_contrast_that_wcag_asks_for(scheme):
    for ink in ("ink", "soft"):
        for paper in ("paper", "track"):
            assert sight.contrast(scheme[ink], scheme[paper]) >= 4.5, (ink, paper)
    for mark in ("partial", "major", "maintenance", "accent", "scale-3", "scale-4"):
        assert sight.contrast(scheme[mark], scheme["paper"]) >= 3, mark
    # The worse, the stronger, on light paper and on dark.
    strength = [sight.contrast(scheme[name], scheme["paper"]) for name in ("major", "partial", "performance")]
    assert strength == sorted(strength, reverse=True)
