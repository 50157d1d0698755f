"""How available was it on each day: a strip of days for each component, and a calendar.

In the strips a status is told by its height as well as by its colour, so that they read in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from cachet_dagster.analytics.formats import bounds, count, day, percent

from .colours import STATUS_CLASSES
from .svg import HEAD, MARGIN, WIDTH, Chart, Drawing, Mark, empty

_STRIP = 22
_SHARES = {1: 1.0, 2: 0.45, 3: 0.7, 4: 1.0, 6: 0.25}
"""How much of a strip's height a status fills; what is unknown is a thin line."""
_LEGEND = (
    (1, "operational"),
    (6, "maintenance"),
    (2, "performance issues"),
    (3, "partial outage"),
    (4, "major outage"),
    (None, "not known"),
)


@dataclass(frozen=True)
class ComponentDays:
    """A component's days up to the last one of the strip.

    Attributes:
        name: Its name.
        statuses: The worst status of each day, as Cachet's code from 1 to 6; None where the day is not known.
        uptime: Share of these days' known time, from 0 to 1, or None.
        lower: The least that it can have been.
        upper: The most that it can have been.
    """

    name: str
    statuses: Sequence[int | None]
    uptime: float | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class DayShare:
    """A day and a share from 0 to 1 that belongs to it; None where it is not known."""

    day: date
    share: float | None


def uptime_bars(components: Sequence[ComponentDays], last_day: date, *, most: int = 40) -> Chart:
    """Draw a strip of days for each component, the last one on the right.

    Args:
        components: In the order of the page.
        last_day: The day that every strip ends with.
        most: How many components to draw at most; the others are counted below.
    """
    days = max((len(component.statuses) for component in components), default=0)
    title = f"How was each component on each of the {days} days up to {day(last_day)}?"
    if not days:
        return empty("How was each component on each day?", "No component has a day on record yet.")
    drawing = Drawing(title, _bars_answer(components))
    left, width = 210.0, WIDTH - 210 - 150
    y = HEAD + 16.0
    _day_ticks(drawing, left, width, y, days, last_day)
    shown = components[:most]
    runs: list[_Run] = []
    for component in shown:
        y += 14
        drawing.text(left - 12, y + 16, component.name, "end", width=left - 12 - MARGIN)
        runs += _runs(y, days, component.statuses)
        figure = percent(component.uptime)
        drawing.text(WIDTH - 128, y + 16, figure, "figure bold")
        span = bounds(component.lower, component.upper)
        if component.lower is not None and span != figure:
            drawing.text(WIDTH - 128, y + 29, span, "figure small soft", width=128 - 8)
            y += 8
        y += _STRIP
    _strips(drawing, left, width / days, runs)
    if len(shown) < len(components):
        y += 24
        left_out = count(len(components) - len(shown), "more component")
        drawing.text(left, y, f"and {left_out}, in the table", "soft small")
    return drawing.chart(_legend(drawing, y + 34))


def _bars_answer(components: Sequence[ComponentDays]) -> str:
    known = [component for component in components if component.uptime is not None]
    if not known:
        return "No component has an uptime yet."
    lowest = min(known, key=lambda component: component.uptime or 0)
    spotless = sum(component.uptime == 1 for component in known)
    if spotless == len(known):
        return f"{count(len(known), 'component')}, and none was down."
    none = f"{spotless} of {len(known)} were never down" if spotless else "each was down at some time"
    return f"{lowest.name} was lowest with {percent(lowest.uptime)}; {none}."


@dataclass(frozen=True)
class _Run:
    """Days of one status in one component's strip: where the strip is, the first day and how many."""

    top: float
    status: int | None
    first: int
    days: int


def _runs(top: float, days: int, statuses: Sequence[int | None]) -> list[_Run]:
    position = days - len(statuses)
    runs = []
    for status, run in groupby(statuses):
        length = len(list(run))
        known = status if STATUS_CLASSES.get(status or 0, "unknown") != "unknown" else None
        runs.append(_Run(top, known, position, length))
        position += length
    return runs


def _strips(drawing: Drawing, left: float, step: float, runs: Sequence[_Run]) -> None:
    """Draw a path for each status: a run of its days is a dashed line, a day a dash, however many there are.

    A day is one wide there, and scaled to its width.
    """
    gap = min(2.0, step * 0.3) / step
    # What a low status leaves free of the strip's height shows that it is low.
    low = [run for run in runs if _SHARES.get(run.status or 1, 1.0) < 1]
    lines = [(low, _STRIP, "track"), ([run for run in runs if run.status is None], 2.0, "unknown")]
    for status, share in _SHARES.items():
        lines.append(([run for run in runs if run.status == status], _STRIP * share, STATUS_CLASSES[status]))
    drawing.raw(
        f'<g transform="translate({left:g} 0)scale({step:.4f} 1)" stroke-dasharray="{1 - gap:.3f} {gap:.3f}">'
    )
    for of_status, tall, name in lines:
        lift = _STRIP / 2 if name == "unknown" else _STRIP - tall / 2
        path = "".join(f"M{run.first} {run.top + lift:.4g}h{run.days}" for run in of_status)
        if path:
            drawing.raw(f'<path d="{path}" stroke-width="{tall:.3g}" class="s-{name}"/>')
    drawing.raw("</g>")


