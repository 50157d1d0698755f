"""Uptime against what was promised: the months beside their target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from cachet_dagster.analytics.formats import (
    between,
    bounds,
    count,
    month,
    promise,
    promise_kept,
)

from .svg import Chart, Drawing, both_widths, empty

_TALL = 170.0


@dataclass(frozen=True)
class MonthUptime:
    """A month.

    Attributes:
        month: Its first day.
        lower: The least that its uptime can have been, from 0 to 1; None where all is unknown.
        upper: The most.
        is_assumed: Whether nothing was observed or reported in it, so that its uptime says little.
    """

    month: date
    lower: float | None
    upper: float | None
    is_assumed: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it has an uptime that is more than assumed."""
        return self.upper is not None and not self.is_assumed


def monthly_uptime(months: Sequence[MonthUptime], target: float | None, *, whose: str = "the page") -> Chart:
    """Draw what is missing to 100 % in each month, with the target across, and its bounds.

    Args:
        months: In order of time; the last twelve are drawn, the last six on a telephone.
        target: The share that was promised, or None.
        whose: Whose uptime it is.
    """
    title = f"Did {whose} keep {promise(target)} in each month?" if target else f"How was {whose} each month?"
    if not any(entry.is_known for entry in months[-12:]):
        return empty(title, "Every month is unknown or assumed.")
    return both_widths(lambda width: _months(title, months[-12:], target, width))


def _months(title: str, months: Sequence[MonthUptime], target: float | None, width: float) -> Chart:
    drawing = Drawing(title, _monthly_answer(months, target), width)
    if drawing.is_narrow:
        months = months[-6:]
    left, top = drawing.margin + (52.0 if drawing.is_narrow else 66.0), drawing.top + 16
    floor = _floor(months, target)

    def height(share: float) -> float:
        return top + (1 - share) / (1 - floor) * _TALL

    for step in range(5):
        share = 1 - (1 - floor) * step / 4
        drawing.line(left, height(share), drawing.right, height(share), "grid")
        drawing.text(left - 8, height(share) + 4, _axis_percent(share, floor), "end small soft figure")
    step = (drawing.right - left) / max(len(months), 6)
    if target and target >= floor:
        drawing.line(left, height(target), drawing.right, height(target), "s-ink dashed", width=1.5)
    for position, entry in enumerate(months):
        _month_bar(drawing, left + (position + 0.5) * step, step, entry, target, height)
        x = left + (position + 0.5) * step
        drawing.text(x, top + _TALL + 54, f"{entry.month:%b %y}", "middle small soft")
    entries = [drawing.swatch("f-scale-3", "downtime")]
    if any(entry.is_known and entry.lower != entry.upper for entry in months):
        entries.append(drawing.swatch("f-uncertain", "not certain"))
    if any(entry.is_assumed and entry.upper is not None for entry in months):
        entries.append(drawing.swatch("f-assumed", "assumed", height=6))
    if any(entry.upper is None for entry in months):
        entries.append(drawing.swatch("grid", "unknown", height=6))
    if target and target >= floor:
        entries.append(drawing.stroke("s-ink dashed", f"target {promise(target)}", width=1.5))
    return drawing.chart(drawing.legend(top + _TALL + 82, entries))


def _month_bar(
    drawing: Drawing,
    x: float,
    step: float,
    entry: MonthUptime,
    target: float | None,
    height: Callable[[float], float],
) -> None:
    top, wide = height(1), min(34.0, step * 0.55)
    lower, upper = entry.lower, entry.upper
    if lower is None or upper is None or entry.is_assumed:
        drawing.rect(x - wide / 2, top, wide, 6, "grid" if upper is None else "f-assumed")
        return
    for share, name in ((lower, "uncertain"), (upper, "scale-3")):
        if share < 1:
            drawing.rect(x - wide / 2, top, wide, max(height(share) - top, 1.5), f"f-{name}")
    drawing.tip(x - wide / 2, top, wide, _TALL, f"{month(entry.month)}: {bounds(lower, upper)}")
    figures = bounds(lower, upper).removesuffix(" %").split("–")
    for line, figure in enumerate(figures):
        y = height(lower) + 15 + 13 * line
        drawing.text(x, y, figure + "–" * (line < len(figures) - 1), "middle small figure bold halo")
    kept = promise_kept(target, lower, upper)
    if kept is not None:
        drawing.text(x, top - 6, kept, "middle tiny" + (" soft" if kept == "kept" else " bold"))


def _monthly_answer(months: Sequence[MonthUptime], target: float | None) -> str:
    known = [entry for entry in months if entry.is_known]
    lowest = min(known, key=lambda entry: (entry.upper or 0, entry.lower or 0))
    kept = [promise_kept(target, entry.lower, entry.upper) for entry in known]
    head = count(len(known), "month")
    if target:
        head = f"Kept in {kept.count('kept')} of {head}"
        head += f", not certain in {kept.count('not certain')}" if "not certain" in kept else ""
    rest = len(months) - len(known)
    assumed = (
        f"; {count(rest, 'month')} more {'is' if rest == 1 else 'are'} assumed or unknown" if rest else ""
    )
    return f"{head}; lowest: {month(lowest.month)}, {between(lowest.lower, lowest.upper)}{assumed}."


def _floor(months: Sequence[MonthUptime], target: float | None) -> float:
    """Return the share at the foot of the axis: a round one below everything drawn."""
    found = [entry.lower for entry in months if entry.is_known and entry.lower is not None]
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
