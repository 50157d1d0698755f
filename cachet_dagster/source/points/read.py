"""Points of metrics: Arrow batches, read from where the destination ends, one request where nothing is new.

The cursor is the highest id that the destination holds for a metric. Ids are read upwards in steps that
are proven complete, and the newest page is emitted last, so that at whatever moment a load is killed,
what is stored has no gap. The newest page is read again at each load, since points change.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from cachet_dagster.source.cachet2 import points as cachet2_points
from cachet_dagster.source.cachet2.pages import UNSORTED
from cachet_dagster.source.cachet3 import points as cachet3_points
from cachet_dagster.source.cachet3.pages import BY_ID, page_with, reaches, upwards
from cachet_dagster.source.cachet3.rows import flatten
from cachet_dagster.source.endpoints import ENDPOINTS
from cachet_dagster.source.errors import CachetError, NotCachet, NotFound, NotUnderstood, Unstable
from cachet_dagster.source.event_loop import iterate, together
from cachet_dagster.source.http.response import Answer
from cachet_dagster.source.listing import Listing
from cachet_dagster.source.pages import PER_PAGE, SCANS, Moved, Page, PageReader, Paging
from cachet_dagster.source.reader import CachetReader, check_order
from cachet_dagster.source.rows import Row, RowContext, data_of
from cachet_dagster.source.stored import Cursor

from .arrow import PageDecoder, PlainPage, PointShape, odd_page, split, table_of, without

STEP_ROWS = 250_000
"""Rows after which what was read is emitted: merging 10,000 at a time costs ten times as much."""

STEP_SECONDS = 60.0
"""Seconds after which it is emitted all the same."""

PAUSE_SECONDS = 5.0
"""Seconds without more after which it is emitted too: reading pauses, for the rate limit perhaps."""

SKETCHED = 40
"""How many of the newest values a metric's sketch shows."""

_NEAR_PAGES = 10
_FIRST_STEP_PAGES = 500
_METRICS_AT_ONCE = 4
_BELOW_ALL = -(2**63)


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
    work = _PointsRead(reader, {} if full_refresh else cursors, progress or (lambda _pace: None), step_rows)
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


class _Step(NamedTuple):
    """Pages to hand over, those that end a metric (newest first), and whether all hold every point that it has.

    `left` are ids on the latter of points that are left to the next load.
    """

    pages: list[Page]
    tail: list[Page]
    whole: bool = False
    left: frozenset[int] = frozenset()


