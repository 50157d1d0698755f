"""What each destination can do, and what is therefore chosen for it: one table for the warehouse and for plain dlt.

A destination that is not in the table is used by what dlt says of its capabilities. `tested` says what really ran
in this project's tests: the others are tested up to the connection.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakSet

import dlt
from dlt.common.destination import Destination, DestinationCapabilitiesContext
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.common.typing import TLoaderFileFormat
from dlt.extract import DltResource

from .errors import SettingsError

Merge = Literal["upsert", "delete-insert"]

_MERGES: tuple[Merge, ...] = ("upsert", "delete-insert")
"""How points can be merged on their id, the better way first."""

_TOLD: WeakSet[DltResource] = WeakSet()
"""Resources whose table format is no choice of theirs."""


@dataclass(frozen=True)
class Strategy:
    """How a destination is loaded.

    Attributes:
        name: dlt's name of it.
        title: Its name for people.
        merge: How points are merged on their id.
        replace: How tables are replaced whole.
        file_format: In which format rows are handed over.
        staging: Where rows are put before they are merged or replace others.
        transactions: Whether a load that is killed leaves of each table the old rows or the new ones.
        lock: What keeps loads of one dataset from running at once.
        tested: What ran in the tests.
        why: Why it is so, where that is not plain.
        modules: What has to be importable, beside dlt.
        extra: The extra of this project that brings it.
        table_format: The table format, for files.
        models: Whether models of uptime and incidents are built there.
    """

    name: str
    title: str
    merge: Merge = "upsert"
    replace: Literal["insert-from-staging", "truncate-and-insert"] = "insert-from-staging"
    file_format: TLoaderFileFormat = "parquet"
    staging: str = "a dataset per run"
    transactions: bool = True
    lock: str = "of this machine"
    tested: str = "up to the connection"
    why: str = ""
    modules: tuple[str, ...] = ()
    extra: str = ""
    table_format: Literal["", "delta"] = ""
    models: bool = False


_DECLARED = (
    Strategy(
        "duckdb",
        "DuckDB",
        staging="a dataset, one load at a time",
        lock="of the file",
        tested="everything",
        why="A file has one writer: loads take turns, and readers wait for them.",
        models=True,
    ),
    Strategy(
        "postgres",
        "PostgreSQL 15 or later",
        lock="advisory, one load of a dataset at a time",
        tested="everything",
        why="`MERGE` came with 15. Parquet goes through ADBC at eight times the speed of `INSERT`, and csv would make "
        "an empty text NULL. Tables are emptied by `DELETE` in the transaction that fills them, so that readers never "
        "wait, and views stay.",
        modules=("psycopg2", "adbc_driver_postgresql"),
        extra="postgres",
        models=True,
    ),
    Strategy(
        "filesystem",
        "Files (local, S3, GCS, Azure) as Delta tables",
        replace="truncate-and-insert",
        staging="none: a Delta commit is atomic",
        lock="of the folder; for a bucket, of this machine",
        tested="everything, in a folder and in S3 (moto's server); the long tests also in Azure (azurite)",
        why="Plain files know no merge: a second load would double the rows. In a bucket a commit that meets another "
        "machine's fails, and is to be run again.",
        modules=("deltalake",),
        extra="filesystem",
        table_format="delta",
    ),
    Strategy(
        "motherduck",
        "MotherDuck",
        why="As DuckDB, but many may write: a commit that meets another fails.",
        modules=("duckdb",),
    ),
    Strategy(
        "snowflake",
        "Snowflake",
        file_format="jsonl",
        why="From parquet JSON would arrive as a text in quotes. A swap by `CLONE` would drop grants and views, so "
        "rows are inserted in a transaction.",
        modules=("snowflake.connector",),
        extra="snowflake",
    ),
    Strategy(
        "bigquery",
        "BigQuery",
        file_format="jsonl",
        transactions=False,
        why="It takes no JSON from parquet. dlt runs its statements one by one there: a kill between two may leave a "
        "table empty until the next load.",
        modules=("google.cloud.bigquery",),
        extra="bigquery",
    ),
    Strategy(
        "databricks",
        "Databricks",
        transactions=False,
        why="It has no transaction over statements: a kill between two may leave a table empty until the next load.",
        modules=("databricks.sql",),
        extra="databricks",
    ),
    Strategy(
        "redshift",
        "Redshift",
        merge="delete-insert",
        file_format="insert_values",
        why="dlt knows no upsert there, and parquet only by way of S3.",
        modules=("psycopg2",),
        extra="redshift",
    ),
)

DESTINATIONS = {strategy.name: strategy for strategy in _DECLARED}
"""The destinations that are known, by dlt's name."""


