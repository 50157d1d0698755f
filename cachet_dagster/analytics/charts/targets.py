"""Uptime against what was promised: the months beside their target, and what is left of an error budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from cachet_dagster.analytics.formats import bounds, count, day, duration, month, percent, promise

from .svg import HEAD, MARGIN, WIDTH, Chart, Drawing, empty
from .uptime import DayShare

_BUDGET_TALL = 180.0


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
    box = (x - wide / 2, height(1), wide, max(height(uptime) - height(1), 1.5))
    drawing.rect(*box, f"f-{name}")
    drawing.tip(*box, tip)
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
