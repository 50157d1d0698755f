"""Incidents in time: how long they take, when they begin, and what overlapped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from cachet_dagster.analytics.formats import brief, count, day, duration, month

from .colours import STATUS_CLASSES
from .svg import HEAD, MARGIN, WIDTH, Chart, Drawing, Mark, empty

_MARKS = (
    *((60 * number, f"{number} min") for number in (1, 2, 5, 10, 20)),
    *((3_600 * number, f"{number} h") for number in (1, 2, 3, 6, 12)),
    *((86_400 * number, f"{number} d") for number in (1, 2, 4, 7, 14, 30, 60, 120, 365)),
)
_SEVERITIES = (
    (4, "major outage"),
    (3, "partial outage"),
    (2, "performance issues"),
    (6, "maintenance"),
    (None, "no severity given"),
)
_ENOUGH = 10
"""Of fewer incidents nine in ten are all of them, and their 90th percentile says nothing of its own."""
_ROOM = 300
"""Pixels that a name has at least: 42 letters."""
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class MonthDurations:
    """How long the incidents of a month took: how many were resolved, their median and 90th percentile in seconds."""

    month: date
    resolved: int
    median: float | None
    p90: float | None
    still_open: int = 0


@dataclass(frozen=True)
class Span:
    """A stretch of time with a name.

    Attributes:
        name: An incident's or a maintenance's name.
        begin: When it began, with a time zone.
        end: When it ended, or None while it goes on.
        status: The worst component status within it, Cachet's code from 1 to 6; None where none was given.
        is_end_certain: Whether the end was reported, not only bounded.
    """

    name: str
    begin: datetime
    end: datetime | None
    status: int | None = None
    is_end_certain: bool = True


def durations(months: Sequence[MonthDurations]) -> Chart:
    """Draw the median and the 90th percentile of each month, on a scale where each mark is a multiple of the last.

    Args:
        months: In order of time; the last twelve are drawn, by when incidents began.
    """
    title = "How long do incidents take to be fixed?"
    months = months[-12:]
    known = [entry for entry in months if entry.median is not None]
    if not known:
        return empty(title, "No incident was resolved yet.")
    last = known[-1]
    nine = f", nine in ten within {duration(last.p90)}" if last.resolved >= _ENOUGH else ""
    answer = f"{month(last.month)}: half within {duration(last.median)}{nine} (n = {last.resolved})."
    drawing = Drawing(title, answer)
    left, top, tall = MARGIN + 58.0, HEAD + 16.0, 190.0
    height = _log_scale(drawing, known, left, top, tall)
    step = (WIDTH - MARGIN - left) / max(len(months), 6)
    for position, entry in enumerate(months):
        x = left + (position + 0.5) * step
        drawing.text(x, top + tall + 20, f"{entry.month:%b %y}", "middle small soft")
        drawing.text(x, top + tall + 36, f"n = {entry.resolved}", "middle small soft")
        if entry.still_open:
            drawing.text(x, top + tall + 50, f"{entry.still_open} open", "middle small soft")
        if entry.median is None:
            continue
        nine = entry.p90 if entry.resolved >= _ENOUGH else None
        low, high = height(entry.median), height(nine or entry.median)
        if nine:
            drawing.line(x, high, x, low, "s-accent-soft", width=6)
            drawing.circle(x, high, 5, "s-accent paper", width=2)
        drawing.circle(x, low, 5.5, "f-accent")
        _duration_labels(drawing, x, low, high, entry, step)
    entries = [
        (
            lambda x, y: drawing.circle(x + 6, y - 4, 5.5, "f-accent"),
            12.0,
            "median: half were fixed within it",
        ),
        (
            lambda x, y: drawing.circle(x + 6, y - 4, 5, "s-accent paper", width=2),
            12.0,
            f"90th percentile: nine in ten (where n ≥ {_ENOUGH})",
        ),
    ]
    return drawing.chart(drawing.legend(top + tall + 74, entries))


def _duration_labels(
    drawing: Drawing, x: float, low: float, high: float, entry: MonthDurations, step: float
) -> None:
    drawing.text(x, low + 19, brief(entry.median), "middle small")
    if low - high > 4:
        drawing.text(x, high - 10, brief(entry.p90), "middle small soft")


def _log_scale(drawing: Drawing, known: Sequence[MonthDurations], left: float, top: float, tall: float):
    """Draw the lines of a logarithmic scale, and return what turns seconds into a height."""
    lowest = max(min(entry.median or 1 for entry in known), 1)
    highest = max(*(entry.p90 or entry.median or 1 for entry in known), lowest)
    begin = max((size for size, _ in _MARKS if size <= lowest / 1.6), default=10)
    end = min((size for size, _ in _MARKS if size >= highest * 1.5), default=highest * 2)

    def height(seconds: float) -> float:
        share = math.log(max(seconds, begin) / begin) / math.log(end / begin)
        return top + (1 - share) * tall

    last = math.inf
    for size, words in _MARKS:
        if begin <= size <= end and last - height(size) > 22:
            last = height(size)
            drawing.line(left, height(size), WIDTH - MARGIN, height(size), "grid")
            drawing.text(left - 8, height(size) + 4, words, "end small soft figure")
    return height


def weekday_hour(counts: Mapping[tuple[int, int], int], *, zone: str = "UTC") -> Chart:
    """Draw how many incidents began in each hour of the week.

    Args:
        counts: By weekday, Monday 0, and hour.
        zone: The time zone that the hours are in.
    """
    title = "When in the week do incidents begin?"
    total = sum(counts.values())
    if not total:
        return empty(title, "There was no incident.")
    most = max(counts.values())
    drawing = Drawing(title, _weekday_answer(counts, total, zone))
    left, top = MARGIN + 40.0, HEAD + 26.0
    cell, tall = (WIDTH - MARGIN - left) / 24, 26.0
    for hour in range(0, 24, 3):
        drawing.text(left + hour * cell, top - 8, f"{hour:02}:00", "small soft figure")
    levels: dict[str, list[tuple[float, float]]] = {}
    for weekday, name in enumerate(_WEEKDAYS):
        drawing.text(MARGIN, top + weekday * tall + 17, name, "small soft")
        for hour in range(24):
            level = _level(counts.get((weekday, hour), 0), most)
            colour = f"scale-{level}" if level else "track"
            levels.setdefault(colour, []).append((left + hour * cell, top + weekday * tall))
    for colour, corners in levels.items():
        drawing.squares(corners, cell - 2, tall - 2, colour)
    for weekday in range(7):
        y = top + weekday * tall + 16.5
        for hour in range(24):
            amount = counts.get((weekday, hour), 0)
            if amount:
                ink = "on-dark" if _level(amount, most) > 2 else "on-light"
                drawing.text(left + (hour + 0.5) * cell - 1, y, amount, f"middle small figure {ink}")
    return drawing.chart(top + 7 * tall + 18)


def _level(amount: int, most: int) -> int:
    """Return how dark an hour is drawn, from 0 to 4."""
    return math.ceil(4 * amount / max(most, 4))


def _weekday_answer(counts: Mapping[tuple[int, int], int], total: int, zone: str) -> str:
    days = [sum(amount for (at, _), amount in counts.items() if at == weekday) for weekday in range(7)]
    busiest = max(range(7), key=days.__getitem__)
    office = sum(amount for (weekday, hour), amount in counts.items() if weekday < 5 and 9 <= hour < 17)
    name = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")[busiest]
    return (
        f"{days[busiest]} of {count(total, 'incident')} on {name}; {office} from Monday to Friday "
        f"between 9 and 17. {zone}."
    )


def overlap(
    spans: Sequence[Span], begin: datetime, end: datetime, *, period: str, now: datetime, most: int = 24
) -> Chart:
    """Draw incidents and maintenance of a period, one below the other along its time.

    Args:
        spans: What there was; what lies outside of the period is left out.
        begin: The period's begin.
        end: Its end.
        period: Its name.
        now: Where what goes on is cut off.
        most: How many to draw at most: the longest within the period.
    """
    title = f"What went on at the same time in {period}?"
    within = [span for span in spans if span.begin < end and (span.end or now) > begin]
    if not within:
        return empty(title, "No incident and no maintenance.")
    longest = sorted(within, key=lambda span: max(span.begin, begin) - min(span.end or now, end))
    shown = sorted(longest[:most], key=lambda span: (span.begin, span.name))
    drawing = Drawing(title, _overlap_answer(within, begin, end, now, len(shown)))
    top, tall = HEAD + 26.0, 22.0
    scale = (WIDTH - 2 * MARGIN) / (end - begin).total_seconds()
    foot = top + len(shown) * tall
    _time_ticks(drawing, begin, end, top, foot)
    named: list[tuple[str, float, float, float, str]] = []
    for position, span in enumerate(shown):
        y = top + position * tall
        start = MARGIN + (max(span.begin, begin) - begin).total_seconds() * scale
        stop = max(MARGIN + (min(span.end or now, end) - begin).total_seconds() * scale, start + 3)
        _span_bar(drawing, start, stop, y, span)
        named.append((*_beside(start, stop), y + 15, span.name))
    # Those on one side after the other: alike, they are written in fewer bytes.
    for classes, x, width, y, name in sorted(named, key=lambda entry: entry[0]):
        drawing.text(x, y, name, classes, width=width)
    return drawing.chart(_overlap_legend(drawing, foot + 26))


def _beside(start: float, stop: float) -> tuple[str, float, float]:
    """Return classes, place and width of a name beside its bar, where there is more room, or upon a long one."""
    before, after = start - 8 - MARGIN, WIDTH - MARGIN - stop - 12
    if max(before, after) < _ROOM:
        return "small halo", MARGIN + 8, stop - MARGIN - 16
    return ("small halo", stop + 12, after) if after >= before else ("end small halo", start - 8, before)


def _span_bar(drawing: Drawing, start: float, stop: float, y: float, span: Span) -> None:
    name = STATUS_CLASSES.get(span.status or 0, "unknown")
    drawing.rect(start, y + 4, stop - start, 14, f"f-{name}")
    drawing.tip(start, y + 4, stop - start, 14, span.name)
    if span.end is None:
        drawing.path([(stop, y + 4), (stop + 7, y + 11), (stop, y + 18)], f"f-{name}", closed=True)
    elif not span.is_end_certain:
        drawing.rect(stop - 1, y + 2, 2, 18, "f-ink")


def _overlap_answer(within: Sequence[Span], begin: datetime, end: datetime, now: datetime, shown: int) -> str:
    edges = sorted(
        edge for span in within for edge in ((max(span.begin, begin), 1), (min(span.end or now, end), -1))
    )
    running = most = 0
    peak = begin
    for at, step in edges:
        running += step
        if running > most:
            most, peak = running, at
    left_out = f" The longest {shown} are drawn." if shown < len(within) else ""
    return f"At most {most} of {len(within)} at once, first on {day(peak)} at {peak:%H:%M}.{left_out}"


def _time_ticks(drawing: Drawing, begin: datetime, end: datetime, top: float, foot: float) -> None:
    days = (end - begin).total_seconds() / 86_400
    step = 1 if days <= 8 else 7 if days <= 62 else 30
    for offset in range(0, math.ceil(days), step):
        x = MARGIN + (WIDTH - 2 * MARGIN) * offset / days
        there = date.fromordinal(begin.date().toordinal() + offset)
        drawing.line(x, top - 4, x, foot, "grid")
        drawing.text(x + 2, top - 9, f"{there.day} {there:%b}", "small soft")


def _overlap_legend(drawing: Drawing, y: float) -> float:
    def mark(status: int | None) -> Mark:
        name = STATUS_CLASSES.get(status or 0, "unknown")
        return lambda x, y: drawing.rect(x, y - 10, 12, 12, f"f-{name}")

    def arrow(x: float, y: float) -> None:
        drawing.path([(x, y - 10), (x + 7, y - 4), (x, y + 2)], "f-soft", closed=True)

    entries: list[tuple[Mark, float, str]] = [(mark(status), 12.0, words) for status, words in _SEVERITIES]
    entries.append((arrow, 7.0, "goes on"))
    entries.append((lambda x, y: drawing.rect(x, y - 12, 2, 16, "f-ink"), 2.0, "end not certain"))
    return drawing.legend(y, entries)
