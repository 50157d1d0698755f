"""One load package into the database: extract and normalize in a folder of this run's own, load in turn.

The lock is held where dlt touches the database (its sync and its load), never while it prepares the
package.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltResource, DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from cachet_dagster.source import FILLED_BY, TABLES
from cachet_dagster.source.errors import CachetError

from .database import Database
from .folder import run_folder
from .pipelines_folder import publish

logger = logging.getLogger("cachet_dagster")


class LoadFailed(CachetError):
    """dlt could not load the package; each table is as it was, or replaced whole."""

    def __str__(self) -> str:
        return f"{self.what}. Each table is whole: as it was, or as it was read now. {self.remedy}".rstrip()


def load(database: Database, resources: Sequence[DltResource]) -> tuple[LoadInfo, dict[str, int]]:
    """Load resources into the database as one package, waiting for other runs first.

    Args:
        database: Where to load.
        resources: What to load.

    Returns:
        dlt's account of the load, and the rows that it loaded by table.

    Raises:
        LoadFailed: The package could not be loaded.
        SettingsError: The database cannot be opened or written.
        DatabaseBusy: Others held it for longer than the bound.
    """
    with contextlib.ExitStack() as until_loaded, _explained(database):
        with database.writing() as stored:
            folder = until_loaded.enter_context(run_folder(database.path))
            pipeline = until_loaded.enter_context(_pipeline(database, folder))
            if stored:
                pipeline.sync_destination()
        source = DltSource(dlt.Schema(database.pipeline_name), "cachet_source", list(resources))
        source.max_table_nesting = 0
        pipeline.extract(source, loader_file_format="parquet")
        pipeline.normalize()
        with database.writing(create=True) as connection:
            with _quiet():
                info = pipeline.load()
            assert connection is not None
            _drop_repeated(connection, database)
            _tidy(connection, database)
            publish(Path(pipeline.working_dir))
        trace = pipeline.last_trace
        counts = trace.last_normalize_info.row_counts if trace and trace.last_normalize_info else {}
        return info, dict(counts)


@contextlib.contextmanager
def _pipeline(database: Database, folder: Path) -> Iterator[dlt.Pipeline]:
    pipeline = dlt.pipeline(
        database.pipeline_name,
        pipelines_dir=str(folder),
        # A destination that is named, without a path, is found again from any folder.
        destination=dlt.destinations.duckdb(
            destination_name=database.name,
            local_dir=str(database.path.parent),
            replace_strategy="insert-from-staging",
            # Left unsaid, dlt empties and fills a table in one transaction only where its columns happen to
            # spell CREATE, ALTER or DROP (`created_at`); others are lost by a kill in between.
            supports_transactions=True,
        ),
        dataset_name=database.dataset,
    )
    try:
        pipeline.set_local_state_val("initial_cwd", str(database.path.parent))
        yield pipeline
    finally:
        # dlt remembers the pipeline made last, whose folder is about to go.
        if pipeline.is_active:
            pipeline.deactivate()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep dlt from printing a stack trace at each of its attempts: what ends them is raised, and explained."""
    log = logging.getLogger("dlt")
    before = log.level
    if before >= logging.WARNING:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _drop_repeated(connection: duckdb.DuckDBPyConnection, database: Database) -> None:
    """Drop observations that say what the one before says: two runs at once have both seen the same change."""
    for table in [name for name in TABLES if FILLED_BY[name].kind.appends]:
        columns = [
            f'"{name}"'
            for (name,) in connection.execute(
                "SELECT column_name FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?",
                [database.dataset, table],
            ).fetchall()
            if name != "observed_at" and not name.startswith("_dlt_")
        ]
        if columns:
            said = f"row({', '.join(columns)})"
            connection.execute(
                f"DELETE FROM {database.table(table)} WHERE rowid IN (SELECT rowid FROM"
                f" (SELECT rowid, {said} = lag({said}) OVER (ORDER BY observed_at, rowid) AS repeated"
                f" FROM {database.table(table)}) WHERE repeated)"
            )


def _tidy(connection: duckdb.DuckDBPyConnection, database: Database) -> None:
    """Drop what a load leaves: a second copy of the rows in dlt's staging dataset, and its oldest records.

    It only warns where that fails, since the next load does it too. dlt finds its state through the record
    of the load that brought it, so such records stay.
    """
    loads, state = database.table("_dlt_loads"), database.table("_dlt_pipeline_state")
    try:
        connection.execute(f'DROP SCHEMA IF EXISTS "{database.dataset}_staging" CASCADE')
        counted = connection.execute(f"SELECT count(*) FROM {loads}").fetchone()
        if counted and counted[0] > database.keep_loads:
            connection.execute(
                f"DELETE FROM {loads} WHERE load_id NOT IN"
                f" (SELECT load_id FROM {loads} ORDER BY inserted_at DESC, load_id DESC LIMIT ?)"
                f" AND load_id NOT IN (SELECT _dlt_load_id FROM {state})",
                [database.keep_loads],
            )
    except duckdb.Error as error:
        logger.warning("the load is done, but what it left behind stays until the next one (%s)", error)


@contextlib.contextmanager
def _explained(database: Database) -> Iterator[None]:
    """Say what an error means for a person: dlt's own speaks of pending packages, of which none stay."""
    try:
        yield
    except (PipelineStepFailed, OSError, duckdb.Error) as error:
        cause: Any = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        step = f" at {error.step}" if isinstance(error, PipelineStepFailed) else ""
        full = any(words in str(error).lower() for words in _DISK_FULL)
        raise LoadFailed(
            f"loading into {database.path} failed{step} ({text[:300]})",
            "The disk is full: make room, then run again." if full else "Run again; nothing is left behind.",
        ) from error


_DISK_FULL = ("no space left", "file too large", "disk quota", "could not write")
