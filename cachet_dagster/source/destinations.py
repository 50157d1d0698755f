"""What each destination can do, and what is therefore chosen for it: one table for the warehouse and for plain dlt.

A destination that is not in the table is used by what dlt says of its capabilities. `tested` says what really ran
in this project's tests: the others are tested up to the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.typing import TLoaderFileFormat

from .errors import SettingsError


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
    """

    name: str
    title: str
    merge: Literal["upsert", "delete-insert"] = "upsert"
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


_DECLARED = (
    Strategy(
        "duckdb",
        "DuckDB",
        staging="a dataset, one load at a time",
        lock="of the file",
        tested="everything",
        why="A file has one writer: loads take turns, and readers wait for them.",
    ),
    Strategy(
        "postgres",
        "PostgreSQL 15 or later",
        lock="advisory, one load of a dataset at a time",
        tested="everything",
        why="`MERGE` came with 15. Parquet goes through ADBC at eight times the speed of `INSERT`, and csv would make "
        "an empty text NULL. Tables are emptied by `DELETE` in the transaction that fills them, so that readers "
        "never wait, and views stay.",
        modules=("psycopg2", "adbc_driver_postgresql"),
        extra="postgres",
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
        why="A swap by `CLONE` would drop grants and views, so rows are inserted in a transaction.",
        modules=("snowflake.connector",),
        extra="snowflake",
    ),
    Strategy(
        "bigquery",
        "BigQuery",
        transactions=False,
        why="dlt runs its statements one by one there: a kill between two may leave a table empty until the next load.",
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
            f"dlt has no destination {name!r}", f"Set CACHET_DESTINATION to one of: {known}."
        ) from error
    assert found is not None
    can = found.capabilities()
    merges, replaces = can.supported_merge_strategies or (), can.supported_replace_strategies or ()
    if (
        not can.sqlglot_dialect
        or "insert-from-staging" not in replaces
        or not {"upsert", "delete-insert"} & {*merges}
    ):
        raise SettingsError(
            f"the destination {name!r} cannot both merge rows and replace tables",
            f"Set CACHET_DESTINATION to one of: {known}.",
        )
    return Strategy(
        name,
        name,
        merge="upsert" if "upsert" in merges else "delete-insert",
        file_format="parquet"
        if "parquet" in (can.supported_loader_file_formats or ())
        else can.preferred_loader_file_format or "jsonl",
        transactions=can.supports_transactions is not False,
        tested="nothing",
        why="By what dlt says of its capabilities.",
    )


def readme_table() -> str:
    """Return the table of strategies as the README has it."""
    columns = {
        "destination": lambda one: f"{one.title} (`{one.name}`)",
        "points": lambda one: one.merge,
        "tables": lambda one: "atomic overwrite" if one.table_format else one.replace,
        "rows as": lambda one: one.table_format or one.file_format,
        "staged in": lambda one: one.staging,
        "a kill leaves old or new": lambda one: "yes" if one.transactions else "no",
        "lock": lambda one: one.lock,
        "tested": lambda one: one.tested,
        "why": lambda one: one.why,
    }
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(one) for cell in columns.values())} |" for one in DESTINATIONS.values()]
    return "\n".join(lines)
