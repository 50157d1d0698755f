"""The op behind the tables that are read as a whole: it reads the selected endpoints and loads those that succeeded.

It reads first and loads then: what was read completely goes into the database in one package, and an endpoint that
failed keeps its previous rows. The op raises at the end and says which, why and what to do, so that what was loaded is
recorded all the same.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetMaterialization,
    AssetObservation,
    AssetsDefinition,
    Config,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)
from pydantic import Field

from cachet_dagster.analytics.history import HistoryState, history_resources, read_history
from cachet_dagster.source import (
    ENDPOINTS,
    FILLED_BY,
    TABLES,
    ByIdRequest,
    CachetReader,
    Endpoint,
    EndpointRead,
    metric_points_resource,
    stored_tables,
    table_resource,
)
from cachet_dagster.source.errors import told_once
from cachet_dagster.source.identity import check_page, check_viewer, identity_resource, viewer_of
from cachet_dagster.source.loss import SuddenLoss, loss_error, sudden_loss
from cachet_dagster.source.stored import Stored, read_stored
from cachet_dagster.warehouse import Session, load
from cachet_dagster.warehouse.complete import Incomplete, assert_count, assert_keys
from cachet_dagster.warehouse.lock import LockTimeout
from cachet_dagster.warehouse.table_equals import table_equals

from .checks import check_results, check_specs, due_checks, failed_checks
from .failures import connected, raise_failures
from .page import PAGE_TAG, StatusPage
from .partitions import all_keys, sync_metric_partitions
from .records import DATA_VERSION, UNCHANGED, WHAT, data_version, evaluation
from .run_context import RunContext
from .specs import LINEAGE_ORDER, table_specs

_ACCEPT_LOSS = (
    "Replace tables whatever share of their rows goes: what CACHET_MAX_LOSS stops is let through once."
)


class TablesConfig(Config):
    """What a run may ask for beside what it selects."""

    full_refresh: bool = Field(
        default=False,
        description="Read how every incident and schedule hit its components, whatever is stored.",
    )
    incident_ids: list[int] = Field(default=[], description="Incidents to ask for by id in any case.")
    component_ids: list[int] = Field(default=[], description="Components to ask for by id in any case.")
    accept_loss: bool = Field(default=False, description=_ACCEPT_LOSS)


def tables_asset(page: StatusPage) -> AssetsDefinition:
    """Return the op that reads the selected endpoints in parallel and loads those that succeeded as one package."""

    @multi_asset(
        specs=table_specs(page),
        check_specs=check_specs(page, page.whole_tables),
        name=page.named("tables"),
        can_subset=True,
        pool=page.pool,
    )
    def tables(context: AssetExecutionContext, config: TablesConfig) -> Iterator[Any]:
        """Read the selected endpoints in parallel and load those that succeeded as one package."""
        with connected(page, context.log.info) as connection:
            yield from _TablesRun(page, context, config, connection).events()

    return tables


@dataclass
class _TablesRun:
    """One run over the tables that are read as a whole: read, load, and what Dagster is told of it."""

    page: StatusPage
    context: AssetExecutionContext
    config: TablesConfig
    connection: RunContext
    stored: Stored = field(default_factory=Stored)
    history: HistoryState = field(default_factory=HistoryState)
    reader: CachetReader = field(init=False)
    _page_known: bool = False
    _held: Collection[str] = ()

    def events(self) -> Iterator[Any]:
        """Do it all, and yield the materializations and the check results; raise what failed in the end."""
        connection, context, page = self.connection, self.context, self.page
        keys = {page.asset_key(table.name): table.name for table in page.whole_tables}
        selected = {keys[key] for key in context.selected_asset_keys}
        # The tables of an endpoint belong together and are always loaded together.
        endpoints = [
            ENDPOINTS[name]
            for name in dict.fromkeys(FILLED_BY[table].name for table in TABLES if table in selected)
        ]
        before = all_keys(page, context.instance)
        reads = self._read(endpoints)
        loaded = self._load(reads.values())
        failed = [read.error for read in reads.values() if read.error and self._fails(read)]
        unmade: list[str] = []
        if "metrics" in reads and reads["metrics"].error is None:
            unmade = _sync_partitions(page, context, reads["metrics"], connection, before)
        by_table = {table: read for read in loaded for table in read.endpoint.tables}
        context.log.info(_summary(reads.values(), self.reader.client.request_count))
        yield from self._materializations(by_table, selected)
        missed = {table: read for read in reads.values() for table in read.endpoint.tables}
        for table in [table for table in TABLES if table in selected - by_table.keys()]:
            yield AssetObservation(page.asset_key(table), metadata={WHAT: _missed(missed[table])})
        results = self._check(by_table, missed)
        yield from results if context.selected_asset_check_keys else map(evaluation, results)
        failures = [*told_once(failed), *unmade, *failed_checks(results)]
        retryable = len(failures) == len(failed) and all(error.retryable for error in failed)
        raise_failures(failures, loaded_any=bool(loaded), retryable=retryable)

    def _materializations(
        self, by_table: Mapping[str, EndpointRead], selected: Collection[str]
    ) -> Iterator[MaterializeResult | AssetMaterialization]:
        """Yield an event for each table that was loaded, changed or not."""
        # Dagster takes the events of one op in the order of lineage only.
        for table in [table for table in LINEAGE_ORDER if table in by_table]:
            read, key = by_table[table], self.page.asset_key(table)
            metadata, version = self._metadata(read, table), self._version(read, table)
            if table in selected:
                yield MaterializeResult(asset_key=key, metadata=metadata, data_version=DataVersion(version))
            else:
                yield AssetMaterialization(key, metadata=metadata, tags={DATA_VERSION: version})

    def _version(self, read: EndpointRead, table: str) -> str:
        """Return the data version of what a table holds now."""
        if read.error is not None or read.endpoint.kind.appends:
            # Nothing but new rows ever differs.
            return f"{self._rows_now(read, table)} rows"
        return data_version(read.rows.get(table, []))

    def _check(
        self, by_table: Mapping[str, EndpointRead], reads: Mapping[str, EndpointRead]
    ) -> list[AssetCheckResult]:
        """Evaluate the checks that the run selected, else those that are due after this load."""
        page, context = self.page, self.context
        missed = {page.asset_key(table) for table in reads if table not in by_table}
        wanted: Collection[AssetCheckKey] = context.selected_asset_check_keys
        if not wanted and PAGE_TAG in context.run.tags:
            # The page's jobs plan no checks; a person who selects none wants none.
            changed = [table for table in by_table if table not in self._held]
            wanted = due_checks(page, context.instance, by_table, changed)
        wanted = [key for key in wanted if key.asset_key not in missed]
        return check_results(page, self.connection.warehouse, wanted, self.reader.clock)

    def _read(self, endpoints: Sequence[Endpoint]) -> dict[str, EndpointRead]:
        connection, config = self.connection, self.config
        warehouse = connection.warehouse
        warehouse.probe()
        with warehouse.reading() as query:
            if endpoints:
                held = check_page(query, connection.identity, connection.page.moved_from, connection.place)
                viewer = viewer_of(connection.settings)
                known = None if config.accept_loss else check_viewer(query, viewer, connection.place)
                self._page_known = (held, known) == (connection.identity, viewer)
                if known == "guest" != viewer:
                    connection.log("there is a token now: from here on hidden rows are loaded too")
            self.stored = read_stored(query, whole=stored_tables(endpoints))
            self.history = read_history(query)
        by_id = {
            "incidents_by_id": ByIdRequest(config.full_refresh, config.incident_ids),
            "components_by_id": ByIdRequest(config.full_refresh, config.component_ids),
            "schedules": ByIdRequest(config.full_refresh),
        }
        self.reader = CachetReader(connection.settings, self.stored, by_id, connection.log)
        # A run of checks alone asks Cachet for nothing.
        reads = self.reader.read([endpoint.name for endpoint in endpoints]) if endpoints else {}
        for read in reads.values():
            error = read.error or self._loss(read)
            read.error = error and error.with_setting_names(self.page.configuration.setting_name)
        return reads

    def _load(self, reads: Collection[EndpointRead]) -> list[EndpointRead]:
        """Load what was read, and return it."""
        connection = self.connection
        loaded = [read for read in reads if read.outcome in ("read", "not offered")]
        if not loaded:
            return []
        self._held = self._holding(loaded)
        # What a token is refused gets its tables too, so that SQL finds them; their rows stay.
        resources = [
            table_resource(TABLES[table], partial(read.rows.get, table, ()), replace=read.error is None)
            for read in reads
            if read.outcome != "failed"
            for table in read.endpoint.tables
            if table not in self._held
        ]
        if self.stored.points_missing and any(read.endpoint.name == "metrics" for read in loaded):
            # A page without metrics has no run that would make it.
            resources.append(metric_points_resource(lambda: iter(())))
        resources += history_resources(self.history, reads, self.reader)
        if not self._page_known:
            resources.append(
                identity_resource(connection.identity, self.page.name, viewer_of(connection.settings))
            )
        load(self.connection.warehouse, resources)
        self._assert_complete(loaded)
        return [read for read in loaded if not isinstance(read.error, Incomplete)]

    def _assert_complete(self, loaded: Iterable[EndpointRead]) -> None:
        """Mark the reads whose tables do not hold what was read."""
        with self.connection.warehouse.reading() as session:
            for read in loaded:
                for table in [TABLES[name] for name in read.endpoint.tables if name not in self._held]:
                    try:
                        if read.error is None and read.endpoint.kind.appends:
                            assert_count(session, table, self._rows_now(read, table.name))
                        elif read.error is None:
                            rows = read.rows.get(table.name, ())
                            assert_keys(session, table, [tuple(map(row.get, table.key)) for row in rows])
                    except Incomplete as error:
                        read.error = error

    def _holding(self, loaded: Iterable[EndpointRead]) -> Collection[str]:
        """Return the tables that hold what was read already: an hourly sync is not to write all of them anew.

        In a DuckDB file that saves growth and no time; elsewhere each table that is replaced is jobs and dead rows.
        """
        if self.config.full_refresh:
            return ()
        with self.connection.warehouse.reading() as session:
            return [
                table for read in loaded for table in read.endpoint.tables if _holds(session, read, table)
            ]

    def _loss(self, read: EndpointRead) -> SuddenLoss | None:
        """Return the error of an endpoint whose tables would lose too many rows at once."""
        if self.config.accept_loss or read.error is not None or not read.endpoint.kind.has_ids:
            return None
        max_loss = self.connection.page.max_loss
        for table in read.endpoint.tables:
            before, now = self.stored.counts[table], len(read.rows.get(table, ()))
            if sudden_loss(before, now, max_loss):
                return loss_error(table, before, now, max_loss, read.endpoint.name)
        return None

    def _fails(self, read: EndpointRead) -> bool:
        """Return whether an endpoint fails the run.

        That a token may not read something is the right token for most people, unless it could read it before.
        """
        if read.outcome != "refused":
            return read.outcome == "failed"
        had_rows = any(self.stored.counts[table] for table in read.endpoint.tables)
        with_token = self.connection.settings.api_key is not None
        return self.connection.page.subscribers_required or (with_token and had_rows)

    def _metadata(self, read: EndpointRead, table: str) -> dict[str, Any]:
        connection, api = self.connection, self.reader.api
        metadata: dict[str, Any] = {
            "dagster/row_count": self._rows_now(read, table),
            "rows_read": len(read.rows.get(table, ())),
            "requests": read.requests,
            "seconds": round(read.seconds, 3),
            WHAT: self._what_happened(read, table),
            "demo": connection.demo,
            "cachet_api": api.version if api else 0,
            "database": MetadataValue.path(connection.warehouse.name),
        }
        if connection.page_url:
            metadata["status_page"] = MetadataValue.url(connection.page_url)
        if read.unreadable:
            metadata["incomplete"] = f"{len(read.unreadable)} of {len(read.rows[read.endpoint.tables[0]])}"
        return metadata

    def _what_happened(self, read: EndpointRead, table: str) -> str:
        if read.error is not None:
            return read.error.what
        if table in self._held:
            return UNCHANGED
        if read.endpoint.kind.appends:
            return "added, since it differs" if read.rows.get(table) else UNCHANGED
        return "replaced whole"

    def _rows_now(self, read: EndpointRead, table: str) -> int:
        kept = read.error is not None or read.endpoint.kind.appends
        return len(read.rows.get(table, ())) + (self.stored.counts[table] if kept else 0)


def _sync_partitions(
    page: StatusPage,
    context: AssetExecutionContext,
    read: EndpointRead,
    connection: RunContext,
    before: Collection[str],
) -> list[str]:
    """Make the metrics read the partitions, and return why that failed where it did: the load stands.

    `before`: the keys that were there before the metrics were read.
    """
    ids = [row["id"] for row in read.rows["metrics"]]
    warehouse = connection.warehouse
    try:
        added, dropped = sync_metric_partitions(page, context.instance, ids, warehouse, droppable=before)
    except LockTimeout:
        why = "another run kept adding some for a minute"
    except OSError as error:
        why = f"no lock can be made beside {warehouse.name} ({error.strerror})"
    else:
        if added or dropped:
            context.log.info(f"partitions of metric_points: {len(added)} added, {len(dropped)} dropped")
        return []
    return [f"The partitions of metric_points are as they were: {why}. The next sync tries again."]


def _holds(session: Session, read: EndpointRead, table: str) -> bool:
    """Return whether a table holds what was read of it; one that rows are added to, whether there are none to add."""
    rows = read.rows.get(table, [])
    if read.endpoint.kind.appends or read.error is not None:
        return not rows and bool(session.columns(table))
    return table_equals(session, TABLES[table], rows)


def _missed(read: EndpointRead) -> str:
    kept = read.outcome != "refused" and not isinstance(read.error, Incomplete)
    what = f"{read.outcome}: {read.error.what if read.error else ''}"
    return f"{what}; its previous rows are kept" if kept else what


def _summary(reads: Iterable[EndpointRead], requests: int) -> str:
    lines = ["endpoint             outcome       rows  requests  seconds"]
    for read in reads:
        rows = sum(len(rows) for rows in read.rows.values())
        line = f"{read.endpoint.name:20} {read.outcome:11} {rows:6,} {read.requests:9,} {read.seconds:8.2f}"
        lines.append(f"{line}  {read.error}" if read.error else line)
    lines.append(f"{requests:,} requests in all, with finding out which API it is and checking the token")
    return "\n".join(lines)
