"""The two ops behind the assets: one loads tables whole, the other merges the points of metrics.

Both read first and load then: what was read completely goes into the database in one package, and an
endpoint or a metric that failed keeps its previous rows. The op raises at the end and says which, why and
what to do, so that what was loaded is recorded all the same.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    BackfillPolicy,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    OpExecutionContext,
    multi_asset,
)
from pydantic import Field

from cachet_dagster.source import (
    ENDPOINTS,
    FILLED_BY,
    TABLES,
    ByIdRequest,
    CachetError,
    CachetReader,
    EndpointRead,
    stored_tables,
    table_resource,
)
from cachet_dagster.source.stored import Stored, read_stored
from cachet_dagster.warehouse import load
from cachet_dagster.warehouse.lock import LockTimeout
from cachet_dagster.warehouse.points import PointsLoad
from cachet_dagster.warehouse.quality import Loaded

from .checks import check_keys, check_results, check_specs
from .partitions import is_metric_key, metric_keys, metric_partitions, sync_metric_partitions
from .resources import CachetResource, Connection
from .specs import LINEAGE_ORDER, asset_key, points_spec, table_specs

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


@multi_asset(
    specs=table_specs(),
    check_specs=check_specs(
        [table for table in TABLES.values() if not FILLED_BY[table.name].kind.per_metric]
    ),
    name="cachet_tables",
    can_subset=True,
    pool=API_POOL,
)
def cachet_tables(
    context: AssetExecutionContext, config: TablesConfig, cachet: CachetResource
) -> Iterator[Any]:
    """Read the selected endpoints in parallel and load those that succeeded as one package."""
    selected = {key.path[-1] for key in context.selected_asset_keys}
    # The tables of an endpoint belong together and are always loaded together.
    endpoints = [
        ENDPOINTS[name]
        for name in dict.fromkeys(FILLED_BY[table].name for table in TABLES if table in selected)
    ]
    by_id = {
        "incidents_by_id": ByIdRequest(config.full_refresh, config.incident_ids),
        "components_by_id": ByIdRequest(config.full_refresh, config.component_ids),
        "schedules": ByIdRequest(config.full_refresh),
    }
    with connected(context.log.info, cachet) as connection:
        database = connection.database
        database.probe()
        with database.reading() as query:
            stored = read_stored(query, whole=stored_tables(endpoints))
        reader = CachetReader(connection.settings, stored, by_id, connection.log)
        # A run of checks alone asks Cachet for nothing.
        reads = reader.read([endpoint.name for endpoint in endpoints]) if endpoints else {}
        loaded = [read for read in reads.values() if read.outcome in ("read", "not offered")]
        # What a guest is refused gets its tables too, so that SQL finds them; their rows stay.
        resources = [
            table_resource(TABLES[table], partial(read.rows.get, table, ()), replace=read.error is None)
            for read in reads.values()
            if read.outcome != "failed"
            for table in read.endpoint.tables
        ]
        if loaded:
            load(database, resources)
        failures = [str(read.error) for read in reads.values() if read.outcome == "failed"]
        if "metrics" in reads and reads["metrics"].error is None:
            failures += _sync_partitions(context, reads["metrics"], connection)
        by_table = {table: read for read in loaded for table in read.endpoint.tables}
        missed = {
            table: read for read in reads.values() for table in read.endpoint.tables if table not in by_table
        }
        # Dagster takes the events of one op in the order of lineage only.
        for table in filter(by_table.get, LINEAGE_ORDER):
            metadata = _metadata(connection, reader, by_table[table], table, stored)
            if table in selected:
                yield MaterializeResult(asset_key=asset_key(table), metadata=metadata)
            else:
                context.log_event(AssetMaterialization(asset_key(table), metadata=metadata))
        for table in selected.intersection(missed):
            context.log_event(
                AssetObservation(asset_key(table), metadata={"what_happened": _missed(missed[table])})
            )
        context.log.info(_summary(reads.values(), reader.client.request_count))
        yield from check_results(
            database,
            context.selected_asset_check_keys,
            {table: _loaded(connection, reader, read, table, stored) for table, read in by_table.items()},
            skipped=set(missed),
        )
        _raise_failures(failures)


@multi_asset(
    specs=[points_spec()],
    check_specs=check_specs([TABLES["metric_points"]]),
    name="metric_points",
    # So that its checks can be evaluated without loading.
    can_subset=True,
    partitions_def=metric_partitions,
    backfill_policy=BackfillPolicy.single_run(),
    pool=API_POOL,
)
def metric_points(
    context: AssetExecutionContext, config: PointsConfig, cachet: CachetResource
) -> Iterator[Any]:
    """Merge the points of the run's metrics, reading on while what was read is loaded."""
    keys = context.partition_keys if context.has_partition_key or context.has_partition_key_range else None
    with connected(context.log.info, cachet) as connection:
        if not context.selected_asset_keys:
            yield from check_results(connection.database, context.selected_asset_check_keys, {})
            return
        if keys is None:
            yield from load_metric_points(context, connection, config.metric_ids, config)
            return
        metric_ids = [int(key) for key in keys if is_metric_key(key)]
        if metric_ids:
            yield from load_metric_points(context, connection, metric_ids, config)
        _raise_failures(
            [f"{key!r} is no metric's id: remove that partition." for key in keys if not is_metric_key(key)]
        )


