"""How available was it on each day: a strip of days for each component, and a calendar.

In the strips a day is told by its height as well as by its colour, so that they read in grey. What is assumed is pale,
what is unknown is empty: neither looks like a day that was seen to be up.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Literal

from cachet_dagster.analytics.formats import between, bounds, count, day, text_width

from .svg import Chart, Drawing, Entry, both_widths, empty

DayKind = Literal[
    "operational", "assumed", "maintenance", "performance", "partial", "uncertain", "major", "unknown"
]
"""What a day of a component was at worst; `uncertain` where it may have been an outage."""

_STRIP = 22
_KINDS: dict[DayKind, tuple[float, str]] = {
    "operational": (1.0, "operational"),
    "assumed": (1.0, "assumed"),
    "maintenance": (0.25, "maintenance"),
    "performance": (0.45, "performance issues"),
    "uncertain": (0.6, "not certain"),
    "partial": (0.7, "partial outage"),
    "major": (1.0, "major outage"),
}
"""How much of a strip's height a kind of day fills, and its words; an unknown day is an empty one on a thin line."""


@dataclass(frozen=True)
class ComponentDays:
    """A component's days up to the last one of the strip.

    Attributes:
        name: Its name.
        days: What each day was.
        lower: The least that the uptime of these days can have been, from 0 to 1; None where all is unknown.
        upper: The most.
    """

    name: str
    days: Sequence[DayKind]
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class DayUptime:
    """A day's uptime by its bounds, None where it is unknown; and whether all of it is assumed."""

    day: date
    lower: float | None
    upper: float | None
    is_assumed: bool = False


def uptime_bars(
    components: Sequence[ComponentDays], last_day: date, *, most: int = 40, of: str = "component"
) -> Chart:
    """Draw a strip of days for each component, the last one on the right.

    Args:
        components: In the order of the page.
        last_day: The day that every strip ends with.
        most: How many to draw at most; the others are counted below.
        of: What has a strip.
    """
    days = max((len(component.days) for component in components), default=0)
    if not days:
        return empty(f"How was each {of} on each day?", f"No {of} has a day on record yet.")
    return both_widths(lambda width: _bars(components, days, last_day, most, of, width))


def _bars(
    components: Sequence[ComponentDays], days: int, last_day: date, most: int, of: str, width: float
) -> Chart:
    title = f"How was each {of} on each of the {days} days up to {day(last_day)}?"
    drawing = Drawing(title, _bars_answer(components, of), width)
    # A telephone has no room for names and figures beside the strips: they stand above.
    left = drawing.margin if drawing.is_narrow else 210.0
    wide = drawing.right - left - (0 if drawing.is_narrow else 130)
    y = drawing.top + 10
    _day_ticks(drawing, left, wide, y, days, last_day)
    runs: list[_Run] = []
    for component in components[:most]:
        figure = bounds(component.lower, component.upper)
        if drawing.is_narrow:
            y += 28
            room = drawing.right - left - text_width(figure) * 1.15 - 10
            drawing.text(left, y - 5, component.name, width=room)
            drawing.text(drawing.right, y - 5, figure, "end figure bold")
        else:
            y += 14
            drawing.text(left - 12, y + 16, component.name, "end", width=left - 12 - drawing.margin)
            drawing.text(drawing.right, y + 16, figure, "end figure bold", width=120)
        runs += _runs(y, days, component.days)
        y += _STRIP
    _strips(drawing, left, wide / days, runs)
    if len(components) > most:
        y += 24
        left_out = count(len(components) - most, f"more {of}")
        drawing.text(left, y, f"and {left_out}, in the table", "soft small")
    drawn = {run.kind for run in runs}
    return drawing.chart(drawing.legend(y + 34, _bars_legend(drawing, drawn)))


def _bars_answer(components: Sequence[ComponentDays], of: str) -> str:
    known = [one for one in components if one.lower is not None and one.upper is not None]
    if not known:
        return "Everything is unknown."
    lowest = min(known, key=lambda one: (one.upper or 0, one.lower or 0))
    if lowest.lower == 1:
        return f"{count(len(known), of)}, and no downtime."
    up = sum(one.lower == 1 for one in known)
    perhaps = sum(one.upper == 1 and one.lower != 1 for one in known)
    parts = [f"{lowest.name} was lowest: {between(lowest.lower, lowest.upper)}"]
    parts += [f"{up} of {len(known)} had no downtime"] * bool(up)
    parts += [f"of {perhaps} it is not certain whether there was any"] * bool(perhaps)
    return "; ".join(parts) + "."


@dataclass(frozen=True)
class _Run:
    """Days of one kind in one component's strip: where the strip is, the first day and how many."""

    top: float
    kind: DayKind
    first: int
    days: int


def _runs(top: float, days: int, kinds: Sequence[DayKind]) -> list[_Run]:
    position = days - len(kinds)
    runs = []
    for kind, run in groupby(kinds):
        length = len(list(run))
        runs.append(_Run(top, kind, position, length))
        position += length
    return runs


def _strips(drawing: Drawing, left: float, step: float, runs: Sequence[_Run]) -> None:
    """Draw a path for each kind: a run of its days is a dashed line, a day a dash, however many there are.

    A day is one wide there, and scaled to its width.
    """
    gap = min(2.0, step * 0.3) / step
    # What a low kind leaves free of the strip's height shows that it is low.
    low = [run for run in runs if _KINDS.get(run.kind, (1.0,))[0] < 1]
    lines = [(low, _STRIP, "track"), ([run for run in runs if run.kind == "unknown"], 2.0, "unknown")]
    for kind, (share, _) in _KINDS.items():
        lines.append(([run for run in runs if run.kind == kind], _STRIP * share, kind))
    drawing.raw(
        f'<g transform="translate({left:g} 0)scale({step:.4f} 1)" stroke-dasharray="{1 - gap:.3f} {gap:.3f}">'
    )
    for of_kind, tall, name in lines:
        path = "".join(f"M{run.first} {run.top + _STRIP - tall / 2:.4g}h{run.days}" for run in of_kind)
        if path:
            drawing.raw(f'<path d="{path}" stroke-width="{tall:.3g}" class="s-{name}"/>')
    drawing.raw("</g>")


