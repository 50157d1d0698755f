"""The month in one sentence: the figure, its policy, the targets, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from cachet_dagster.analytics import formats
from cachet_dagster.source.rows import Row

from .figures import Period
from .lines import EVIDENCE, ComponentLine, IncidentLine


def verdict(
    period: Period,
    policy: str,
    row: Row,
    components: Sequence[ComponentLine],
    incidents: Sequence[IncidentLine],
) -> str:
    """Return the month in one sentence, its policy and what it rests on within it."""
    if row["uptime"] is None:
        return f"Nothing of {period.name} was measured."
    span = formats.bounds(row["uptime_lower"], row["uptime_upper"])
    figure = formats.percent(row["uptime"])
    certain = "" if span == figure else f" (between {span.replace(' to ', ' and ')})"
    return (
        f"In {period.name} the {formats.count(len(components), 'component')} were up {figure} of the time{certain} by "
        f"the policy {policy}{kept(components)}; there {'was' if len(incidents) == 1 else 'were'} "
        f"{formats.count(len(incidents), 'incident')}, and {_basis(row)}."
    )


def kept(components: Sequence[ComponentLine]) -> str:
    """Return how many components kept their targets; empty where nothing is promised."""
    promised = [line for line in components if line.target is not None and line.is_met is not None]
    if not promised:
        return ""
    missed = sum(not line.is_met for line in promised)
    doubtful = sum(bool(line.is_met and line.row["uptime_lower"] < (line.target or 0)) for line in promised)
    if missed:
        more = f", and {doubtful} more may have" if doubtful else ""
        return f", {missed} of {len(promised)} missed their target{more}"
    if doubtful:
        return f", and none is known to have missed its target, though {doubtful} of {len(promised)} may have"
    return ", and each kept its target"


def _basis(row: Row) -> str:
    """Return for how much of the time the components' status is known, assumed and unknown."""
    kinds = {kind: row[f"{kind}_seconds"] or 0.0 for kind in EVIDENCE}
    # Coverage is the share of all the time that these kinds make up.
    assumed = row["coverage"] * kinds["assumed"] / sum(kinds.values())
    known = f"a status was seen or reported for {formats.roughly(row['coverage'] - assumed)} of the time"
    taken = f", assumed for {formats.roughly(assumed)}" if assumed else ""
    unknown = f", unknown for {formats.roughly(1 - row['coverage'])}" if row["coverage"] < 1 else ""
    return f"{known}{taken}{unknown}"