def load_metric_points(
    context: AssetExecutionContext | OpExecutionContext,
    connection: Connection,
    metric_ids: Sequence[int],
    config: PointsConfig,
) -> Iterator[AssetMaterialization | AssetCheckResult]:
    """Load the points of metrics, all partitions where none is named, and yield one event for each.

    The checks of the table follow, once for all that were read to their end. Where the op does not declare
    them they are recorded all the same.

    Raises:
        Failure: Metrics failed; it names them. What was yielded before stands.
    """
    connection.database.probe()
    wanted = metric_ids or [int(key) for key in metric_keys(context.instance)]
    points = PointsLoad(connection.settings, connection.database, connection.log)
    metrics: dict[int, tuple[int, int]] = {}
    failures: list[str] = []
    for done in points.run(wanted, full_refresh=config.full_refresh):
        if done.error:
            failures.append(str(done.error))
            continue
        metrics[done.metric_id] = done.before, done.before + done.new - done.deleted
        yield AssetMaterialization(
            asset_key("metric_points"),
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
    if config.prune:
        listed = points.reader.read(["metrics"])["metrics"]
        if listed.error:
            raise listed.error
        if points.reader.token_unproven:
            failures.append(
                "Nothing was pruned: whether the token shows all metrics cannot be told just now."
            )
        else:
            pruned = points.prune([row["id"] for row in listed.rows["metrics"]])
            context.log.info(f"pruned {pruned:,} points of metrics that Cachet lists no more")
    if metrics:
        yield from _points_checks(context, connection, points.reader, metrics)
    _raise_failures(failures)


def _points_checks(
    context: AssetExecutionContext | OpExecutionContext,
    connection: Connection,
    reader: CachetReader,
    metrics: Mapping[int, tuple[int, int]],
) -> Iterator[AssetCheckResult]:
    loaded = Loaded(
        before=sum(rows for rows, _ in metrics.values()),
        rows=sum(rows for _, rows in metrics.values()),
        metrics=metrics,
        at=reader.clock or datetime.now(timezone.utc),
        max_loss=connection.max_loss,
    )
    by_table = {"metric_points": loaded}
    if isinstance(context, AssetExecutionContext):
        yield from check_results(connection.database, context.selected_asset_check_keys, by_table)
        return
    for result in check_results(connection.database, check_keys("metric_points"), by_table):
        evaluation: Any = AssetCheckEvaluation(
            asset_key=asset_key("metric_points"),
            check_name=str(result.check_name),
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
        )
        context.log_event(evaluation)


@contextlib.contextmanager
def connected(log: Callable[[str], None], cachet: CachetResource) -> Iterator[Connection]:
    """Connect, and turn an error that a person has to know into a failure whose message is just that."""
    try:
        with cachet.connect(log) as connection:
            yield connection
    except CachetError as error:
        raise Failure(str(error), allow_retries=False) from error


def _sync_partitions(context: AssetExecutionContext, read: EndpointRead, connection: Connection) -> list[str]:
    """Make the metrics read the partitions, and return why that failed where it did: the load stands."""
    ids = [row["id"] for row in read.rows["metrics"]]
    path = connection.database.path
    try:
        added, dropped = sync_metric_partitions(context.instance, ids, beside=path, complete=True)
    except LockTimeout:
        why = "another run kept adding some for a minute"
    except OSError as error:
        why = f"no lock can be made beside {path} ({error.strerror})"
    else:
        if added or dropped:
            context.log.info(f"partitions of metric_points: {len(added)} added, {len(dropped)} dropped")
        return []
    return [f"The partitions of metric_points are as they were: {why}. The next sync tries again."]


def _metadata(
    connection: Connection, reader: CachetReader, read: EndpointRead, table: str, stored: Stored
) -> dict[str, Any]:
    rows = len(read.rows.get(table, ()))
    kept = read.error is not None or read.endpoint.kind.appends
    metadata: dict[str, Any] = {
        "dagster/row_count": rows + (stored.counts[table] if kept else 0),
        "rows_read": rows,
        "requests": read.requests,
        "seconds": round(read.seconds, 3),
        "endpoint": read.endpoint.name,
        "what_happened": _what_happened(read, rows),
        "demo": connection.demo,
        "cachet_api": reader.api.version if reader.api else 0,
        "database": MetadataValue.path(str(connection.database.path)),
    }
    if connection.page_url:
        metadata["status_page"] = MetadataValue.url(connection.page_url)
    return metadata


def _loaded(
    connection: Connection, reader: CachetReader, read: EndpointRead, table: str, stored: Stored
) -> Loaded:
    """Return what a load said of a table, for its checks."""
    before, rows = stored.counts[table], read.rows.get(table, [])
    replaced = read.error is None and not read.endpoint.kind.appends
    return Loaded(
        before=before,
        rows=len(rows) + (0 if replaced else before),
        keys=[tuple(row[column] for column in TABLES[table].key) for row in rows] if replaced else None,
        at=reader.clock or datetime.now(timezone.utc),
        max_loss=connection.max_loss,
    )


def _what_happened(read: EndpointRead, rows: int) -> str:
    if read.error is not None:
        return read.error.what
    if read.endpoint.kind.appends:
        return "added, since it differs" if rows else "unchanged"
    return "replaced whole"


def _missed(read: EndpointRead) -> str:
    kept = "" if read.outcome == "refused" else "; its previous rows are kept"
    return f"{read.outcome}: {read.error.what if read.error else ''}{kept}"


def _time(name: str, at: datetime | None) -> dict[str, MetadataValue]:
    return {} if at is None else {name: MetadataValue.timestamp(at)}


def _summary(reads: Iterable[EndpointRead], requests: int) -> str:
    lines = ["endpoint             outcome       rows  requests  seconds"]
    for read in reads:
        rows = sum(len(rows) for rows in read.rows.values())
        line = f"{read.endpoint.name:20} {read.outcome:11} {rows:6,} {read.requests:9,} {read.seconds:8.2f}"
        lines.append(f"{line}  {read.error}" if read.error else line)
    lines.append(f"{requests:,} requests in all, with finding out which API it is and checking the token")
    return "\n".join(lines)


def _raise_failures(failures: Sequence[str]) -> None:
    if failures:
        shown = "\n".join(failures[:10])
        more = f"\n… and {len(failures) - 10} more" if len(failures) > 10 else ""
        raise Failure(
            f"{shown}{more}\nEverything else is loaded. What lies downstream in this run does not run.",
            allow_retries=False,
        )
