"""Reads the points of many metrics side by side, and hands them over in batches while reading goes on.

How a metric is read on from where the destination ends is each API's own: `cachet3/metric_points.py`,
`cachet2/metric_points.py`. Here several metrics share the connections, pages become Arrow tables, and a batch waits
until it is worth a load, since merging a few rows costs nearly as much as merging many.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from cachet_dagster.source.endpoints import ENDPOINTS
from cachet_dagster.source.errors import CachetError, NotFound, NotUnderstood, Unstable
from cachet_dagster.source.event_loop import gather_bounded, iterate
from cachet_dagster.source.listing import Listing
from cachet_dagster.source.pagination import (
    PER_PAGE,
    SCANS,
    Cursor,
    ListChanged,
    ListPage,
    NewPages,
    PageReader,
    ReadBounds,
)
from cachet_dagster.source.reader import CachetReader

from .columns import points_table, split, without

STEP_ROWS = 250_000
"""Rows after which what was read is emitted: merging 10,000 at a time costs ten times as much."""

STEP_SECONDS = 60.0
"""Seconds after which it is emitted all the same."""

PAUSE_SECONDS = 5.0
"""Seconds without more after which it is emitted too: reading pauses, for the rate limit perhaps."""

SKETCHED = 40
"""How many of the newest values a metric's sketch shows."""

_POINTS = ENDPOINTS["metric_points"]
_FIRST_STEP_PAGES = 500
_METRICS_AT_ONCE = 4
_BELOW_ALL = -(2**63)
_NOTHING = NewPages([], [])


@dataclass
class MetricStep:
    """Rows of one metric, proven complete up to their highest id, in the order in which to load them.

    Attributes:
        metric_id: The metric.
        rows: Points, ascending by id.
        last: Whether the metric is read to its end.
        read: Points read for it so far, those read again included.
        requests: Requests spent on it so far.
        newest: Values of its newest points, oldest first, with the last step only.
        error: Why it could not be read on; what was emitted before stands.
        whole: Whether this step alone holds every point that the metric has, so that any other is gone.
    """

    metric_id: int
    rows: pa.Table
    last: bool = False
    read: int = 0
    requests: int = 0
    newest: list[float | None] = field(default_factory=list)
    error: CachetError | None = None
    whole: bool = False


