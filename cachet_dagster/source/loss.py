"""A load that would cost a table most of its rows is stopped before it is made, and said with its figures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .errors import CachetError

FEW = 10
"""Rows whose loss is everyday work, whatever fraction of a table they are."""


class SuddenLoss(CachetError):
    """A table would lose more rows at once than is allowed; it keeps them.

    Attributes:
        metrics: Where the points of several metrics would go: how many rows each holds, and would hold.
    """

    metrics: Mapping[int, tuple[int, int]] = MappingProxyType({})


def sudden_loss(before: int, now: int, max_loss: float) -> bool:
    """Return whether going from `before` rows to `now` loses more than the share `max_loss`, and more than a few."""
    lost = before - now
    return lost >= FEW and lost > max_loss * before


def loss_error(what: str, before: int, now: int, max_loss: float, endpoint: str) -> SuddenLoss:
    """Return the error of what would lose too many rows, a table or part of one, with what lets it through."""
    return SuddenLoss(
        f"{what} held {before:,} rows and would hold {now:,}: {before - now:,} would go at once, more than the share "
        f"that {{max_loss}} allows ({max_loss:g})",
        "Check {base_url} and what {api_key} may see. If Cachet has really lost them, run again with "
        "`accept_loss: true` in the run's config, or set {max_loss} to 1.",
        endpoint,
    )