def _day_ticks(drawing: Drawing, left: float, width: float, y: float, days: int, last_day: date) -> None:
    """Name the first day of each month that has room, and both ends."""
    step = width / days
    first = last_day - timedelta(days=days - 1)
    drawing.text(left + width, y, day(last_day), "end small soft")
    drawing.text(left, y, day(first), "small soft")
    for offset in range(days):
        there = first + timedelta(days=offset)
        x = left + offset * step
        if there.day == 1 and left + 80 < x < left + width - 90:
            drawing.text(x, y, f"{there:%b}", "small soft")
            drawing.line(x - 1, y + 5, x - 1, y + 10, "grid")


def _legend(drawing: Drawing, y: float) -> float:
    def mark(status: int | None) -> Mark:
        def draw(x: float, y: float) -> None:
            if status is None:
                drawing.rect(x, y - 5, 9, 2, "f-unknown")
                return
            drawing.rect(x, y - 11, 9, 14, "f-track")
            share = _SHARES[status]
            drawing.rect(x, y - 11 + 14 * (1 - share), 9, 14 * share, f"f-{STATUS_CLASSES[status]}")

        return draw

    return drawing.legend(y, [(mark(status), 9, words) for status, words in _LEGEND])


_STEPS = (
    (1.0, "100 %"),
    (0.999, "99.9 % or more"),
    (0.99, "99 % or more"),
    (0.95, "95 % or more"),
    (0.0, "less"),
)


def uptime_calendar(days: Sequence[DayShare], *, whose: str = "the page") -> Chart:
    """Draw a square for each day, a week a column, darker the less time was up.

    Args:
        days: In order of time; as many as a year.
        whose: Whose uptime it is, for the title.
    """
    title = f"Which days hurt {whose}?"
    known = [entry for entry in days if entry.share is not None]
    if not known:
        return empty(title, "No day has an uptime yet.")
    drawing = Drawing(title, _calendar_answer(known))
    first = days[0].day
    start = first - timedelta(days=first.weekday())
    weeks = ((days[-1].day - start).days // 7) + 1
    left, top = MARGIN + 36.0, HEAD + 28.0
    cell = min(22.0, (WIDTH - MARGIN - left) / weeks)
    for weekday, name in enumerate(("Mon", "", "Wed", "", "Fri", "", "Sun")):
        drawing.text(MARGIN, top + (weekday + 0.75) * cell, name, "small soft")
    last_label = -100.0
    for entry in days:
        week, weekday = divmod((entry.day - start).days, 7)
        x = left + week * cell
        if entry.day.day <= 7 and weekday == 0 and x - last_label > 30:
            drawing.text(x, top - 8, f"{entry.day:%b}", "small soft")
            last_label = x
    levels: dict[int | None, list[tuple[float, float]]] = {}
    for entry in days:
        week, weekday = divmod((entry.day - start).days, 7)
        x, y = left + week * cell, top + weekday * cell
        levels.setdefault(_step(entry.share), []).append((x, y))
        if entry.share is not None and entry.share < 1:
            drawing.tip(x, y, cell - 2, cell - 2, f"{day(entry.day)}: {percent(entry.share)}")
    unknown = levels.pop(None, [])
    drawing.squares([(x + cell / 2 - 3, y + cell / 2 - 2) for x, y in unknown], 4, 2, "unknown")
    for level, corners in levels.items():
        drawing.squares(corners, cell - 2, cell - 2, f"scale-{level}")
    return drawing.chart(_calendar_legend(drawing, top + 7 * cell + 24))


def _step(share: float | None) -> int | None:
    """Return how dark a day is drawn, from 0 to 4; None where it is not known."""
    if share is None:
        return None
    return next(number for number, (least, _) in enumerate(_STEPS) if share >= least)


def _calendar_answer(known: Sequence[DayShare]) -> str:
    hurt = sorted((entry for entry in known if (entry.share or 0) < 1), key=lambda entry: entry.share or 0)
    if not hurt:
        return f"None of {count(len(known), 'day')} was below 100 %."
    worst = ", ".join(f"{day(entry.day)} ({percent(entry.share)})" for entry in hurt[:2])
    return f"{len(hurt)} of {count(len(known), 'day')} were below 100 %; worst: {worst}."


def _calendar_legend(drawing: Drawing, y: float) -> float:
    def mark(level: int) -> Mark:
        return lambda x, y: drawing.rect(x, y - 11, 14, 14, f"f-scale-{level}")

    entries = [(mark(level), 14.0, words) for level, (_, words) in enumerate(_STEPS)]
    entries.append((lambda x, y: drawing.rect(x, y - 5, 4, 2, "f-unknown"), 4.0, "not known"))
    return drawing.legend(y, entries)