@dataclass
class Pace:
    """How fast points are being read: pages and rows so far, since when, metrics done and under way.

    `parts` holds, for metrics of which something is emitted, how much of each that is (0 to 1).
    """

    pages: int = 0
    rows: int = 0
    started: float = field(default_factory=time.monotonic)
    metrics: int = 0
    metrics_done: int = 0
    active: int = 0
    step_rows: int = STEP_ROWS
    parts: dict[int, float] = field(default_factory=dict)

    def __str__(self) -> str:
        seconds = max(0.001, time.monotonic() - self.started)
        done = (self.metrics_done + sum(self.parts.values())) / max(1, self.metrics)
        left = f", about {seconds * (1 - done) / done:,.0f} s left" if done > 0.01 else ""
        return (
            f"points: {self.rows:,} rows on {self.pages:,} pages, {self.rows / seconds:,.0f} rows/s, "
            f"{self.metrics_done:,} of {self.metrics:,} metrics{left}"
        )

    def step_pages(self, granted: int | None) -> int:
        """Return the pages a metric may read before it emits them, within `step_rows` and STEP_SECONDS."""
        seconds = time.monotonic() - self.started
        if self.pages >= _FIRST_STEP_PAGES and seconds > 1:
            wanted = int(self.pages / seconds * STEP_SECONDS)
        else:
            wanted = granted or _FIRST_STEP_PAGES
        return max(2, min(wanted, self.step_rows // PER_PAGE) // max(1, self.active))


def read_points(
    reader: CachetReader,
    metric_ids: Sequence[int],
    cursors: Mapping[int, Cursor],
    *,
    full_refresh: bool = False,
    progress: Callable[[Pace], None] | None = None,
    step_rows: int = STEP_ROWS,
) -> Generator[list[MetricStep], None, None]:
    """Yield the metrics' points in batches to be loaded in turn, while reading goes on.

    A metric without news takes one request; N new rows take ⌈N/100⌉ + 2 requests a step, and about
    log₂ of the pages to find the cursor's page where more than ten pages are new.

    Args:
        reader: Reads the Cachet.
        metric_ids: Whose points to read.
        cursors: How far each metric is loaded; one that is missing is read from the start.
        full_refresh: Read all points from the start.
        progress: Called now and then.
        step_rows: Rows after which what was read is emitted.

    Raises:
        CachetError: Nothing could be read at all. A single metric's failure is in its last step.
    """
    work = _PointsReader(reader, {} if full_refresh else cursors, progress or (lambda _pace: None), step_rows)
    return iterate(partial(work.batches, list(dict.fromkeys(metric_ids))))


def sketch(values: Iterable[float | None]) -> str:
    """Return a line of block characters, one a value, from the lowest to the highest."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return ""
    # Halved, since the distance of two numbers may be too large for one.
    low, high = min(known) / 2, max(known) / 2
    scale = (high - low) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[int((value / 2 - low) / scale * 7)] for value in known)


class _PointsReader:
    _listing: Listing

    def __init__(
        self,
        reader: CachetReader,
        cursors: Mapping[int, Cursor],
        progress: Callable[[Pace], None],
        step_rows: int,
    ):
        self._reader = reader
        self._cursors = cursors
        self._progress = progress
        self._step_rows = step_rows
        self._pace = Pace()

    async def batches(self, metric_ids: Sequence[int]) -> AsyncGenerator[list[MetricStep], None]:
        """Yield what was read: `step_rows` rows, or STEP_SECONDS seconds, or what there is when reading pauses."""
        self._pace = Pace(metrics=len(metric_ids), step_rows=self._step_rows)
        steps: asyncio.Queue[MetricStep | None] = asyncio.Queue(1)
        async with self._reader.client:
            await self._reader.connect()
            self._listing = self._reader.listing_for(_POINTS)
            await self._reader.check_token()
            reading = asyncio.ensure_future(self._all(metric_ids, steps))
            getting = asyncio.ensure_future(steps.get())
            try:
                batch: list[MetricStep] = []
                due = math.inf
                while True:
                    pause = max(0.0, min(PAUSE_SECONDS, due - time.monotonic())) if batch else None
                    pausing = not (await asyncio.wait({getting}, timeout=pause))[0]
                    if not pausing:
                        if (step := getting.result()) is None:
                            break
                        due = due if batch else time.monotonic() + STEP_SECONDS
                        batch.append(step)
                        steps.task_done()
                        getting = asyncio.ensure_future(steps.get())
                    full = sum(waiting.rows.num_rows for waiting in batch) >= self._step_rows
                    if full or pausing or time.monotonic() >= due:
                        yield batch
                        batch = []
                await reading
                if batch:
                    yield batch
            finally:
                getting.cancel()
                reading.cancel()
                await asyncio.gather(getting, reading, return_exceptions=True)

    async def _all(self, metric_ids: Sequence[int], steps: asyncio.Queue[MetricStep | None]) -> None:
        waiting = iter(metric_ids)

        async def worker() -> None:
            for metric_id in waiting:
                self._pace.active += 1
                try:
                    await self._metric(metric_id, steps)
                finally:
                    self._pace.active -= 1
                    self._pace.metrics_done += 1
                    self._pace.parts.pop(metric_id, None)
                    self._progress(self._pace)

        # As many metrics at once as there are connections while each takes one request, fewer when they
        # have much to read: the connections are shared by all pages under way.
        workers = max(_METRICS_AT_ONCE, self._reader.settings.connections)
        try:
            count = min(workers, len(metric_ids))
            await gather_bounded(*(worker() for _ in range(count)), at_once=workers)
        except Exception:
            await steps.put(None)
            raise
        # Not when cancelled: nobody takes steps any more, and the queue may be full.
        await steps.put(None)

    async def _metric(self, metric_id: int, steps: asyncio.Queue[MetricStep | None]) -> None:
        """Read a metric to its end; whatever fails is the error of its last step."""
        progress = _Progress(metric_id, self._cursors.get(metric_id, Cursor()))
        try:
            await self._scans(progress, steps)
            return
        except NotFound:
            error: CachetError = NotFound(
                f"Cachet shows no metric {metric_id}, to this token at least",
                "Check the id, or load `metrics` so that its partition is dropped.",
                "metric_points",
            )
        except CachetError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 - one metric's surprise must not cost the others their load
            error = NotUnderstood(
                f"an answer for metric {metric_id} could not be understood ({caught!r:.200})",
                "",
                "metric_points",
            )
        await steps.put(self._step(progress, error=error))

    async def _scans(self, progress: _Progress, steps: asyncio.Queue[MetricStep | None]) -> None:
        """Scan a metric, again where rows moved, each time from where the last proven step ended."""
        for scan in range(SCANS):
            try:
                return await self._scan(progress, steps)
            except ListChanged as moved:
                # What can say why has scanned often enough itself.
                if scan == SCANS - 1 or str(moved):
                    raise Unstable(
                        f"points of metric {progress.metric_id}: {moved}"
                        if str(moved)
                        else f"points of metric {progress.metric_id} kept being deleted while they were read",
                        "Run again when the page is quieter.",
                        "metric_points",
                    ) from None

    async def _scan(self, progress: _Progress, steps: asyncio.Queue[MetricStep | None]) -> None:
        settings, client = self._reader.settings, self._reader.client
        bounds = ReadBounds(settings.points_overlap, self._pace.step_pages(client.granted_per_minute))
        read: PageReader = partial(self._page, progress)
        assert self._listing.paging.since is not None
        async for new in self._listing.paging.since(read, progress.cursor, bounds):
            await steps.put(self._step(progress, new))
            if new.pages:
                last_id = new.pages[-1].ids[-1]
                progress.cursor = Cursor(
                    progress.cursor.rows + sum(len(page.ids) for page in new.pages), last_id
                )
                progress.emitted = last_id
                # Until it is in a batch: one may wait while another is loaded and the next is read,
                # so that memory stays flat.
                await steps.join()
                self._pace.parts[progress.metric_id] = progress.part

    def _step(
        self, progress: _Progress, new: NewPages = _NOTHING, error: CachetError | None = None
    ) -> MetricStep:
        """Return pages as a step, the last one where they end the metric or an error does."""
        zone = self._reader.zone
        rows = points_table([page.rows for page in new.pages], zone)
        if new.tail:
            # One load for both: it costs more than the few rows.
            tail = points_table([page.rows for page in new.tail], zone)
            highest = rows.column("id")[-1].as_py() if rows.num_rows else progress.emitted
            tail = without(split(tail, highest)[1], new.left)
            rows = pa.concat_tables([rows, tail], promote_options="default")
        # Steps of one read may be merged at once, and a merge takes each id once only.
        _, rows = split(rows, progress.emitted)
        # They are the metric's that was asked for, whatever an old server prints.
        metric = pa.repeat(pa.scalar(progress.metric_id, pa.int64()), rows.num_rows)
        rows = rows.set_column(rows.schema.get_field_index("metric_id"), "metric_id", metric)
        return MetricStep(
            progress.metric_id,
            rows,
            last=bool(new.tail) or error is not None,
            read=progress.rows,
            requests=progress.requests,
            newest=_values(new.tail[0]) if new.tail else [],
            error=error,
            whole=new.whole,
        )

    async def _page(
        self,
        progress: _Progress,
        number: int,
        *,
        descending: bool = False,
        per_page: int = PER_PAGE,
    ) -> ListPage:
        progress.requests += 1
        page = await self._reader.page(
            _POINTS, self._listing, number, descending=descending, per_page=per_page, id=progress.metric_id
        )
        progress.rows += len(page.ids)
        if page.ids:
            low, high = sorted((page.ids[0], page.ids[-1]))
            progress.lowest = min(progress.lowest or low, low)
            progress.highest = max(progress.highest, high)
        self._pace.pages += 1
        self._pace.rows += len(page.ids)
        if self._pace.pages % 50 == 0:
            self._progress(self._pace)
        return page


@dataclass
class _Progress:
    """How far a metric is read: its cursor, requests, rows, the range of ids seen, and the highest id emitted."""

    metric_id: int
    cursor: Cursor
    requests: int = 0
    rows: int = 0
    lowest: float = 0
    highest: float = 0
    emitted: int = _BELOW_ALL

    @property
    def part(self) -> float:
        """How much of the ids seen lies at or below the highest one emitted."""
        return (self.emitted - self.lowest) / max(1, self.highest - self.lowest)


def _values(newest: ListPage) -> list[float | None]:
    values = newest.rows.column("value").to_pylist() if newest.ids else []
    return values[:SKETCHED][::-1]
