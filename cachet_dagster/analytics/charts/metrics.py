"""A metric in time: the band between its least and its greatest value, its middle, and the incidents behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cachet_dagster.analytics.formats import count, number

from .svg import Chart, Drawing, both_widths, empty


@dataclass(frozen=True)
class Span:
    """A stretch of time with a name: when it began and, unless it goes on, when it ended."""

    name: str
    begin: datetime
    end: datetime | None


@dataclass(frozen=True)
class Band:
    """An interval of a metric: when it begins, and the least, the middle and the greatest value within it."""

    begin: datetime
    minimum: float
    middle: float
    maximum: float


def metric_band(
    name: str, suffix: str, bands: Sequence[Band], incidents: Sequence[Span], now: datetime
) -> Chart:
    """Draw a metric's intervals with the incidents of the time behind it.

    Args:
        name: The metric's name.
        suffix: Its unit, as the page prints it.
        bands: In order of time, of equal length; a missing one leaves a gap.
        incidents: What to shade; what lies outside of the metric's time is left out.
        now: Where an incident that goes on is cut off.
    """
    title = f"How did “{name}” go, and what was wrong meanwhile?"
    if len(bands) < 2:
        return empty(title, "There are too few points yet.")
    return both_widths(lambda width: _draw(title, suffix, bands, incidents, now, width))


def _draw(
    title: str, suffix: str, bands: Sequence[Band], incidents: Sequence[Span], now: datetime, width: float
) -> Chart:
    step = min(after.begin - before.begin for before, after in pairwise(bands))
    begin, end = bands[0].begin, bands[-1].begin + step
    inside = [span for span in incidents if span.begin < end and (span.end or now) > begin]
    drawing = Drawing(title, _answer(bands, suffix, len(inside)), width)
    left, top, tall = drawing.margin + 62.0, drawing.top + 14, 180.0
    wide = drawing.right - left
    seconds = (end - begin).total_seconds()

    def across(at: datetime) -> float:
        return left + wide * min(max((at - begin).total_seconds() / seconds, 0), 1)

    for span in inside:
        start = min(across(span.begin), drawing.right - 2)
        box = (start, top, max(across(span.end or now) - start, 2), tall)
        drawing.rect(*box, "f-shade")
        drawing.tip(*box, span.name)
    height = _scale(drawing, bands, left, top, tall)
    drawing.text(left - 8, top - 9, suffix, "end small soft", width=left - 8 - drawing.margin)
    for run in _runs(bands, step):
        # Whole pixels: there may be hundreds.
        points = [(round(across(band.begin + step / 2)), band) for band in run]
        drawing.path(
            [(x, round(height(band.maximum))) for x, band in points]
            + [(x, round(height(band.minimum))) for x, band in reversed(points)],
            "f-accent-soft band",
            closed=True,
        )
        drawing.path([(x, round(height(band.middle))) for x, band in points], "s-accent", width=2)
    for share in (0, 0.5, 1) if drawing.is_narrow else (0, 0.25, 0.5, 0.75, 1):
        at = begin + (end - begin) * share
        anchor = "" if share == 0 else " end" if share == 1 else " middle"
        text = f"{at.day} {at:%b}" if seconds > 3 * 86_400 else f"{at.day} {at:%b %H:%M}"
        drawing.text(left + wide * share, top + tall + 20, text, f"small soft{anchor}")
    entries = [
        drawing.stroke("s-accent", "median"),
        drawing.swatch("f-accent-soft", "from minimum to maximum"),
        *[drawing.swatch("f-shade", "an incident was open")] * bool(inside),
    ]
    return drawing.chart(drawing.legend(top + tall + 44, entries))


def _answer(bands: Sequence[Band], suffix: str, incidents: int) -> str:
    lowest, highest = min(band.minimum for band in bands), max(band.maximum for band in bands)
    during = f"{count(incidents, 'incident')} meanwhile" if incidents else "no incident meanwhile"
    last = bands[-1].middle
    return f"From {number(lowest)} to {number(highest)} {suffix}, last {number(last)}; {during}."


def _scale(drawing: Drawing, bands: Sequence[Band], left: float, top: float, tall: float):
    """Draw the lines of a scale, and return what turns a value into a height."""
    low, high = min(band.minimum for band in bands), max(band.maximum for band in bands)
    if low > 0 and low < 0.6 * high:
        low = 0.0
    size = _round_step((high - low or abs(high) or 1) / 4)
    low = math.floor(low / size) * size
    high = max(math.ceil(high / size) * size, low + size)

    def height(value: float) -> float:
        return top + (high - value) / (high - low) * tall

    places = max(0, -math.floor(math.log10(size))) if size < 1 else 0
    for tick in range(round((high - low) / size) + 1):
        value = low + tick * size
        drawing.line(left, height(value), drawing.right, height(value), "grid")
        drawing.text(left - 8, height(value) + 4, f"{value:,.{places}f}", "end small soft figure")
    return height


def _round_step(size: float) -> float:
    magnitude = 10 ** math.floor(math.log10(size))
    return next(
        magnitude * factor for factor in (1, 2, 2.5, 5, 10) if size <= magnitude * factor * (1 + 1e-9)
    )


def _runs(bands: Sequence[Band], step) -> list[list[Band]]:
    """Return the intervals in runs without a gap: a line across a gap would invent values."""
    runs: list[list[Band]] = [[bands[0]]]
    for before, after in pairwise(bands):
        if after.begin - before.begin > 1.5 * step:
            runs.append([])
        runs[-1].append(after)
    return runs
