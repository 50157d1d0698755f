"""The two ops behind the assets: one loads tables whole, the other merges the points of metrics.

Both read first and load then: what was read completely goes into the database in one package, and an
endpoint or a metric that failed keeps its previous rows. The op raises at the end and says which, why and
what to do, so that what was loaded is recorded all the same.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Optional

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    BackfillPolicy,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)
from pydantic import Field

from cachet_dagster.source import (
    ENDPOINTS,
    FILLED_BY,
    TABLES,
    Asking,
    CachetError,
    CachetReader,
    EndpointRead,
    stored_tables,
    table_resource,
)
from cachet_dagster.source.stored import Stored, read_stored
from cachet_dagster.warehouse import Database, load
from cachet_dagster.warehouse.points import PointsLoad

from .partitions import metric_keys, metric_partitions, sync_metric_partitions
from .resources import CachetResource, Connection
from .specs import asset_key, points_spec, table_specs

API_POOL = "cachet_api"


class TablesConfig(Config):
    """What a run may ask for beside what it selects."""

    full_refresh: bool = Field(
        default=False, description="Ask for every incident and component by id, whatever is stored."
    )
    incident_ids: list[int] = Field(default=[], description="Incidents to ask for by id in any case.")
    component_ids: list[int] = Field(default=[], description="Components to ask for by id in any case.")


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


@multi_asset(specs=table_specs(), name="cachet_tables", can_subset=True, pool=API_POOL)
def cachet_tables(context: AssetExecutionContext, config: TablesConfig, cachet: CachetResource) -> Iterator[Any]:
    """Read the selected endpoints in parallel and load those that succeeded as one package."""
    selected = {key.path[-1] for key in context.selected_asset_keys}
    # The tables of an endpoint belong together and are always loaded together.
    endpoints = [ENDPOINTS[name] for name in dict.fromkeys(FILLED_BY[table].name for table in TABLES if table in selected)]
    asking = {
        "incidents_by_id": Asking(config.full_refresh, config.incident_ids),
        "components_by_id": Asking(config.full_refresh, config.component_ids),
        "schedules": Asking(config.full_refresh),
    }
    with _told(context), cachet.connect(context.log.info) as connection:
        database = connection.database
        database.probe()
        with database.reading() as opened:
            stored = read_stored(database.query(opened), whole=stored_tables(endpoints))
        reader = CachetReader(connection.settings, stored, asking, context.log.info)
        reads = reader.read([endpoint.name for endpoint in endpoints])
        loaded = [read for read in reads.values() if read.outcome in ("read", "not offered")]
        resources = [
            table_resource(TABLES[table], lambda rows=read.rows.get(table, ()): rows, replace=read.error is None)
            for read in loaded
            for table in read.endpoint.tables
        ]
        if resources:
            load(database, resources)
        if "metrics" in reads and reads["metrics"].error is None:
            _sync_partitions(context, reads["metrics"], connection)
        for read in loaded:
            for table in read.endpoint.tables:
                metadata = _metadata(connection, reader, read, table, stored)
                if table in selected:
                    yield MaterializeResult(asset_key=asset_key(table), metadata=metadata)
                else:
                    context.log_event(AssetMaterialization(asset_key(table), metadata=metadata))
        context.log.info(_summary(reads.values()))
        _raise_failures([str(read.error) for read in reads.values() if read.outcome == "failed"])


@multi_asset(
    specs=[points_spec()],
    name="cachet_metric_points",
    partitions_def=metric_partitions,
    backfill_policy=BackfillPolicy.single_run(),
    pool=API_POOL,
)
def metric_points(context: AssetExecutionContext, config: PointsConfig, cachet: CachetResource) -> Iterator[Any]:
    """Merge the points of the run's metrics, reading on while what was read is loaded."""
    metric_ids = _metric_ids(context, config)
    key = asset_key("metric_points")
    with _told(context), cachet.connect(context.log.info) as connection:
        connection.database.probe()
        failures: list[str] = []
        points = PointsLoad(connection.settings, connection.database, context.log.info)
        for done in points.run(metric_ids, full_refresh=config.full_refresh):
            if done.error:
                failures.append(str(done.error))
                continue
            yield AssetMaterialization(
                key,
                partition=str(done.metric_id),
                metadata={
                    "rows_read": done.read,
                    "rows_new": done.new,
                    "rows_changed": done.changed,
                    "dagster/partition_row_count": done.total,
                    **_time("first_at", done.first_at),
                    **_time("last_at", done.last_at),
                    "requests": done.requests,
                    "last_values": done.sketch,
                    "demo": connection.demo,
                },
            )
        if config.prune:
            context.log.info(points.prune())
        _raise_failures(failures)