def _day_ticks(drawing: Drawing, left: float, width: float, y: float, days: int, last_day: date) -> None:
    """Name the first day of each month that has room, and both ends."""
    step = width / days
    first = last_day - timedelta(days=days - 1)
    drawing.text(left + width, y, day(last_day), "end small soft")
    if days == 1:
        return
    drawing.text(left, y, day(first), "small soft")
    for offset in range(days):
        there = first + timedelta(days=offset)
        x = left + offset * step
        if there.day == 1 and left + 80 < x < left + width - 120:
            drawing.text(x, y, f"{there:%b}", "small soft")


def _bars_legend(drawing: Drawing, drawn: Collection[str]) -> list[Entry]:
    entries = [
        drawing.swatch(f"f-{kind}", words, height=14 * share)
        for kind, (share, words) in _KINDS.items()
        if kind in drawn
    ]
    return entries + [drawing.swatch("f-unknown", "unknown", height=2)] * ("unknown" in drawn)


_STEPS = (
    (1.0, "100 %"),
    (0.999, "99.9 % or more"),
    (0.99, "99 % or more"),
    (0.95, "95 % or more"),
    (0.0, "less"),
)


def uptime_calendar(days: Sequence[DayUptime], *, whose: str = "the page") -> Chart:
    """Draw a square for each day, a week a column, darker the less time was up.

    Args:
        days: In order of time; as many as a year.
        whose: Whose uptime it is, for the title.
    """
    title = f"Which days hurt {whose}?"
    known = [entry for entry in days if entry.upper is not None]
    if not known:
        return empty(title, "Every day is unknown.")
    return both_widths(lambda width: _calendar(title, days, known, width))


def _calendar(title: str, days: Sequence[DayUptime], known: Sequence[DayUptime], width: float) -> Chart:
    drawing = Drawing(title, _calendar_answer(known), width)
    left, top = drawing.margin + 36.0, drawing.top + 18
    start = days[0].day - timedelta(days=days[0].day.weekday())
    weeks = ((days[-1].day - start).days // 7) + 1
    # A telephone shows the last half year: squares of a year would be dots.
    skipped = max(weeks - 26, 0) if drawing.is_narrow else 0
    cell = min(22.0, (drawing.right - left) / (weeks - skipped))
    for weekday, name in enumerate(("Mon", "", "Wed", "", "Fri", "", "Sun")):
        drawing.text(drawing.margin, top + (weekday + 0.75) * cell, name, "small soft")
    last_label = -100.0
    squares: dict[str, list[tuple[float, float, float, float]]] = {}
    for entry in days:
        week, weekday = divmod((entry.day - start).days, 7)
        if week < skipped:
            continue
        x, y = left + (week - skipped) * cell, top + weekday * cell
        if entry.day.day <= 7 and weekday == 0 and x - last_label > 30 and x < drawing.right - 24:
            drawing.text(x, top - 8, f"{entry.day:%b}", "small soft")
            last_label = x
        # An outline lies half outside of its box.
        size = cell - (3 if entry.upper is None else 2)
        inset = 0.5 if entry.upper is None else 0
        squares.setdefault(_square(entry), []).append((x + inset, y + inset, size, size))
        drawing.tip(x, y, cell - 2, cell - 2, f"{day(entry.day)}: {_told(entry)}")
    for name, boxes in squares.items():
        drawing.boxes(boxes, _SQUARES[name][0])
    entries = [
        drawing.swatch(classes, words) for name, (classes, words) in _SQUARES.items() if name in squares
    ]
    return drawing.chart(drawing.legend(top + 7 * cell + 24, entries))


_SQUARES = {
    **{f"scale-{level}": (f"f-scale-{level}", words) for level, (_, words) in enumerate(_STEPS)},
    "uncertain": ("f-uncertain", "not certain"),
    "assumed": ("f-assumed", "assumed"),
    "unknown": ("grid", "unknown"),
}
"""How each kind of day is drawn, and its words."""


def _square(entry: DayUptime) -> str:
    if entry.upper is None or entry.lower is None:
        return "unknown"
    if entry.is_assumed and entry.lower == 1:
        return "assumed"
    levels = [
        next(number for number, (least, _) in enumerate(_STEPS) if share >= least)
        for share in (entry.lower, entry.upper)
    ]
    return f"scale-{levels[0]}" if levels[0] == levels[1] else "uncertain"


def _told(entry: DayUptime) -> str:
    square = _square(entry)
    return square if square in {"unknown", "assumed"} else bounds(entry.lower, entry.upper)


def _calendar_answer(known: Sequence[DayUptime]) -> str:
    down = sorted((one for one in known if (one.upper or 0) < 1), key=lambda one: (one.upper or 0, one.day))
    perhaps = sum(one.upper == 1 and one.lower != 1 for one in known)
    parts = [f"On {len(down)} of {count(len(known), 'day')} there was downtime"]
    if down:
        worst = ", ".join(f"{day(one.day)} ({bounds(one.lower, one.upper)})" for one in down[:2])
        parts.append(f"worst: {worst}")
    parts += [f"on {perhaps} more it is not certain"] * bool(perhaps)
    return "; ".join(parts) + "."
