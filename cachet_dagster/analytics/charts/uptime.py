"""How available was it: a strip of days for each component, a calendar, the months against a target, the budget.

In the strips a status is told by its height as well as by its colour, so that they read in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from cachet_dagster.analytics.formats import bounds, count, day, duration, month, percent, promise

from .svg import HEAD, MARGIN, STATUS_CLASSES, WIDTH, Chart, Drawing, Mark, empty

_STRIP = 22
_BUDGET_TALL = 180.0
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


@dataclass(frozen=True)
class MonthUptime:
    """A month.

    Attributes:
        month: Its first day.
        uptime: From 0 to 1.
        lower: The least that it can have been.
        upper: The most that it can have been.
        is_assumed: Whether nothing was seen or reported in it, so that its uptime says little.
    """

    month: date
    uptime: float | None
    lower: float | None = None
    upper: float | None = None
    is_assumed: bool = False


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
    spotless: list[tuple[float, float]] = []
    unknown: list[tuple[float, float]] = []
    for entry in days:
        week, weekday = divmod((entry.day - start).days, 7)
        x = left + week * cell
        if entry.day.day <= 7 and weekday == 0 and x - last_label > 30:
            drawing.text(x, top - 8, f"{entry.day:%b}", "small soft")
            last_label = x
    for entry in days:
        week, weekday = divmod((entry.day - start).days, 7)
        x, y = left + week * cell, top + weekday * cell
        if entry.share is None:
            unknown.append((x + cell / 2 - 3, y + cell / 2 - 2))
        elif entry.share == 1:
            spotless.append((x, y))
        else:
            _day_square(drawing, x, y, cell - 2, entry)
    drawing.squares(spotless, cell - 2, cell - 2, "scale-0", pitch=cell)
    drawing.squares(unknown, 4, 2, "unknown", pitch=cell)
    return drawing.chart(_calendar_legend(drawing, top + 7 * cell + 24))


def _day_square(drawing: Drawing, x: float, y: float, size: float, entry: DayShare) -> None:
    share = entry.share or 0.0
    level = next(number for number, (least, _) in enumerate(_STEPS) if share >= least)
    tip = f"{day(entry.day)}: {percent(share)}"
    drawing.rect(x, y, size, size, f"f-scale-{level}", tip=tip)


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


def monthly_uptime(months: Sequence[MonthUptime], target: float | None, *, whose: str = "the page") -> Chart:
    """Draw what is missing to 100 % in each month, with the target across, and its bounds.

    Args:
        months: In order of time; the last twelve are drawn.
        target: The share that was promised, or None.
        whose: Whose uptime it is.
    """
    title = f"Did {whose} keep {promise(target)} in each month?" if target else f"How was {whose} each month?"
    months = [entry for entry in months if entry.uptime is not None][-12:]
    if not months:
        return empty(title, "No month has an uptime yet.")
    drawing = Drawing(title, _monthly_answer(months, target))
    left, top, tall = MARGIN + 66.0, HEAD + 26.0, 170.0
    floor = _floor(months, target)

    def height(share: float) -> float:
        return top + (1 - share) / (1 - floor) * tall

    for step in range(5):
        share = 1 - (1 - floor) * step / 4
        drawing.line(left, height(share), WIDTH - MARGIN, height(share), "grid")
        drawing.text(left - 8, height(share) + 4, _axis_percent(share, floor), "end small soft figure")
    step = (WIDTH - MARGIN - left) / max(len(months), 6)
    for position, entry in enumerate(months):
        _month_bar(drawing, left + (position + 0.5) * step, step, entry, target, height)
        drawing.text(
            left + (position + 0.5) * step, top + tall + 40, f"{entry.month:%b %y}", "middle small soft"
        )
    if target and target >= floor:
        drawing.line(left, height(target), WIDTH - MARGIN, height(target), "s-ink dashed", width=1.5)
        if len(months) <= 5:
            drawing.text(WIDTH - MARGIN, height(target) - 6, f"target {promise(target)}", "end small")
    return drawing.chart(top + tall + 54)


def _month_bar(drawing, x: float, step: float, entry: MonthUptime, target: float | None, height) -> None:
    uptime = entry.uptime or 0.0
    missed = target is not None and uptime < target
    wide = min(34.0, step * 0.55)
    name = "unknown" if entry.is_assumed else "partial" if missed else "scale-2"
    tip = f"{month(entry.month)}: {percent(uptime)}, from {bounds(entry.lower, entry.upper)}"
    drawing.rect(x - wide / 2, height(1), wide, max(height(uptime) - height(1), 1.5), f"f-{name}", tip=tip)
    lower, upper = entry.lower, entry.upper
    lowest = height(uptime)
    if lower is not None and upper is not None and upper - lower > 1e-9:
        drawing.line(x, height(upper), x, height(lower), "s-ink", width=1.2)
        for bound in (lower, upper):
            drawing.line(x - 5, height(bound), x + 5, height(bound), "s-ink", width=1.2)
        lowest = max(lowest, height(lower))
    drawing.text(x, lowest + 15, percent(uptime).removesuffix(" %"), "middle small figure bold")
    if entry.is_assumed:
        drawing.text(x, height(1) - 6, "assumed", "middle tiny soft")
    elif target is not None:
        drawing.text(
            x, height(1) - 6, "missed" if missed else "kept", "middle small" + ("" if missed else " soft")
        )


def _monthly_answer(months: Sequence[MonthUptime], target: float | None) -> str:
    known = [entry for entry in months if not entry.is_assumed]
    if not known:
        return f"Nothing was seen or reported in {count(len(months), 'month')}, so all counts as up."
    lowest = min(known, key=lambda entry: entry.uptime or 0)
    kept = sum((entry.uptime or 0) >= target for entry in known) if target else 0
    head = f"Kept in {kept} of {count(len(known), 'month')}" if target else count(len(known), "month")
    assumed = f"; nothing is known of {len(months) - len(known)} more" if len(known) < len(months) else ""
    return f"{head}; lowest: {month(lowest.month)} with {percent(lowest.uptime)}{assumed}."


def _floor(months: Sequence[MonthUptime], target: float | None) -> float:
    """Return the share at the foot of the axis: a round one below everything drawn."""
    found = [share for entry in months for share in (entry.uptime, entry.lower) if share is not None]
    lowest = min([*found, target if target else 1.0])
    missing = max((1 - lowest) * 1.08, 0.0002)
    for size in (0.0001, 0.001, 0.01, 0.1):
        for factor in (2, 4, 8):
            if missing <= size * factor:
                return 1 - size * factor
    return 0.0


def _axis_percent(share: float, floor: float) -> str:
    digits = 0 if 1 - floor >= 0.04 else 1 if 1 - floor >= 0.004 else 2 if 1 - floor >= 0.0004 else 3
    return f"{share * 100:.{digits}f} %"


def budget_burn_down(
    days: Sequence[DayShare], *, whose: str, target: float, budget_seconds: float, period: str
) -> Chart:
    """Draw how much of an error budget was left at the end of each day, from 1 down, below 0 when overspent.

    Args:
        days: In order of time, the whole period; None from the first day on that is still to come.
        whose: Whose budget it is.
        target: The share that was promised.
        budget_seconds: What (1 − target) of the period's measured time is.
        period: The period's name.
    """
    title = f"How much error budget has {whose} left in {period}?"
    spent = [entry for entry in days if entry.share is not None]
    if not spent:
        return empty(title, "Nothing was measured in this period yet.")
    last = spent[-1].share or 0.0
    state = f"{last * 100:.0f} % left" if last >= 0 else f"Overspent by {-last * 100:.0f} %"
    answer = (
        f"{state} on {day(spent[-1].day)} of the {duration(budget_seconds)} that {promise(target)} allows."
    )
    drawing = Drawing(title, answer)
    _budget_line(drawing, days, spent, state)
    y = HEAD + 16.0 + _BUDGET_TALL + 44
    entries = [
        (lambda x, y: drawing.line(x, y - 4, x + 20, y - 4, "s-accent", width=2.4), 20.0, "budget left"),
        (
            lambda x, y: drawing.line(x, y - 4, x + 20, y - 4, "s-soft dashed", width=1.2),
            20.0,
            "an even pace",
        ),
    ]
    return drawing.chart(drawing.legend(y, entries))


def _budget_line(drawing: Drawing, days: Sequence[DayShare], spent: Sequence[DayShare], state: str) -> None:
    """Draw the budget from day to day over its axes, and say at its end how it stands."""
    left, top = MARGIN + 52.0, HEAD + 16.0
    last = spent[-1].share or 0.0
    floor = min(0.0, *(entry.share or 0 for entry in spent))

    def height(share: float) -> float:
        return top + (1 - share) / (1 - floor) * _BUDGET_TALL

    for share in _budget_ticks(floor):
        drawing.line(left, height(share), WIDTH - MARGIN, height(share), "grid")
        drawing.text(left - 8, height(share) + 4, f"{share * 100:.0f} %", "end small soft figure")
    step = (WIDTH - MARGIN - left) / len(days)
    points = [(left, height(1))]
    points += [(left + (at + 1) * step, height(entry.share or 0)) for at, entry in enumerate(spent)]
    area = [(left, height(0)), *points, (points[-1][0], height(0))]
    drawing.path(area, "f-accent-soft", closed=True)
    drawing.line(left, height(1), WIDTH - MARGIN, height(0), "s-soft dashed", width=1.2)
    drawing.line(left, height(0), WIDTH - MARGIN, height(0), "s-ink", width=1.2)
    drawing.path(points, "s-accent", width=2.4)
    drawing.circle(*points[-1], 4, "f-accent")
    x, y = points[-1]
    # To the right of the line's end, or, where there is no room, below it or above it, wherever the area is tall.
    late = x > WIDTH - 150
    below = late and last > 0.15
    drawing.text(
        x - 10 if late else x + 10, y + 22 if below else y - 8, state, "bold halo" + (" end" if late else "")
    )
    for position, entry in enumerate(days):
        if entry.day.day in {1, 8, 15, 22, 29} or len(days) <= 10:
            drawing.text(
                left + position * step,
                top + _BUDGET_TALL + 20,
                f"{entry.day.day} {entry.day:%b}",
                "small soft",
            )


def _budget_ticks(floor: float) -> list[float]:
    """Return 1 and round shares down to the last one above the floor, six at most."""
    size = next(
        step * 10**power
        for power in range(9)
        for step in (0.25, 0.5, 1.0, 2.0)
        if (1 - floor) / (step * 10**power) <= 5
    )
    below = int((0 - floor) / size + 1e-9)
    above = [1.0] if size >= 1 else [1 - size * n for n in range(round(1 / size))]
    return [*above, *(0.0 - size * n for n in range(below + 1))]
