"""Cachet's REST API as a dlt source. It imports no Dagster, and can be used alone:

    import dlt
    from cachet_dagster.source import cachet_source

    pipeline = dlt.pipeline("my_cachet", destination="duckdb", dataset_name="cachet_data")
    pipeline.run(cachet_source(base_url="https://status.example.com"))

The token comes from `.dlt/secrets.toml` (`[sources.cachet_source] api_key = "…"`) or the environment
(`SOURCES__CACHET_SOURCE__API_KEY`), as dlt resolves it; without one the source reads as a guest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import dlt
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.extract import DltResource
from pydantic import SecretStr

from .details import ByIdRequest
from .endpoints import ENDPOINTS, FILLED_BY, Endpoint
from .errors import CachetError
from .points.read import read_points
from .reader import CachetReader, EndpointRead
from .rows import Row, fitted
from .settings import DEFAULT_BASE_URL, CachetSettings
from .stored import Stored, pipeline_query, read_cursors, read_stored
from .tables import TABLES, Table

__all__ = [
    "ENDPOINTS",
    "FILLED_BY",
    "TABLES",
    "ByIdRequest",
    "CachetError",
    "CachetReader",
    "CachetSettings",
    "Endpoint",
    "EndpointRead",
    "cachet_source",
    "metric_points_resource",
    "stored_tables",
    "table_resource",
]


@dlt.source(name="cachet_source", max_table_nesting=0)
def cachet_source(
    base_url: str = DEFAULT_BASE_URL,
    api_key: str | None = None,
    timezone: str = "UTC",
    api_version: Literal["auto", "2", "3"] = "auto",
    full_refresh: bool = False,
    metric_ids: Sequence[int] | None = None,
) -> Iterator[DltResource]:
    """Everything that a Cachet shows, one resource per table.

    All tables but three are replaced whole, since the API cannot tell what changed; `metric_points` is
    merged on id from where the destination ends, and `system_status` and `versions` get a row when the
    answer differs from their newest one.

    Args:
        base_url: The status page's address, as a person pastes it: with or without `/api`, with or without
            a slash.
        api_key: The API token. A guest sees public rows only, and no subscribers.
        timezone: IANA name of the server's time zone, in which it prints times.
        api_version: "3", "2" (Cachet 2's API v1), or "auto" to find out.
        full_refresh: Ask for every incident and component by id, and read all points from the start.
        metric_ids: Metrics whose points to load; None for all.

    Yields:
        A resource for each table of `TABLES`.

    Raises:
        CachetError: On extraction, in words that say what to set or check. As with any dlt source, one
            endpoint's failure then fails the load; what is offered to no one (`/me` on Cachet 3) or to no
            guest (subscribers) is left out instead.
    """
    reading = _PlainReading(
        CachetSettings(
            base_url=base_url,
            api_key=SecretStr(api_key) if api_key else None,
            timezone=timezone,
            api_version=api_version,
        ),
        full_refresh,
    )
    for name, table in TABLES.items():
        if name == "metric_points":
            yield metric_points_resource(lambda: reading.points(metric_ids))
        else:
            yield table_resource(table, lambda name=name: reading.rows(name))


def table_resource(
    table: Table, rows: Callable[[], Sequence[Row]] = tuple, *, replace: bool = True
) -> DltResource:
    """Return the dlt resource that loads a table's rows, whole or, for observations, as they are added.

    Args:
        table: The table.
        rows: Returns its rows; called when the resource is extracted.
        replace: Whether the rows are all there are; else they are added, and the table is made if need be.
    """
    adds = FILLED_BY[table.name].kind.appends or not replace

    def extract() -> Iterator[Any]:
        # Hints in the item's own words, so that a table without rows is created too.
        yield dlt.mark.materialize_table_schema()
        found = rows()
        if found:
            yield [fitted(row, table) for row in found]

    return _resource(table, extract, "append" if adds else "replace")


def metric_points_resource(batches: Callable[[], Iterator[Any]]) -> DltResource:
    """Return the dlt resource that merges points on their id.

    Args:
        batches: Returns Arrow tables of points; called when the resource is extracted.
    """

    def extract() -> Iterator[Any]:
        yield dlt.mark.materialize_table_schema()
        yield from batches()

    return _resource(TABLES["metric_points"], extract, {"disposition": "merge", "strategy": "upsert"})


def stored_tables(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return the tables whose stored rows decide what reading the endpoints has to ask for."""
    tables: list[str] = []
    for endpoint in endpoints:
        if endpoint.v3 and endpoint.v3.single:
            tables += [table for table in endpoint.tables if "updates" not in table]
        elif endpoint.kind.appends:
            tables += endpoint.tables
    return tables


def _resource(table: Table, extract: Callable[[], Iterator[Any]], disposition: Any) -> DltResource:
    extract.__doc__ = table.description
    return dlt.resource(
        extract,
        name=table.name,
        table_name=table.name,
        primary_key=table.key,
        columns=table.hints(),
        write_disposition=disposition,
    )


class _PlainReading:
    """What the resources share in plain dlt: each endpoint is read once, when the first of its tables is."""

    def __init__(self, settings: CachetSettings, full_refresh: bool):
        self._settings = settings
        self._full_refresh = full_refresh
        self._stored: Stored | None = None
        self._reader: CachetReader | None = None
        self._reads: dict[str, EndpointRead] = {}
        self._lock = threading.Lock()

    def rows(self, table: str) -> list[Row]:
        endpoint = FILLED_BY[table]
        with self._lock:
            if endpoint.name not in self._reads:
                self._reads.update(self.reader.read([endpoint.name]))
        read = self._reads[endpoint.name]
        if read.outcome == "failed":
            assert read.error is not None
            raise read.error
        return read.rows.get(table, [])

    def points(self, metric_ids: Sequence[int] | None) -> Iterator[Any]:
        wanted = [row["id"] for row in self.rows("metrics")] if metric_ids is None else metric_ids
        context = Container()[PipelineContext]
        cursors = read_cursors(pipeline_query(dlt.pipeline())) if context.is_active() else {}
        for batch in read_points(self.reader, wanted, cursors, full_refresh=self._full_refresh):
            for step in batch:
                if step.error:
                    raise step.error
                if step.rows.num_rows:
                    yield step.rows

    @property
    def reader(self) -> CachetReader:
        if self._reader is None:
            by_id = {name: ByIdRequest(full_refresh=self._full_refresh) for name in ENDPOINTS}
            self._reader = CachetReader(self._settings, self.stored, by_id)
        return self._reader

    @property
    def stored(self) -> Stored:
        if self._stored is None:
            context = Container()[PipelineContext]
            self._stored = (
                read_stored(pipeline_query(dlt.pipeline()), whole=stored_tables(list(ENDPOINTS.values())))
                if context.is_active()
                else Stored()
            )
        return self._stored
