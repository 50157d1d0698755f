"""The op behind the points of metrics: it merges those of the metrics that a run asks for, reading on while it loads.

A metric that failed keeps its previous rows. The op raises at the end and says which, why and what to do, so that what
was loaded is recorded all the same.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    MetadataValue,
    OpExecutionContext,
    multi_asset,
)
from pydantic import Field

from cachet_dagster.source import TABLES, CachetError
from cachet_dagster.source.loss import SuddenLoss
from cachet_dagster.warehouse.identity import check_page
from cachet_dagster.warehouse.points import MetricLoaded, PointsLoad
from cachet_dagster.warehouse.quality import Loaded

from .checks import COMPLETE, check_keys, check_results, check_specs
from .failures import connected, raise_failures
from .page import Connection, StatusPage
from .partitions import is_metric_key, metric_keys
from .records import (
    Recorded,
    changes_only,
    log_news,
    newest_records,
    read_held_back,
    record_unchanged,
    with_held_back,
)
from .specs import points_spec


class PointsConfig(Config):
    """What a run of the points may ask for beside its partitions."""

    metric_ids: list[int] = Field(
        default=[], description="Metrics to load where the run has no partitions; none for all partitions."
    )
    full_refresh: bool = Field(
        default=False,
        description="Read the metrics' points from the start; points deleted in Cachet disappear.",
    )
    prune: bool = Field(default=False, description="Remove the points of metrics that Cachet lists no more.")
    accept_loss: bool = Field(
        default=False,
        description="Delete points whatever share of them goes: what CACHET_MAX_LOSS stops is let through once.",
    )


def points_asset(page: StatusPage) -> AssetsDefinition:
    """Return the op that merges the points of the run's metrics, reading on while what was read is loaded."""

    @multi_asset(
        specs=[points_spec(page)],
        check_specs=check_specs(page, [TABLES["metric_points"]]),
        name=page.points_op,
        # So that its checks can be evaluated without loading.
        can_subset=True,
        partitions_def=page.partitions,
        backfill_policy=BackfillPolicy.single_run(),
        pool=page.pool,
    )
    def metric_points(context: AssetExecutionContext, config: PointsConfig) -> Iterator[Any]:
        """Merge the points of the run's metrics, reading on while what was read is loaded."""
        partitioned = context.has_partition_key or context.has_partition_key_range
        keys = context.partition_keys if partitioned else None
        with connected(page, context.log.info) as connection:
            if not context.selected_asset_keys:
                wanted = context.selected_asset_check_keys
                yield from check_results(page, connection.warehouse, wanted, {})
                return
            if keys is None:
                yield from load_metric_points(page, context, connection, config.metric_ids, config)
                return
            metric_ids = [int(key) for key in keys if is_metric_key(key)]
            if metric_ids:
                yield from load_metric_points(page, context, connection, metric_ids, config)
            raise_failures(
                [
                    f"{key!r} is no metric's id: remove that partition."
                    for key in keys
                    if not is_metric_key(key)
                ],
                loaded_any=bool(metric_ids),
            )

    return metric_points


def load_metric_points(
    page: StatusPage,
    context: AssetExecutionContext | OpExecutionContext,
    connection: Connection,
    metric_ids: Sequence[int],
    config: PointsConfig,
) -> Iterator[AssetMaterialization | AssetObservation | AssetCheckResult]:
    """Load the points of metrics, all partitions where none is named, and yield one event for each.

    The checks of the table follow, once for all that were read to their end. Where the op does not declare
    them they are recorded all the same.

    Raises:
        Failure: Metrics failed; it names them. What was yielded before stands.
    """
    yield from _PointsRun(page, context, config, connection).events(metric_ids)


class _PointsRecords:
    """Decides which metrics have an event: all of them, or those with news where only changes are recorded."""

    def __init__(self, page: StatusPage, context: AssetExecutionContext | OpExecutionContext):
        key, instance = page.asset_key("metric_points"), context.instance
        self._all = not changes_only(context.run)
        self._known: Collection[str] = () if self._all else instance.get_materialized_partitions(key)
        newest = newest_records(instance, [key]).get(key, Recorded())
        self._fresh = newest.covers(page, newest.version)
        self._all |= record_unchanged(page) == timedelta()
        self._first: MetricLoaded | None = None
        self.quiet = 0

    def is_news(self, done: MetricLoaded) -> bool:
        """Return whether a metric has an event, and count it where it has none."""
        news = done.new or done.changed or done.deleted or str(done.metric_id) not in self._known
        if self._all or news:
            self._fresh = True
            return True
        self.quiet += 1
        self._first = self._first or done
        return False

    @property
    def keeps_fresh(self) -> MetricLoaded | None:
        """A metric to record though it had no news: none had, and the newest event of the asset is old."""
        return None if self._fresh else self._first


