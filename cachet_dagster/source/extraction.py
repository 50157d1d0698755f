"""What a source's resources share while dlt extracts them: each endpoint is read once, when a table of its is due.

An extraction is one `pipeline.run` (or `extract`), or one iteration over the source or a resource. The next one
reads everything anew, also what the destination holds, so that a source that is kept can be run again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import dlt
from dlt.common.configuration.container import Container
from dlt.extract.source import SourceInjectableContext

from .details import ByIdRequest
from .endpoints import ENDPOINTS, FILLED_BY
from .errors import CachetError
from .loss import sudden_loss
from .points.read import MetricStep, read_points
from .reader import CachetReader, EndpointRead
from .resources import merges
from .rows import Row
from .settings import CachetSettings
from .stored import Cursor, delete_stored, destination_query, read_cursors, read_stored, stored_tables

logger = logging.getLogger("cachet_dagster")

MAX_LOSS = 0.5
"""Share of a metric's points that are deleted at once, as `CACHET_MAX_LOSS` is where nobody sets it."""


class Extraction:
    """Reads a Cachet for the resources of one source.

    Args:
        settings: How to read it.
        full_refresh: Ask for every row by id, and read all points from the start.
        name_of: Setting → what whoever made the source calls it.
    """

    def __init__(self, settings: CachetSettings, full_refresh: bool, name_of: Callable[[str], str]):
        self._settings = settings
        self._full_refresh = full_refresh
        self._name_of = name_of
        self._lock = threading.Lock()
        self._current: tuple[SourceInjectableContext, _Reading] | None = None

    def rows(self, table: str) -> list[Row] | None:
        """Return a table's rows, or None where this server or this reader's token does not show them.

        Raises:
            CachetError: They could not be read.
        """
        with self._named():
            return self._reading().rows(table)

    def points(self, metric_ids: Sequence[int] | None) -> Iterator[Any]:
        """Yield Arrow tables of the points that the destination lacks, of all metrics or some.

        Raises:
            CachetError: A metric's points could not be read.
        """
        with self._named():
            yield from self._reading().points(metric_ids)

    def _reading(self) -> _Reading:
        # dlt makes one for each extraction, which all its resources share.
        context = Container()[SourceInjectableContext]
        with self._lock:
            if self._current is None or self._current[0] is not context:
                self._current = context, _Reading(self._settings, self._full_refresh)
            return self._current[1]

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except CachetError as error:
            raise error.with_setting_names(self._name_of) from error.__cause__


class _Reading:
    """What one extraction has read."""

    def __init__(self, settings: CachetSettings, full_refresh: bool):
        self._settings = settings
        self._full_refresh = full_refresh
        self._reads: dict[str, EndpointRead] = {}
        self._lock = threading.RLock()

    def rows(self, table: str) -> list[Row] | None:
        endpoint = FILLED_BY[table]
        with self._lock:
            if endpoint.name not in self._reads:
                self._reads.update(self._reader.read([endpoint.name]))
        read = self._reads[endpoint.name]
        if read.error is None:
            return read.rows.get(table, [])
        if self._fails(read):
            raise read.error
        logger.info("%s is left out: %s", table, read.error.what)
        return None

    def points(self, metric_ids: Sequence[int] | None) -> Iterator[Any]:
        wanted = [row["id"] for row in self.rows("metrics") or []] if metric_ids is None else metric_ids
        with destination_query() as query:
            cursors = read_cursors(query)
        for batch in read_points(self._reader, wanted, cursors, full_refresh=self._full_refresh):
            for step in batch:
                if step.error:
                    raise step.error
                _delete_gone(step, cursors.get(step.metric_id, Cursor()))
                if step.rows.num_rows:
                    yield step.rows

    def _fails(self, read: EndpointRead) -> bool:
        """Return whether an endpoint fails the load: what a token may not read does, where it could before."""
        if read.outcome != "refused":
            return read.outcome == "failed"
        had_rows = any(self._reader.stored.counts[table] for table in read.endpoint.tables)
        return self._settings.api_key is not None and had_rows

    @cached_property
    def _reader(self) -> CachetReader:
        by_id = {name: ByIdRequest(full_refresh=self._full_refresh) for name in ENDPOINTS}
        with destination_query() as query:
            stored = read_stored(query, whole=stored_tables(list(ENDPOINTS.values())))
        return CachetReader(self._settings, stored, by_id)


def _delete_gone(step: MetricStep, cursor: Cursor) -> None:
    """Delete what the destination holds of a metric beside the points that were read, where those are all there are.

    dlt merges what it is given, and a row that stays would count as one that Cachet has: a point with a past time
    would then pass for known. Where most would go at once they stay, since it may be the answer that is wrong.
    """
    if not step.whole or not cursor.rows or not merges(dlt.current.resource()):
        return
    read = set(step.rows.column("id").to_pylist())
    if sum(number <= cursor.last_id for number in read) == cursor.rows:
        return
    with destination_query() as query:
        stored = query("metric_points", f"SELECT id FROM {{table}} WHERE metric_id = {step.metric_id:d}")
    gone = sorted({row["id"] for row in stored or []} - read)
    if sudden_loss(cursor.rows, cursor.rows - len(gone), MAX_LOSS):
        logger.warning(
            "metric %d has lost %d of its %d points, which stay; if it really has, load it with refresh='drop_data'",
            step.metric_id,
            len(gone),
            cursor.rows,
        )
    elif gone:
        delete_stored("metric_points", gone)
        logger.info("%d points of metric %d are gone in Cachet and deleted", len(gone), step.metric_id)
