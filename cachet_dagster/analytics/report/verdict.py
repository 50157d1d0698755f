"""What a report says first: the figure, which component was worst, the promise, and how sure all of it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from cachet_dagster.analytics import formats

from .lines import ComponentLine
from .periods import Period
from .uptimes import Uptime


def verdict(
    period: Period, policy: str, uptime: Uptime, components: Sequence[ComponentLine], incidents: int
) -> str:
    """Return the period in a few sentences: the figure with its policy, the promise, what it rests on."""
    if uptime.upper is None:
        return f"The status of every component is unknown in {period.name}."
    if not uptime.known:
        return f"Nothing was observed or reported in {period.name}. {basis(uptime)}"
    promised = kept(components)
    return (
        f"In {period.name} {_components(len(components))} up {formats.between(uptime.lower, uptime.upper)} of the time "
        f"by the policy {policy}{f'; {promised[0].lower()}{promised[1:]}' if promised else ''}. "
        f"There {'was' if incidents == 1 else 'were'} {formats.count(incidents, 'incident')}. {basis(uptime)}"
    )


def _components(amount: int) -> str:
    return "the component was" if amount == 1 else f"the {amount:,} components were"


def kept(components: Sequence[ComponentLine]) -> str:
    """Return how many components kept their targets; empty where nothing is promised."""
    states = Counter(line.kept for line in components if line.kept)
    if not states:
        return ""
    total = sum(states.values())
    if len(states) == 1:
        [state] = states
        each = "the only target" if total == 1 else f"all {total} targets"
        return (
            f"Of {each} it is not certain"
            if state == "not certain"
            else f"{each[0].upper()}{each[1:]} {state}"
        )
    parts = [f"{states[state]} {state}" for state in ("missed", "not certain", "kept") if states[state]]
    return f"Of {total} targets {', '.join(parts)}"


def told(kept: Iterable[str | None]) -> str:
    """Return how promises stand in a few words, what was missed first; empty where nothing is promised."""
    states = Counter(state for state in kept if state)
    state = next((state for state in ("missed", "not certain", "kept") if states[state]), None)
    return "" if state is None else f"{states[state]} of {sum(states.values())} {state}"


def worst(components: Sequence[ComponentLine]) -> ComponentLine | None:
    """Return the component with the lowest uptime; None where none was down for certain or perhaps."""
    known = [line for line in components if line.uptime.upper is not None]
    lowest = min(known, key=lambda line: (*line.uptime.rank, line.name), default=None)
    return None if lowest is None or lowest.uptime.lower == 1 else lowest


def worst_day(days: Sequence[tuple[date, Uptime]]) -> date | None:
    """Return the day with the lowest uptime; None where none was down for certain or perhaps."""
    known = [(uptime.rank, day) for day, uptime in days if uptime.upper is not None and uptime.lower != 1]
    return min(known)[1] if known else None


def basis(uptime: Uptime) -> str:
    """Return for how much of the time the status is known, assumed and unknown."""
    words = (("known", uptime.known), ("assumed", uptime.assumed), ("unknown", uptime.unknown))
    parts = [f"{word} for {formats.roughly(share)}" for word, share in words if share > 0]
    return f"The status is {parts[0]} of the time{''.join(f', {part}' for part in parts[1:])}."
