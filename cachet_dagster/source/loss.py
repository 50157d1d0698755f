"""A load that would cost a table most of its rows is stopped before it is made, and said with its figures."""

from __future__ import annotations

from .errors import CachetError

FEW = 10
"""Rows whose loss is everyday work, whatever share of a table they are, as long as some stay."""


class SuddenLoss(CachetError):
    """A table would lose more rows at once than is allowed; it keeps them."""


def sudden_loss(before: int, now: int, max_loss: float) -> bool:
    """Return whether going from `before` rows to `now` loses more than the share `max_loss`.

    A loss of fewer than `FEW` rows is none, unless all are lost.
    """
    lost = before - now
    return lost > max_loss * before and (lost >= FEW or not now)


def loss_error(what: str, before: int, now: int, max_loss: float, endpoint: str) -> SuddenLoss:
    """Return the error of what would lose too many rows, a table or part of one, with what lets it through."""
    return SuddenLoss(
        f"{what} held {before:,} rows and would hold {now:,}: {before - now:,} would go at once, more than the share "
        f"that {{max_loss}} allows ({max_loss:g})",
        "Check {base_url} and what {api_key} may see. If Cachet has really lost them, let it through: "
        "`cachet-dagster run --accept-loss`, or `accept_loss: true` in the run's config.",
        endpoint,
    )