class _PointsRead:
    _listing: Listing
    _strategy: PointsStrategy
    _decoder: PageDecoder

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
            api = await self._reader.connect()
            listing = ENDPOINTS["metric_points"].listing(api.version)
            assert listing is not None
            self._listing, self._strategy = listing, _STRATEGIES[listing.paging]
            self._decoder = PageDecoder(self._strategy.shape)
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
                        # Or the last one would be held until the next is read.
                        del step
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
            await together(*(worker() for _ in range(count)), at_once=workers)
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
        await steps.put(self._step(progress, [], last=True, error=error))

    async def _scans(self, progress: _Progress, steps: asyncio.Queue[MetricStep | None]) -> None:
        """Scan a metric, again where rows moved, each time from where the last proven step ended."""
        for scan in range(SCANS):
            try:
                return await self._scan(progress, steps)
            except Moved as moved:
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
        read = partial(self._page, progress)
        async for pages, tail, whole, left in self._strategy.pages(self, read, progress.cursor):
            step = self._step(progress, pages)
            large = bool(pages)
            if large:
                progress.cursor = Cursor(progress.cursor.rows + step.rows.num_rows, pages[-1].ids[-1])
                progress.emitted = pages[-1].ids[-1]
            # The generators on the way hold this list; its rows are in the step now.
            pages.clear()
            if tail:
                # One load for both: it costs more than the few rows.
                rows, step = step.rows, self._last_step(progress, tail, whole=whole)
                step.rows = without(step.rows, left)
                step.rows = pa.concat_tables([rows, step.rows], promote_options="default")
                del rows
            await steps.put(step)
            del step
            if large:
                # Until it is in a batch: one may wait while another is loaded and the next is read,
                # so that memory stays flat.
                await steps.join()
                self._pace.parts[progress.metric_id] = progress.part

    def _last_step(self, progress: _Progress, tail: Sequence[Page], *, whole: bool) -> MetricStep:
        return self._step(progress, tail, last=True, newest=_values(tail[0]), whole=whole)

    def _step(self, progress: _Progress, pages: Sequence[Page], **last: Any) -> MetricStep:
        # Steps of one read may be merged at once, and a merge takes each id once only.
        rows = table_of([page.rows for page in pages], self._reader.zone)
        _, rows = split(rows, progress.emitted)
        return MetricStep(progress.metric_id, rows, read=progress.rows, requests=progress.requests, **last)

    async def upwards(self, read: PageReader, cursor: Cursor) -> AsyncIterator[_Step]:
        """Yield what is new by id, the newest pages last."""
        newest = await read(1, descending=True)
        tail = await self._tail(read, newest, cursor)
        if not _gap(tail[-1], cursor):
            yield _Step([], tail)
            return
        async for pages in self._missing(read, tail[-1], cursor):
            yield _Step(pages, tail if reaches(pages[-1], tail[-1]) else [])

    async def by_time(self, read: PageReader, cursor: Cursor) -> AsyncIterator[_Step]:
        """Yield what is new by time, all at once."""
        overlap = self._reader.settings.points_overlap * PER_PAGE
        pages, whole, uncertain = await cachet2_points.new_pages(read, cursor, overlap)
        yield _Step([], pages, whole, uncertain)

    async def _tail(self, read: PageReader, newest: Page, cursor: Cursor) -> list[Page]:
        """Return the newest pages: as many as the overlap wants, or as the cursor is away, if that is near.

        Downwards a new row shifts the others as a deleted one does, and the two can cancel out. So the newest
        page is read again too, and where anything moved it is returned alone: what lies below is then read
        upwards, where new rows are harmless.
        """
        wanted = 1
        if cursor.last_id and newest.more:
            away = _pages_below(newest, cursor.last_id)
            all_pages = min(away, _NEAR_PAGES) + cursor.rows // PER_PAGE
            wanted = min(self._reader.settings.points_overlap, all_pages)
            wanted = max(wanted, away) if away <= _NEAR_PAGES else wanted
        if wanted == 1:
            return [newest]
        late = await read(wanted, descending=True)
        while not late.ids:
            late = await read(late.number - 1, descending=True)
        if late.number == 1:
            return [newest]
        between = await together(*(read(number, descending=True) for number in range(2, late.number)))
        quiet = not between or (await read(late.number, descending=True)).ids == late.ids
        quiet = quiet and (await read(1, descending=True)).ids == newest.ids
        return [newest, *between, late] if quiet else [newest]

    async def _missing(self, read: PageReader, lowest: Page, cursor: Cursor) -> AsyncIterator[list[Page]]:
        """Yield what lies between the cursor and the lowest of the newest pages, upwards."""
        start = None
        if cursor.last_id:
            start = await page_with(read, cursor.last_id, near=cursor.rows // PER_PAGE + 1)
        limit = self._pace.step_pages(self._reader.client.granted_per_minute)
        async for pages in upwards(read, lowest, start=start, limit=limit):
            yield pages

    async def _page(
        self,
        progress: _Progress,
        number: int,
        *,
        descending: bool = False,
        per_page: int = PER_PAGE,
    ) -> Page:
        progress.requests += 1
        paging = self._listing.paging
        answer = await self._reader.client.get(
            self._listing.path.format(id=progress.metric_id),
            paging.query(number, descending, per_page),
            endpoint="metric_points",
            decode=self._decoder,
        )
        page = self._parsed(answer, number, descending)
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

    def _parsed(self, answer: Answer, number: int, descending: bool) -> Page:
        context = self._reader.context("metric_points", answer)
        document = answer.document
        rows = document.get("data") if isinstance(document, dict) else None
        if not isinstance(rows, PlainPage):
            data = data_of(document, context.endpoint)
            if not isinstance(data, list):
                raise NotCachet("the answer is one row where a list was asked for", "", context.endpoint)
            rows = odd_page([self._strategy.flatten(row, context) for row in data])
        elif rows.extra:
            rows = self._decoder.with_extra_columns(
                rows, lambda name, value: self._strategy.flatten_attribute(name, value, context)
            )
        ids = rows.column("id").to_numpy().tolist()
        if self._listing.paging.ordered:
            check_order(ids, descending, context.endpoint)
        more, total, pages = self._listing.paging.envelope(document)
        return Page(number, ids, more, rows, total, pages, at=answer.at)


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


@dataclass(frozen=True)
class PointsStrategy:
    """How points are read on where a list is paged in some way, and what its documents hold."""

    pages: Callable[[_PointsRead, PageReader, Cursor], AsyncIterator[_Step]]
    shape: PointShape
    flatten: Callable[[Any, RowContext], Row]
    flatten_attribute: Callable[[str, Any, RowContext], Row]


def _gap(lowest: Page, cursor: Cursor) -> bool:
    """Return whether the cursor's row, which may have been counted on since, or more lies below a page."""
    return lowest.more and lowest.ids[-1] > cursor.last_id


def _pages_below(newest: Page, last_id: int) -> int:
    """Guess which of the newest pages holds the cursor, from how dense the ids of the first one are."""
    spacing = max(1.0, (newest.ids[0] - newest.ids[-1]) / max(1, len(newest.ids) - 1))
    return max(1, math.floor((newest.ids[0] - last_id) / spacing / PER_PAGE) + 1)


def _values(newest: Page) -> list[float | None]:
    values = newest.rows.column("value").to_pylist() if newest.ids else []
    return values[:SKETCHED][::-1]


_STRATEGIES: dict[Paging, PointsStrategy] = {
    BY_ID: PointsStrategy(
        _PointsRead.upwards, cachet3_points.SHAPE, flatten, cachet3_points.flatten_attribute
    ),
    UNSORTED: PointsStrategy(
        _PointsRead.by_time, cachet2_points.SHAPE, cachet2_points.flatten, cachet2_points.flatten_attribute
    ),
}
