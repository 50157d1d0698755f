"""Merging points: only rows that are new or differ are written, while the next ones are being read.

A metric without news then costs one request and no load at all, and what a load changed is known exactly.
Rows that Cachet deleted go away when the metric has been read whole, on a full refresh or otherwise.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from cachet_dagster.source import metric_points_resource
from cachet_dagster.source.dialect import quoted
from cachet_dagster.source.errors import CachetError
from cachet_dagster.source.loss import SuddenLoss, loss_error, sudden_loss
from cachet_dagster.source.points.columns import SCHEMA, by_id, split
from cachet_dagster.source.points.read import STEP_ROWS, MetricStep, Pace, read_points, sketch
from cachet_dagster.source.reader import CachetReader
from cachet_dagster.source.settings import CachetSettings
from cachet_dagster.source.stored import Cursor, read_cursors

from .load import Loader
from .protocol import Session, Warehouse

TOLD_SECONDS = 10.0
"""Seconds between two lines on how a long load goes on."""

GROUP_ROWS = 25_000
"""Rows handed to dlt at a time: each becomes a row group, and one of 250,000 rows takes 70 MB more to write."""

_TABLE = "metric_points"


@dataclass
class MetricLoaded:
    """What a load did for one metric, or the error that ended it.

    Attributes:
        metric_id: The metric.
        before: Rows in the database before.
        read: Points read, those read again included.
        new: Rows added.
        changed: Rows that differed from the stored ones.
        deleted: Rows that were gone in Cachet, where the metric was read whole.
        left: Rows that Cachet has left of it, where it was read whole and so many are gone that they are kept.
        total: Rows in the database afterwards.
        first_at: Time of its first point (UTC).
        last_at: Time of its last point (UTC).
        requests: Requests that it took.
        sketch: Its newest values as a line of block characters.
        error: Why it could not be read to its end; what was loaded before stands.
    """

    metric_id: int
    before: int = 0
    read: int = 0
    new: int = 0
    changed: int = 0
    deleted: int = 0
    left: int = 0
    total: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    requests: int = 0
    sketch: str = ""
    error: CachetError | None = None


@dataclass
class _Run:
    """Where the metrics of a run stood when it began, and what was done since for those not finished yet."""

    cursors: dict[int, Cursor]
    full_refresh: bool
    highest: dict[int, int] = field(init=False)
    """Highest stored id of each metric, which goes on with what is merged."""
    loaded: dict[int, MetricLoaded] = field(default_factory=lambda: defaultdict(lambda: MetricLoaded(0)))
    _ids: dict[int, list[pa.ChunkedArray]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.highest = {metric_id: cursor.last_id for metric_id, cursor in self.cursors.items()}

    def before(self, metric_id: int) -> int:
        """Return how many rows of a metric were stored."""
        return self.cursors.get(metric_id, Cursor()).rows

    def keep_ids(self, batch: Sequence[MetricStep]) -> None:
        """Keep the ids of metrics that are read whole: what is stored beside them is gone in Cachet."""
        for step in batch:
            if self.full_refresh or step.whole:
                self._ids[step.metric_id].append(step.rows.column("id"))

    def take_ids(self, finished: Sequence[MetricStep]) -> dict[int, list[pa.ChunkedArray]]:
        """Return, and keep no longer, all ids of the metrics that have, or may have, rows that are gone."""
        present: dict[int, list[pa.ChunkedArray]] = {}
        for step in finished:
            ids = self._ids.pop(step.metric_id, [])
            stored = self.before(step.metric_id) + self.loaded[step.metric_id].new
            # All that was read is stored by now: as many rows are the same rows.
            fewer = step.whole and sum(map(len, ids)) < stored
            if step.error is None and (self.full_refresh or fewer):
                present[step.metric_id] = ids
        return present

    def count(self, new: Counter[int], changed: Counter[int]) -> None:
        """Add to what was done for each metric."""
        for metric_id in {*new, *changed}:
            self.loaded[metric_id].new += new[metric_id]
            self.loaded[metric_id].changed += changed[metric_id]


@dataclass
class PointsLoad:
    """Loads the points of metrics into a warehouse.

    Args:
        settings: Where, as whom and within which bounds to read.
        warehouse: Where to load.
        log: Called with progress messages.
        step_rows: Rows after which what was read is loaded.
        max_loss: Share of a metric's rows, or of all when pruning, that may be deleted at once.
    """

    settings: CachetSettings
    warehouse: Warehouse
    log: Callable[[str], None]
    step_rows: int = STEP_ROWS
    max_loss: float = 1.0
    reader: CachetReader = field(init=False)
    _told: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.reader = CachetReader(self.settings, log=self.log)

    def run(
        self,
        metric_ids: Sequence[int],
        *,
        full_refresh: bool = False,
        progress: Callable[[Pace], None] | None = None,
    ) -> Generator[MetricLoaded, None, None]:
        """Yield each metric when its points are loaded, or when it has failed.

        Args:
            metric_ids: Whose points to load.
            full_refresh: Read all points from the start, and remove those that Cachet has no more.
            progress: Called now and then; by default it is said every TOLD_SECONDS.

        Raises:
            CachetError: Nothing could be read, or a package could not be loaded.
        """
        with self.warehouse.reading() as session:
            run = _Run(read_cursors(session), full_refresh)
        batches = read_points(
            self.reader,
            metric_ids,
            run.cursors,
            full_refresh=full_refresh,
            progress=progress or self._tell,
            step_rows=self.step_rows,
        )
        # Where loading fails, reading is to end with it, whoever keeps the error.
        with contextlib.closing(batches), Loader(self.warehouse) as loader:
            for batch in batches:
                run.keep_ids(batch)
                run.count(*self._merge(batch, run.highest, loader))
                yield from self._finished(run, [step for step in batch if step.last])

    def _finished(self, run: _Run, finished: Sequence[MetricStep]) -> Iterator[MetricLoaded]:
        """Delete what is gone of metrics that are read to their end, and yield what came of each."""
        present = run.take_ids(finished)
        for metric_id, ids in [*present.items()]:
            before, left = run.before(metric_id), sum(map(len, ids))
            if sudden_loss(before, left, self.max_loss):
                del present[metric_id]
                run.loaded[metric_id].left = left
                run.loaded[metric_id].error = self._loss(f"metric {metric_id}", before, left)
        for metric_id, rows in self._delete_gone(present).items():
            run.loaded[metric_id].deleted = rows
        totals = self._totals([step.metric_id for step in finished])
        for step in finished:
            one = run.loaded.pop(step.metric_id, MetricLoaded(step.metric_id))
            one.before = run.before(step.metric_id)
            yield _described(one, step, totals.get(step.metric_id, Cursor()))

    def _tell(self, pace: Pace) -> None:
        if time.monotonic() - self._told >= TOLD_SECONDS:
            self._told = time.monotonic()
            self.log(str(pace))

    def prune(self, metric_ids: Sequence[int]) -> int:
        """Remove the points of all metrics but these, and return how many rows that were.

        Raises:
            SuddenLoss: That would be more than may be deleted at once; all rows are kept.
        """
        with self.warehouse.writing() as session:
            if not session.columns(_TABLE):
                return 0
            held = {metric_id: cursor.rows for metric_id, cursor in read_cursors(session).items()}
            before = sum(held.values())
            left = sum(rows for metric_id, rows in held.items() if metric_id in {*metric_ids})
            if sudden_loss(before, left, self.max_loss):
                raise self._loss("the table", before, left)
            kept = pa.chunked_array([pa.array(metric_ids, pa.int64())])
            return session.delete_absent(_TABLE, "metric_id IS NOT NULL", "metric_id", kept)

    def _loss(self, what: str, before: int, left: int) -> SuddenLoss:
        return loss_error(what, before, left, self.max_loss, _TABLE)

    def _merge(
        self, batch: Sequence[MetricStep], highest: dict[int, int], loader: Loader
    ) -> tuple[Counter[int], Counter[int]]:
        """Load what is new or differs, and return how many rows of each metric that was.

        Args:
            batch: What was read; its rows are let go.
            highest: Highest stored id of each metric, which is brought up to date.
            loader: Loads it.
        """
        tables, new, changed = self._differing(batch, highest)
        for step in batch:
            if step.rows.num_rows:
                last = step.rows.column("id")[-1].as_py()
                highest[step.metric_id] = max(last, highest.get(step.metric_id, 0))
            # Only `tables` holds them from here on, and it is empty before the most memory is taken.
            step.rows = SCHEMA.empty_table()
        if tables:
            loader.load([metric_points_resource(lambda: iter(tables))])
        return new, changed

    def _differing(
        self, batch: Sequence[MetricStep], highest: dict[int, int]
    ) -> tuple[list[pa.Table], Counter[int], Counter[int]]:
        """Return what is new or differs in tables of GROUP_ROWS, and how many of each metric is new and differs."""
        parts = [split(step.rows, highest.get(step.metric_id, 0)) for step in batch]
        new, known = _concatenated(above for _, above in parts), _concatenated(below for below, _ in parts)
        missing, fresh = False, _all_added(known)
        # What is all new needs no look at what is stored.
        if known.num_rows or not new.num_rows:
            with self.warehouse.reading() as session:
                missing = not session.columns(_TABLE)
                fresh = fresh if missing or not known.num_rows else _fresh(session, known)
        added = fresh.column("added")
        differing = fresh.drop_columns(["added"]).cast(known.schema)
        rows = by_id(_concatenated([differing, new]))
        # A table that is not there yet is made even for metrics without points, so that SQL finds it.
        starts = range(0, rows.num_rows or int(missing), GROUP_ROWS)
        return (
            [rows.slice(start, GROUP_ROWS) for start in starts],
            _by_metric(new) + _by_metric(differing.filter(added)),
            _by_metric(differing.filter(pc.invert(added))),  # pyright: ignore[reportAttributeAccessIssue]
        )

    def _delete_gone(self, seen: dict[int, list[pa.ChunkedArray]]) -> Counter[int]:
        """Delete the rows of metrics whose ids were not among those read."""
        deleted: Counter[int] = Counter()
        if not seen:
            return deleted
        with self.warehouse.writing() as session:
            if not session.columns(_TABLE):
                return deleted
            for metric_id, arrays in seen.items():
                ids = pa.chunked_array([chunk for array in arrays for chunk in array.chunks], pa.int64())
                deleted[metric_id] = session.delete_absent(_TABLE, f"metric_id = {metric_id:d}", "id", ids)
        return deleted

    def _totals(self, metric_ids: Sequence[int]) -> dict[int, Cursor]:
        if not metric_ids:
            return {}
        with self.warehouse.reading() as session:
            return read_cursors(session)


def _concatenated(tables: Iterable[pa.Table]) -> pa.Table:
    table = pa.concat_tables([SCHEMA.empty_table(), *tables], promote_options="default")
    # As it is declared: dlt warns of an Arrow key that may be null.
    return table.cast(pa.schema([at.with_nullable(at.name != "id") for at in table.schema]))


def _all_added(batch: pa.Table) -> pa.Table:
    return batch.append_column("added", pa.array([True] * batch.num_rows, pa.bool_()))


def _fresh(session: Session, batch: pa.Table) -> pa.Table:
    """Return the rows that are new or differ from the stored ones, with a column `added` that tells which."""
    stored = session.columns(_TABLE)
    # A column that nobody foresaw may not be there yet: what has a value in it is then written.
    differs = [
        f"stored.{name} IS DISTINCT FROM batch.{name}" if column in stored else f"batch.{name} IS NOT NULL"
        for column, name in ((column, quoted(column)) for column in batch.schema.names if column != "id")
    ]
    return session.compared(
        _TABLE,
        batch,
        "SELECT batch.*, stored.id IS NULL AS added FROM batch LEFT JOIN {stored} stored USING (id)"
        f" WHERE stored.id IS NULL OR {' OR '.join(differs)} ORDER BY batch.id",
    )


def _by_metric(rows: pa.Table) -> Counter[int]:
    counted = rows.column("metric_id").value_counts().to_pylist()
    return Counter({item["values"]: item["counts"] for item in counted})


def _described(loaded: MetricLoaded, step: MetricStep, total: Cursor) -> MetricLoaded:
    loaded.metric_id = step.metric_id
    loaded.read, loaded.requests, loaded.error = step.read, step.requests, step.error or loaded.error
    loaded.total, loaded.first_at, loaded.last_at = total.rows, total.first_at, total.last_at
    loaded.sketch = sketch(step.newest)
    return loaded
