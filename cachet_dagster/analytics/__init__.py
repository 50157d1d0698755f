"""What the page cannot tell: recorded history, and models of uptime, incidents and metrics over it.

It works on a dataset that a load has filled, through any connection that runs SQL, and knows no Dagster.
"""

from __future__ import annotations

from .tables import EVIDENCE, HISTORY, MODELS

__all__ = ["EVIDENCE", "HISTORY", "MODELS"]
