"""The op behind the tables that are read as a whole: it reads the selected endpoints and loads those that succeeded.

It reads first and loads then: what was read completely goes into the database in one package, and an endpoint that
failed keeps its previous rows. The op raises at the end and says which, why and what to do, so that what was loaded is
recorded all the same.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
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
from cachet_dagster.source.loss import SuddenLoss, loss_error, sudden_loss
from cachet_dagster.source.stored import Stored, read_stored
from cachet_dagster.warehouse import Session, load
from cachet_dagster.warehouse.holds import holds
from cachet_dagster.warehouse.identity import check_page, identity_resource
from cachet_dagster.warehouse.lock import LockTimeout
from cachet_dagster.warehouse.quality import Loaded

from .checks import check_keys, check_results, check_specs
from .failures import connected, raise_failures
from .page import Connection, StatusPage
from .partitions import all_keys, sync_metric_partitions
from .records import (
    ACCOUNT,
    DATA_VERSION,
    ENDPOINTS_LOADED,
    Recorded,
    changes_only,
    data_version,
    last_observed,
    log_news,
    newest_records,
)
from .specs import LINEAGE_ORDER, table_specs

_ACCEPT_LOSS = (
    "Replace tables whatever share of their rows goes: what CACHET_MAX_LOSS stops is let through once."
)


WHAT = "what_happened"
UNCHANGED = "unchanged"


class TablesConfig(Config):
    """What a run may ask for beside what it selects."""

    full_refresh: bool = Field(
        default=False, description="Ask for every incident and component by id, whatever is stored."
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
    connection: Connection
    stored: Stored = field(default_factory=Stored)
    history: HistoryState = field(default_factory=HistoryState)
    reader: CachetReader = field(init=False)
    _recorded: bool = False
    _records: Mapping[AssetKey, Recorded] = field(default_factory=dict)
    _versions: dict[str, str | None] = field(default_factory=dict)
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
        failures = [*told_once(failed), *unmade]
        by_table = {table: read for read in loaded for table in read.endpoint.tables}
        missed = {
            table: read for read in reads.values() for table in read.endpoint.tables if table not in by_table
        }
        context.log.info(_summary(reads.values(), self.reader.client.request_count))
        changes = changes_only(context.run) and not failures
        news = self._news(by_table, changes=changes)
        # Dagster takes the events of one op in the order of lineage only.
        for table in [table for table in LINEAGE_ORDER if table in news]:
            metadata, version = self._metadata(by_table[table], table), news[table]
            key = page.asset_key(table)
            if table in selected:
                yield MaterializeResult(asset_key=key, metadata=metadata, data_version=DataVersion(version))
            else:
                tags = {DATA_VERSION: version}
                context.log_event(AssetMaterialization(key, metadata=metadata, tags=tags))
        self._observe_missed(
            {table: missed[table] for table in TABLES if table in selected and table in missed}
        )
        yield from self._check(by_table, missed, news)
        if loaded:
            # Yielded and last: what is only logged is lost where the op then fails.
            yield AssetMaterialization(page.asset_key("server"), metadata=self._account(reads, news))
        retryable = not unmade and all(error.retryable for error in failed)
        raise_failures(failures, loaded_any=bool(loaded), retryable=retryable)

    def _news(self, by_table: Mapping[str, EndpointRead], *, changes: bool) -> dict[str, str]:
        """Return the tables to record, and the data version of each.

        Where a run fails, Dagster takes all that it planned and did not record for failed, so that all is recorded.
        """
        page = self.page
        news = {}
        for table, read in by_table.items():
            recorded = self._records.get(page.asset_key(table), Recorded())
            version = self._version(read, table) or recorded.version or data_version([])
            if not (changes and recorded.covers(page, version)):
                news[table] = version
        return news

    def _version(self, read: EndpointRead, table: str) -> str | None:
        """Return the data version of what a table holds now; None where it holds what it held."""
        if table not in self._versions:
            rows = read.rows.get(table, [])
            same = read.error is not None or (read.endpoint.kind.appends and not rows)
            self._versions[table] = None if same else data_version(rows)
        return self._versions[table]

    def _observe_missed(self, missed: Mapping[str, EndpointRead]) -> None:
        """Record why tables were not loaded; not again and again where only changes are recorded."""
        page, context = self.page, self.context
        for table, read in missed.items():
            key, reason = page.asset_key(table), _missed(read)
            if not (changes_only(context.run) and last_observed(context.instance, key, WHAT) == reason):
                context.log_event(AssetObservation(key, metadata={WHAT: reason}))

    def _check(
        self,
        by_table: Mapping[str, EndpointRead],
        missed: Mapping[str, EndpointRead],
        news: Collection[str],
    ) -> Iterator[AssetCheckResult]:
        """Evaluate the checks that the run selected; else, where only changes are recorded, those of what it loaded."""
        page, context = self.page, self.context
        planned = context.selected_asset_check_keys
        unplanned = not planned and changes_only(context.run)
        refused = [table for table, read in missed.items() if isinstance(read.error, SuddenLoss)]
        results = check_results(
            page,
            self.connection.warehouse,
            check_keys(page, [*by_table, *refused]) if unplanned else planned,
            {table: self._loaded(read, table) for table, read in by_table.items()},
            skipped=set(missed),
            refused={table: self._loaded(missed[table], table) for table in refused},
        )
        if unplanned:
            log_news(context, results, {page.asset_key(table) for table in news})
        else:
            yield from results

    def _read(self, endpoints: Sequence[Endpoint]) -> dict[str, EndpointRead]:
        connection, config = self.connection, self.config
        warehouse = connection.warehouse
        warehouse.probe()
        with warehouse.reading() as query:
            if endpoints:
                held = check_page(query, connection.identity, connection.page.moved_from, connection.place)
                self._recorded = held == connection.identity
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
            read.error = error and error.with_setting_names(self.page.setting_name)
        return reads

    def _load(self, reads: Collection[EndpointRead]) -> list[EndpointRead]:
        """Load what was read, and return it."""
        loaded = [read for read in reads if read.outcome in ("read", "not offered")]
        if not loaded:
            return []
        tables = [self.page.asset_key(table) for read in loaded for table in read.endpoint.tables]
        self._records = newest_records(self.context.instance, tables)
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
        if not self._recorded:
            resources.append(identity_resource(self.connection.identity, self.page.name))
        load(self.connection.warehouse, resources)
        return loaded

    def _holding(self, loaded: Iterable[EndpointRead]) -> Collection[str]:
        """Return the tables that hold what was read already: an hourly sync is not to write all of them anew.

        In a DuckDB file that saves growth and no time; elsewhere each table that is replaced is jobs and dead rows.
        Dagster's word for it, the newest data version, only tells which are worth a look: the database may be another
        one since, or a backup.
        """
        if self.config.full_refresh or not changes_only(self.context.run):
            return ()
        alike = {
            table: read
            for read in loaded
            for table in read.endpoint.tables
            if (version := self._records.get(self.page.asset_key(table), Recorded()).version)
            and self._version(read, table) in (None, version)
        }
        with self.connection.warehouse.reading() as session:
            return [table for table, read in alike.items() if _holds(session, read, table)]

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
        rows = len(read.rows.get(table, ()))
        metadata: dict[str, Any] = {
            "dagster/row_count": self._rows_now(read, table),
            "rows_read": rows,
            "requests": read.requests,
            "seconds": round(read.seconds, 3),
            "endpoint": read.endpoint.name,
            WHAT: self._what_happened(read, table),
            "demo": connection.demo,
            "cachet_api": api.version if api else 0,
            "database": MetadataValue.path(connection.warehouse.name),
        }
        if connection.page_url:
            metadata["status_page"] = MetadataValue.url(connection.page_url)
        return metadata

    def _account(self, reads: Mapping[str, EndpointRead], news: Collection[str]) -> dict[str, Any]:
        """Return what the run read and what became of it, which stands in one event instead of one for each table."""
        connection = self.connection
        account, loaded = {}, []
        for name, read in reads.items():
            missed = read.outcome not in ("read", "not offered")
            loaded += [] if missed else [name]
            for table in read.endpoint.tables:
                what = _missed(read) if missed else self._what_happened(read, table)
                account[table] = {
                    "rows": None if missed else self._rows_now(read, table),
                    "requests": read.requests,
                    "seconds": round(read.seconds, 2),
                    "what_happened": what,
                }
        return {
            ACCOUNT: MetadataValue.json(account),
            ENDPOINTS_LOADED: MetadataValue.json(loaded),
            "tables_recorded": len(news),
            "tables_without_news": sum(len(reads[name].endpoint.tables) for name in loaded) - len(news),
            "requests": self.reader.client.request_count,
            "demo": connection.demo,
        }

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

    def _loaded(self, read: EndpointRead, table: str) -> Loaded:
        """Return what a load said of a table, for its checks."""
        before, rows = self.stored.counts[table], read.rows.get(table, [])
        replaced = not read.endpoint.kind.appends and (
            read.error is None or isinstance(read.error, SuddenLoss)
        )
        return Loaded(
            before=before,
            rows=len(rows) + (0 if replaced else before),
            keys=[tuple(row[column] for column in TABLES[table].key) for row in rows] if replaced else None,
            at=self.reader.clock or datetime.now(timezone.utc),
            max_loss=self.connection.page.max_loss,
            loss_accepted=self.config.accept_loss,
        )


def _sync_partitions(
    page: StatusPage,
    context: AssetExecutionContext,
    read: EndpointRead,
    connection: Connection,
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
    if read.endpoint.kind.appends:
        return not rows and bool(session.columns(table))
    return holds(session, TABLES[table], rows)


def _missed(read: EndpointRead) -> str:
    kept = "" if read.outcome == "refused" else "; its previous rows are kept"
    return f"{read.outcome}: {read.error.what if read.error else ''}{kept}"


def _summary(reads: Iterable[EndpointRead], requests: int) -> str:
    lines = ["endpoint             outcome       rows  requests  seconds"]
    for read in reads:
        rows = sum(len(rows) for rows in read.rows.values())
        line = f"{read.endpoint.name:20} {read.outcome:11} {rows:6,} {read.requests:9,} {read.seconds:8.2f}"
        lines.append(f"{line}  {read.error}" if read.error else line)
    lines.append(f"{requests:,} requests in all, with finding out which API it is and checking the token")
    return "\n".join(lines)
