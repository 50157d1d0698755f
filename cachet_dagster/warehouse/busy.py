"""Why a load or a question had to be given up: somebody else holds the database."""

from __future__ import annotations

from cachet_dagster.source.errors import CachetError


class DatabaseBusy(CachetError):
    """Somebody else holds the database."""

    retryable = True
