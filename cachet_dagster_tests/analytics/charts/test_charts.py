"""Charts are well-formed pictures that answer their question, whatever a page is called, for whoever looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from itertools import combinations
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.charts import (
    Band,
    Chart,
    ComponentDays,
    DayShare,
    MonthDurations,
    MonthUptime,
    Span,
    budget_burn_down,
    durations,
    metric_band,
    monthly_uptime,
    overlap,
    uptime_bars,
    uptime_calendar,
    weekday_hour,
)
from cachet_dagster.analytics.charts.colours import DARK, LIGHT

from . import sight

HOSTILE = '</text><script>alert(1)</script>"\' onload="x" &amp; ]]> ‮ann@example.com\x00'
LAST = date(2026, 10, 31)
BEGIN = datetime(2026, 10, 1, tzinfo=timezone.utc)
END = datetime(2026, 11, 1, tzinfo=timezone.utc)


def days(*shares: float | None) -> list[DayShare]:
    return [DayShare(LAST - timedelta(days=len(shares) - 1 - at), share) for at, share in enumerate(shares)]


def spans(name: str) -> list[Span]:
    return [
        Span(name, BEGIN + timedelta(days=2), BEGIN + timedelta(days=3), 4),
        Span(name, BEGIN + timedelta(days=2, hours=5), None, None, is_end_certain=False),
        Span(name, BEGIN - timedelta(days=9), BEGIN - timedelta(days=8), 3),
    ]


CHARTS: dict[str, Callable[[str], Chart]] = {
    "bars": lambda name: uptime_bars([ComponentDays(name, [1, None, 4], 0.9, 0.8, 0.95)], LAST),
    "calendar": lambda name: uptime_calendar(days(1, None, 0.97), whose=name),
    "monthly": lambda name: monthly_uptime([MonthUptime(BEGIN.date(), 0.99, 0.9, 1)], 0.999, whose=name),
    "budget": lambda name: budget_burn_down(
        days(0.5, -0.2, None), whose=name, target=0.999, budget_seconds=2_678, period="October 2026"
    ),
    "durations": lambda name: durations([MonthDurations(BEGIN.date(), 3, 600, 90_000, 1)]),
    "week": lambda name: weekday_hour({(0, 9): 3, (6, 23): 1}, zone=name),
    "overlap": lambda name: overlap(spans(name), BEGIN, END, period="October 2026", now=END),
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

    assert texts[0].endswith("?")
    assert chart.answer.endswith(".")
    assert texts[1].rstrip("…")[:60] in chart.answer
    assert ElementTree.fromstring(chart.inline()).get("aria-label") == f"{chart.title} {chart.answer}"
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


@pytest.mark.parametrize("make", CHARTS.values(), ids=CHARTS.keys())
def test_everything_that_is_drawn_lies_within_the_picture(make):
    chart = make("Parcel tracking and a long name behind it, longer than anybody would give")
    root = ElementTree.fromstring(chart.svg())

    for element in root.iter():
        for name, least, most in (
            ("x", 0, 760),
            ("y", 0, chart.height),
            ("cx", 0, 760),
            ("cy", 0, chart.height),
        ):
            for place in element.attrib.get(name, "").split():
                assert least <= float(place) <= most


def test_a_strip_has_a_dash_for_each_day_and_a_younger_component_begins_later():
    statuses = [1] * 30 + [4] * 2 + [None] + [1] * 57
    chart = uptime_bars([ComponentDays("old", statuses, 0.98), ComponentDays("new", [1, 3], 0.9)], LAST)

    dash, gap = re.search(r'stroke-dasharray="([\d.]+) ([\d.]+)"', chart.body).groups()
    runs = [
        (int(days), name, int(first) + int(days))
        for path, name in re.findall(r'd="([Mh\d. ]+)" stroke-width="[\d.]+" class="s-(\w+)"', chart.body)
        for first, days in re.findall(r"M(\d+) [\d.]+h(\d+)", path)
        if name != "track"
    ]

    assert float(dash) + float(gap) == 1
    assert sorted((days, name) for days, name, _ in runs) == [
        (1, "operational"), (1, "partial"), (1, "unknown"), (2, "major"), (30, "operational"), (57, "operational"),
    ]  # fmt: skip
    assert [end for *_, end in runs].count(90) == 2


def test_ninety_days_of_twenty_components_stay_small_and_more_are_counted():
    quiet = [ComponentDays(f"component {number}", [1] * 40 + [3] + [1] * 49, 0.99) for number in range(20)]

    assert len(uptime_bars(quiet, LAST).body) < 6_000
    assert "and 3 more components, in the table" in uptime_bars(quiet, LAST, most=17).body


def test_the_answer_names_what_was_worst():
    assert (
        "new was lowest with 90.00 %; 1 of 2 were never down."
        in uptime_bars([ComponentDays("old", [1], 1.0), ComponentDays("new", [3], 0.9)], LAST).answer
    )
    assert uptime_calendar(days(1, 0.5, None, 0.9)).answer == (
        "2 of 3 days were below 100 %; worst: 29 Oct 2026 (50.00 %), 31 Oct 2026 (90.00 %)."
    )
    months = [
        MonthUptime(date(2026, month, 1), share) for month, share in ((8, 0.9991), (9, 0.998), (10, None))
    ]
    assert monthly_uptime(months, 0.999).answer.startswith("Kept in 1 of 2 months; lowest: September 2026")
    months.insert(0, MonthUptime(date(2026, 7, 1), 1, is_assumed=True))
    assert "Kept in 1 of 2 months" in monthly_uptime(months, 0.999).answer
    assert "nothing is known of 1 more" in monthly_uptime(months, 0.999).answer
    assert CHARTS["budget"]("the page").answer.startswith(
        "Overspent by 20 % on 30 Oct 2026 of the 44 min 38 s"
    )
    assert CHARTS["overlap"]("x").answer == "At most 2 of 2 at once, first on 3 Oct 2026 at 05:00."


@pytest.mark.parametrize(("first", "last"), [(1, 2), (5, 9), (14, 17), (20, 31), (30, 31), (1, 31), (3, 29)])
def test_a_name_of_forty_letters_is_read_whole_beside_its_bar_or_upon_a_long_one(first, last):
    name = "Warehouse Scanner Sync: some requests fail"
    span = Span(name, BEGIN + timedelta(days=first - 1), BEGIN + timedelta(days=last - 1), 4)
    root = ElementTree.fromstring(overlap([span], BEGIN, END, period="October 2026", now=END).inline())

    [text] = [one for one in root.iter("{http://www.w3.org/2000/svg}text") if one.text == name]
    width = formats.text_width(name, 11.5)
    begin = float(text.get("x", "nan")) - width * ("end" in text.get("class", ""))

    assert begin >= 20
    assert begin + width <= 740


def test_a_line_does_not_cross_a_gap_between_points():
    bands = [Band(BEGIN + timedelta(hours=hour), 1, 2, 3) for hour in (0, 1, 2, 6, 7)]

    assert metric_band("m", "ms", bands, [], END).body.count('class="f-accent-soft band"') == 2


@pytest.mark.parametrize(
    "chart",
    [
        uptime_bars([], LAST),
        uptime_calendar(days(None)),
        monthly_uptime([], 0.99),
        budget_burn_down(days(None), whose="x", target=0.99, budget_seconds=1, period="2026"),
        durations([MonthDurations(BEGIN.date(), 0, None, None, 2)]),
        weekday_hour({}),
        overlap(spans("x"), END + timedelta(days=90), END + timedelta(days=91), period="x", now=END),
        metric_band("m", "ms", [], [], END),
    ],
    ids=CHARTS.keys(),
)
def test_without_anything_to_show_a_chart_says_why(chart):
    assert chart.title.endswith("?")
    assert chart.answer.endswith(".")
    assert chart.height < 80
    ElementTree.fromstring(chart.svg())


STATUSES = ("operational", "performance", "partial", "major", "unknown", "maintenance")


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
    for level, ink in ((1, "on-light"), (2, "on-light"), (3, "on-dark"), (4, "on-dark")):
        assert sight.contrast(scheme[ink], scheme[f"scale-{level}"]) >= 4.5, (level, ink)