def builds_models(name: str) -> bool:
    """Return whether models of uptime and incidents are built in a destination, by dlt's name of it."""
    return name in DESTINATIONS and DESTINATIONS[name].models


def strategy_for(name: str) -> Strategy:
    """Return how a destination is loaded: as the table says, else by what dlt says of it.

    Args:
        name: dlt's name of it.

    Raises:
        SettingsError: dlt has no such destination, or it can neither merge nor replace tables.
    """
    if name in DESTINATIONS:
        return DESTINATIONS[name]
    known = ", ".join(DESTINATIONS)
    try:
        found = Destination.from_reference(name)
    except (UnknownDestinationModule, ImportError, ValueError) as error:
        raise SettingsError(
            f"dlt has no destination {name!r}", f"Set {{destination}} to one of: {known}."
        ) from error
    assert found is not None
    can = found.capabilities()
    strategy = _by_capabilities(name, can)
    if (
        strategy is None
        or not can.sqlglot_dialect
        or "insert-from-staging" not in (can.supported_replace_strategies or ())
    ):
        raise SettingsError(
            f"the destination {name!r} cannot both merge rows and replace tables",
            f"Set {{destination}} to one of: {known}.",
        )
    return strategy


def current_strategy() -> Strategy | None:
    """Return how the destination is loaded into which a pipeline is extracting right now.

    None is returned where nothing can be chosen: a source that is iterated over, a pipeline whose destination is not
    set yet, or a destination that is only handed rows.
    """
    try:
        dlt.current.load_package_state()
    except CurrentLoadPackageStateNotAvailable:
        return None
    destination: Any = dlt.current.pipeline().destination
    if destination is None:
        return None
    package, _, name = destination.destination_type.rpartition(".")
    if package == "dlt.destinations" and name in DESTINATIONS:
        return DESTINATIONS[name]
    return _by_capabilities(name, destination.capabilities())


def suit(resource: DltResource, strategy: Strategy) -> None:
    """Tell a resource how a destination is loaded: how its rows are merged there, and in which table format.

    What somebody has chosen for the resource stays: another merge strategy, another table format.

    Args:
        resource: The resource, which may have been told of another destination before.
        strategy: How the destination is loaded.

    Raises:
        SettingsError: Its rows would be doubled there, or a library is missing.
    """
    disposition: Any = resource.write_disposition
    if not isinstance(disposition, Mapping):
        disposition = {"disposition": disposition}
    if disposition.get("strategy") == "upsert" and strategy.merge != "upsert":
        resource.apply_hints(write_disposition={"disposition": "merge", "strategy": strategy.merge})
    if not strategy.table_format:
        if resource in _TOLD:
            _TOLD.discard(resource)
            resource.apply_hints(table_format="")  # pyright: ignore[reportArgumentType]
        return
    if resource.table_format == "native" and disposition["disposition"] != "append":
        raise SettingsError(
            f"{resource.name} would be doubled by each load: plain files know neither merging nor replacing",
            "Leave out the table format, so that it is a Delta table, or load it with the write disposition append.",
        )
    if not resource.table_format:
        check_libraries(strategy)
        resource.apply_hints(table_format=strategy.table_format)
        _TOLD.add(resource)


def check_libraries(strategy: Strategy) -> None:
    """Raise where what a destination takes is not installed.

    Raises:
        SettingsError: It names what is missing and the extra that brings it.
    """
    missing = [name for name in strategy.modules if not _importable(name)]
    if missing:
        extra = f"cachet_dagster[{strategy.extra}]" if strategy.extra else f"dlt[{strategy.name}]"
        raise SettingsError(
            f"loading into {strategy.title} takes libraries that are not installed ({', '.join(missing)})",
            f"Install {extra}.",
        )


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _by_capabilities(name: str, can: DestinationCapabilitiesContext) -> Strategy | None:
    has = can.supported_merge_strategies or ()
    merge: Merge | None = next((one for one in _MERGES if one in has), None)
    if merge is None:
        return None
    return Strategy(
        name,
        name,
        merge=merge,
        file_format="parquet"
        if "parquet" in (can.supported_loader_file_formats or ())
        else can.preferred_loader_file_format or "jsonl",
        transactions=can.supports_transactions is not False,
        tested="nothing",
        why="By what dlt says of its capabilities.",
    )