@dataclass
class _PointsRun:
    """One load of points: what came of each metric, and what of that is recorded."""

    page: StatusPage
    context: AssetExecutionContext | OpExecutionContext
    config: PointsConfig
    connection: Connection
    points: PointsLoad = field(init=False)
    metrics: dict[int, MetricLoaded] = field(default_factory=dict)
    failed: dict[int, CachetError] = field(default_factory=dict)
    held_back: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Metrics that kept rows which would have gone at once: how many they hold, and would hold."""
    listed: Collection[int] | None = None
    """The metrics that Cachet lists, once all others were pruned."""

    def __post_init__(self) -> None:
        connection = self.connection
        max_loss = 1.0 if self.config.accept_loss else connection.page.max_loss
        self.points = PointsLoad(connection.settings, connection.warehouse, connection.log, max_loss=max_loss)

    def events(self, metric_ids: Sequence[int]) -> Iterator[Any]:
        """Do it all, and yield the materializations and the check results; raise what failed in the end."""
        page, context, warehouse = self.page, self.context, self.connection.warehouse
        warehouse.probe()
        with warehouse.reading() as query:
            connection = self.connection
            check_page(query, connection.identity, connection.page.moved_from, connection.place)
        recorded = _PointsRecords(page, context)
        yield from self._load(
            metric_ids or [int(key) for key in metric_keys(page, context.instance)], recorded
        )
        failures = _sentences(self.failed)
        if self.config.prune:
            failures += self._prune()
        if self.metrics:
            context.log.info(f"{len(self.metrics):,} metrics, {recorded.quiet:,} of them without news")
        if self.metrics or self.held_back:
            yield from self._checks(news=recorded.quiet < len(self.metrics))
            # Yielded and last: what is only logged is lost where the op then fails.
            yield _points_account(page, self.metrics.values(), recorded.quiet)
        retryable = not self.config.prune and all(error.retryable for error in self.failed.values())
        raise_failures(failures, loaded_any=bool(self.metrics), retryable=retryable)

    def _load(self, metric_ids: Sequence[int], recorded: _PointsRecords) -> Iterator[AssetMaterialization]:
        # Whatever ends this ends the load with it, its folder and its pipeline.
        with closing(self.points.run(metric_ids, full_refresh=self.config.full_refresh)) as loading:
            for done in loading:
                if done.error:
                    self.failed[done.metric_id] = done.error.with_setting_names(self.page.setting_name)
                    if isinstance(done.error, SuddenLoss):
                        self.held_back[done.metric_id] = done.before, done.left
                    continue
                self.metrics[done.metric_id] = done
                if recorded.is_news(done):
                    yield _points_event(self.page, self.connection, done)
        if recorded.keeps_fresh:
            yield _points_event(self.page, self.connection, recorded.keeps_fresh)

    def _prune(self) -> list[str]:
        """Remove the points of metrics that Cachet lists no more, and return why not, where not."""
        listed = self.points.reader.read(["metrics"])["metrics"]
        if listed.error:
            raise listed.error
        if self.points.reader.token_unproven:
            return ["Nothing was pruned: whether the token shows all metrics cannot be told just now."]
        ids = {row["id"] for row in listed.rows["metrics"]}
        try:
            pruned = self.points.prune([*ids])
        except SuddenLoss as error:
            self.held_back |= error.metrics
            return [str(error.with_setting_names(self.page.setting_name))]
        self.listed = ids
        self.context.log.info(f"pruned {pruned:,} points of metrics that Cachet lists no more")
        return []

    def _checks(self, *, news: bool) -> Iterator[AssetCheckResult]:
        """Yield the checks of the points; where rows are held back, `complete` speaks of nothing else."""
        page, context, warehouse = self.page, self.context, self.connection.warehouse
        complete = AssetCheckKey(page.asset_key("metric_points"), COMPLETE)
        refused = {**self._still_held_back(complete), **self.held_back}
        planned = context.selected_asset_check_keys if isinstance(context, AssetExecutionContext) else None
        wanted = set(check_keys(page, ["metric_points"]) if planned is None else planned)
        results: list[AssetCheckResult] = []
        if not self.held_back:
            rows = {
                number: (done.before, done.before + done.new - done.deleted)
                for number, done in self.metrics.items()
            }
            others = wanted - {complete} if refused else wanted
            results += check_results(page, warehouse, others, {"metric_points": self._loaded(rows)})
        if refused:
            loss = {"metric_points": self._loaded(refused)}
            found = check_results(page, warehouse, wanted & {complete}, loss, refused=loss)
            results += [with_held_back(result, refused) for result in found]
        if planned is None:
            log_news(context, results, {page.asset_key("metric_points")} if news else ())
        else:
            yield from results

    def _still_held_back(self, complete: AssetCheckKey) -> dict[int, tuple[int, int]]:
        """Return what earlier loads held back and no load since has let go, or found again.

        A load that reads only what is new would find nothing wrong.
        """
        loaded, listed = self.metrics, self.listed
        return {
            metric_id: rows
            for metric_id, rows in read_held_back(self.context.instance, complete).items()
            if not (metric_id in loaded and (self.config.full_refresh or loaded[metric_id].deleted))
            and (listed is None or metric_id in listed)
        }

    def _loaded(self, metrics: Mapping[int, tuple[int, int]]) -> Loaded:
        return Loaded(
            before=sum(rows for rows, _ in metrics.values()),
            rows=sum(rows for _, rows in metrics.values()),
            metrics=metrics,
            at=self.points.reader.clock or datetime.now(timezone.utc),
            max_loss=self.connection.page.max_loss,
            loss_accepted=self.config.accept_loss,
        )


def _points_event(page: StatusPage, connection: Connection, done: MetricLoaded) -> AssetMaterialization:
    return AssetMaterialization(
        page.asset_key("metric_points"),
        partition=str(done.metric_id),
        metadata={
            "rows_read": done.read,
            "rows_new": done.new,
            "rows_changed": done.changed,
            "rows_deleted": done.deleted,
            "dagster/partition_row_count": done.total,
            **_time("first_at", done.first_at),
            **_time("last_at", done.last_at),
            "requests": done.requests,
            "last_values": done.sketch,
            "demo": connection.demo,
        },
    )


def _points_account(page: StatusPage, metrics: Collection[MetricLoaded], quiet: int) -> AssetObservation:
    account = {
        "metrics": len(metrics),
        "metrics_without_news": quiet,
        "rows": sum(done.total for done in metrics),
        "rows_new": sum(done.new for done in metrics),
        "rows_changed": sum(done.changed for done in metrics),
        "requests": sum(done.requests for done in metrics),
    }
    return AssetObservation(page.asset_key("metric_points"), metadata=account)


def _time(name: str, at: datetime | None) -> dict[str, MetadataValue]:
    return {} if at is None else {name: MetadataValue.timestamp(at)}


def _sentences(failed: Mapping[int, CachetError]) -> list[str]:
    """Return why metrics failed, once for those for which it is the same but for its numbers, with their ids."""
    alike: dict[str, dict[int, str]] = {}
    for metric_id, error in sorted(failed.items()):
        sentence = str(error).replace(f"metric {metric_id}", _METRIC)
        # Counts may differ; what stands in brackets, such as the server's status, tells what happened.
        alike.setdefault(re.sub(r"(?<![(\d,.])\d[\d,]*", "", sentence), {})[metric_id] = sentence
    found = []
    for same in alike.values():
        first, *others = same
        if len({*same.values()}) == 1:
            found.append(same[first].replace(_METRIC, _named([*same])))
        else:
            found.append(f"{same[first].replace(_METRIC, _named([first]))} So it is with {_named(others)}.")
    return found


def _named(metric_ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, metric_ids[:10]))
    more = f" and {len(metric_ids) - 10:,} more" if len(metric_ids) > 10 else ""
    return f"metric{'s' if len(metric_ids) > 1 else ''} {shown}{more}"


# Stands for the metric while sentences are compared; no server's text has it.
_METRIC = "metric \0"
