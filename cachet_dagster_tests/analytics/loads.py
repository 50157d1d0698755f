"""Loads of a page, one after the other, into a DuckDB database in memory: read, remembered, replaced, history added.

Reading is the real one, over real sockets; what it read is put in by Arrow, so that a fortnight of loads takes
seconds. That dlt loads the same is another test's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
from pydantic import SecretStr

from cachet_dagster.analytics.build import build_models
from cachet_dagster.analytics.history import Observation, history_rows, read_history, rights_of
from cachet_dagster.analytics.model_settings import ModelSettings
from cachet_dagster.source import ENDPOINTS, CachetError, CachetReader, CachetSettings, stored_tables
from cachet_dagster.source.stored import read_stored
from cachet_dagster.warehouse.duckdb_session import DuckDBSession

from .pages import DATASET, Row, arrow

WHOLE = [name for name, endpoint in ENDPOINTS.items() if not endpoint.kind.per_metric]


class Clock:
    """A server's clock that stands still between steps."""

    def __init__(self, now: datetime):
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **time: float) -> None:
        """Move on, by hours=3 and the like."""
        self.now += timedelta(**time)


class Failing:
    """Middleware that answers some paths with an error, and dates it as the server does."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def __call__(self, app: Any) -> Any:
        """Wrap an ASGI app."""

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] not in self.paths:
                await app(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return answer


class Loads:
    """A database, and the loads into it."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET threads = 1")
        self.connection.execute(f"CREATE SCHEMA {DATASET}")

    def query(self, table: str, sql: str) -> list[Row] | None:
        """Run SQL over one table; None where it does not exist."""
        try:
            return self.rows(sql.replace("{table}", f'source."{table}"'))
        except duckdb.CatalogException:
            return None

    def load(self, url: str, token: str | None = None, names: Sequence[str] = WHOLE) -> dict[str, str]:
        """Load the page, and return the outcome of each endpoint; of none where the page could not be read."""
        settings = CachetSettings(
            base_url=url, api_key=SecretStr(token) if token else None, attempts=1, api_version="auto"
        )
        endpoints = [ENDPOINTS[name] for name in names]
        stored = read_stored(self.query, whole=stored_tables(endpoints))
        remembered = read_history(self.query)
        reader = CachetReader(settings, stored)
        try:
            reads = reader.read(names)
        except CachetError:
            return {}
        assert reader.clock is not None
        assert reader.started_at is not None
        seen = Observation(rights_of(reader), reader.started_at, reader.clock)
        for name, rows in history_rows(remembered, reads.values(), seen).items():
            self._put(name, rows, replace=False)
        for read in reads.values():
            if read.error is None:
                for table in read.endpoint.tables:
                    self._put(table, read.rows.get(table, []), replace=not read.endpoint.kind.appends)
        return {name: read.outcome for name, read in reads.items()}

    def build(self, **settings: Any) -> None:
        """Build the models over what was loaded."""
        build_models(DuckDBSession(self.connection, DATASET), DATASET, settings=ModelSettings(**settings))

    def rows(self, sql: str) -> list[Row]:
        """Return what a query over `analytics.` and `source.` finds."""
        found = self.connection.execute(
            sql.replace("analytics.", "cachet_analytics.").replace("source.", f"{DATASET}.")
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]

    def _put(self, table: str, rows: Sequence[Row], *, replace: bool) -> None:
        self.connection.register("given", arrow(table, rows))
        self.connection.execute(
            f'CREATE TABLE IF NOT EXISTS {DATASET}."{table}" AS SELECT * FROM given WHERE 1 = 0'
        )
        if replace:
            self.connection.execute(f'DELETE FROM {DATASET}."{table}"')
        self.connection.execute(f'INSERT INTO {DATASET}."{table}" SELECT * FROM given')
        self.connection.unregister("given")
