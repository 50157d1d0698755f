"""The op behind the points of metrics: it merges those of the metrics that a run asks for, reading on while it loads.

A metric that failed keeps its previous rows. The op raises at the end and says which, why and what to do, so that what
was loaded is recorded all the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetRecordsFilter,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    MetadataValue,
    OpExecutionContext,
    multi_asset,
)
from pydantic import Field

from cachet_dagster.source import TABLES, CachetError
from cachet_dagster.source.identity import check_page
from cachet_dagster.source.loss import SuddenLoss
from cachet_dagster.warehouse.complete import Incomplete
from cachet_dagster.warehouse.points import MetricLoaded, PointsLoad

from .checks import check_results, check_specs, due_checks, failed_checks
from .failures import connected, raise_failures
from .page import StatusPage
from .partitions import is_metric_key, metric_keys
from .records import DATA_VERSION, evaluation
from .run_context import RunContext
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
        name=page.named("load_points"),
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
                results = check_results(page, connection.warehouse, wanted)
                yield from results
                raise_failures(failed_checks(results), loaded_any=False)
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
    connection: RunContext,
    metric_ids: Sequence[int],
    config: PointsConfig,
) -> Iterator[Any]:
    """Load the points of metrics, all partitions where none is named, and yield their events.

    The checks of the table follow, once for all that were read to their end. Where the op does not declare
    them they are recorded all the same.

    Raises:
        Failure: Metrics failed; it names them. What was yielded before stands.
    """
    yield from _PointsRun(page, context, config, connection).events(metric_ids)


@dataclass
class _PointsRun:
    """One load of points: what came of each metric, and what of that is recorded."""

    page: StatusPage
    context: AssetExecutionContext | OpExecutionContext
    config: PointsConfig
    connection: RunContext
    points: PointsLoad = field(init=False)
    metrics: dict[int, MetricLoaded] = field(default_factory=dict)
    failed: dict[int, CachetError] = field(default_factory=dict)
    news: int = 0

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
        yield from self._load(metric_ids or [int(key) for key in metric_keys(page, context.instance)])
        failures = _sentences(self.failed)
        if self.config.prune:
            failures += self._prune()
        if self.metrics:
            context.log.info(f"{len(self.metrics):,} metrics, {len(self.metrics) - self.news:,} without news")
            results, planned = self._check()
            yield from results if planned else map(evaluation, results)
            failures += failed_checks(results)
            yield self._account()
        retryable = len(failures) == len(_sentences(self.failed)) and all(
            error.retryable for error in self.failed.values()
        )
        raise_failures(failures, loaded_any=bool(self.metrics), retryable=retryable)

    def _load(self, metric_ids: Sequence[int]) -> Iterator[AssetMaterialization]:
        """Load the points, and yield an event for each metric with news: a page may have a thousand metrics.

        Each partition that was selected has its event, as Dagster expects. Where no metric has news one stands for
        all, so that the asset shows when it was loaded last.
        """
        page, context = self.page, self.context
        everything = isinstance(context, AssetExecutionContext)
        known = context.instance.get_materialized_partitions(page.asset_key("metric_points"))
        # Whatever ends this ends the load with it, its folder and its pipeline.
        with closing(self.points.run(metric_ids, full_refresh=self.config.full_refresh)) as loading:
            for done in loading:
                error = done.error or _incomplete(done)
                if error:
                    self.failed[done.metric_id] = error.with_setting_names(page.configuration.setting_name)
                    continue
                self.metrics[done.metric_id] = done
                news = bool(done.new or done.changed or done.deleted or str(done.metric_id) not in known)
                self.news += news
                if everything or news:
                    yield self._event(done, news=news)
        if self.metrics and not everything and not self.news:
            yield self._event(self.metrics[min(self.metrics)], news=False)

    def _prune(self) -> list[str]:
        """Remove the points of metrics that Cachet lists no more, and return why not, where not."""
        listed = self.points.reader.read(["metrics"])["metrics"]
        if listed.error:
            raise listed.error
        if self.points.reader.token_unproven:
            return ["Nothing was pruned: whether the token shows all metrics cannot be told just now."]
        try:
            pruned = self.points.prune([row["id"] for row in listed.rows["metrics"]])
        except SuddenLoss as error:
            return [str(error.with_setting_names(self.page.configuration.setting_name))]
        self.context.log.info(f"pruned {pruned:,} points of metrics that Cachet lists no more")
        return []

    def _check(self) -> tuple[list[AssetCheckResult], bool]:
        """Return the results of the checks that are due, and whether the run planned them."""
        page, context = self.page, self.context
        planned = context.selected_asset_check_keys if isinstance(context, AssetExecutionContext) else None
        wanted = planned
        if wanted is None:
            changed = ["metric_points"] if self.news else []
            wanted = due_checks(page, context.instance, ["metric_points"], changed)
        results = check_results(page, self.connection.warehouse, wanted, self.points.reader.clock)
        return results, planned is not None

    def _event(self, done: MetricLoaded, *, news: bool) -> AssetMaterialization:
        key, partition = self.page.asset_key("metric_points"), str(done.metric_id)
        return AssetMaterialization(
            key,
            partition=partition,
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
                "demo": self.connection.demo,
            },
            tags={DATA_VERSION: self.context.run_id if news else self._last_version(key, partition)},
        )

    def _last_version(self, key: AssetKey, partition: str) -> str:
        """Return the data version of a metric's newest event, which names the run that changed it last."""
        newest = self.context.instance.fetch_materializations(
            AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
        ).records
        event = newest[0].asset_materialization if newest else None
        return ((event and event.tags) or {}).get(DATA_VERSION, self.context.run_id)

    def _account(self) -> AssetObservation:
        metrics = self.metrics.values()
        account = {
            "metrics": len(metrics),
            "metrics_without_news": len(metrics) - self.news,
            "rows": sum(done.total for done in metrics),
            "rows_new": sum(done.new for done in metrics),
            "rows_changed": sum(done.changed for done in metrics),
            "requests": sum(done.requests for done in metrics),
        }
        return AssetObservation(self.page.asset_key("metric_points"), metadata=account)


def _incomplete(done: MetricLoaded) -> Incomplete | None:
    """Return the error of a metric that holds other than what it held and what was loaded."""
    expected = done.before + done.new - done.deleted
    if done.total == expected:
        return None
    return Incomplete(
        f"metric {done.metric_id} holds {done.total:,} points where it should hold {expected:,}",
        endpoint="metric_points",
    )


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
