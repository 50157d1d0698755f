"""Load packages into the database: extract and normalize in a folder of this run's own, load in turn.

The lock is held where dlt touches the database (its sync and its load), never while it prepares the
package.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.destination.exceptions import DestinationException
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltResource, DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from cachet_dagster.source import FILLED_BY, TABLES
from cachet_dagster.source.destinations import strategy_for, suit
from cachet_dagster.source.dialect import literal
from cachet_dagster.source.errors import CachetError, first_line

from .pipelines_folder import publish
from .protocol import Session, Warehouse

logger = logging.getLogger("cachet_dagster")

_REPEATED_ROWS = 100
"""Newest observations among which runs at once can have left a repeated one."""

_OLD_RECORDS = 10_000
"""Records of loads removed at a time."""


class LoadFailed(CachetError):
    """dlt could not load the package; each table is as it was, or replaced whole."""

    def _message(self) -> str:
        return f"{self.what}. Each table is whole: as it was, or as it was read now. {self.remedy}".rstrip()


def load(warehouse: Warehouse, resources: Sequence[DltResource]) -> tuple[LoadInfo, dict[str, int]]:
    """Load resources as one package, waiting for other runs first.

    Args:
        warehouse: Where to load.
        resources: What to load.

    Returns:
        dlt's account of the load, and the rows that it loaded by table.

    Raises:
        LoadFailed: The package could not be loaded.
        SettingsError: The warehouse cannot be opened or written.
        DatabaseBusy: Others held it for longer than the bound.
    """
    with Loader(warehouse) as loader:
        return loader.load(resources)


class Loader(contextlib.AbstractContextManager["Loader", None]):
    """Loads package after package through one pipeline, which is made, and brought up to date, for the first.

    To read the destination's schema anew before each of four packages takes a twelfth of the time of a million
    points. So it is read again only where another run has stored one meanwhile, whose columns this one would not know.

    Args:
        warehouse: Where to load.
    """

    def __init__(self, warehouse: Warehouse):
        self._warehouse = warehouse
        self._until_done = contextlib.ExitStack()
        self._pipeline: dlt.Pipeline | None = None

    def __exit__(self, *_: object) -> None:
        self._end()

    def load(self, resources: Sequence[DltResource]) -> tuple[LoadInfo, dict[str, int]]:
        """Load resources as one package, as `load` does."""
        with _explained(self._warehouse), self._pipeline_up_to_date() as pipeline:
            warehouse = self._warehouse
            for resource in resources:
                suit(resource, strategy_for(warehouse.destination_type))
            source = DltSource(dlt.Schema(warehouse.pipeline_name), "cachet_source", list(resources))
            source.max_table_nesting = 0
            pipeline.extract(source, loader_file_format=warehouse.loader_file_format)
            counts = pipeline.normalize().row_counts
            with warehouse.writing(create=True) as session:
                with _quiet():
                    info = pipeline.load()
                _drop_repeated(session, {resource.name for resource in resources})
                _tidy(session, warehouse, pipeline)
                publish(Path(pipeline.working_dir))
            # dlt keeps the files of what is loaded.
            for load_id in info.loads_ids:
                loaded = Path(pipeline.working_dir, "load", "loaded", load_id)
                shutil.rmtree(loaded, ignore_errors=True)
            return info, dict(counts)

    @contextlib.contextmanager
    def _pipeline_up_to_date(self) -> Iterator[dlt.Pipeline]:
        """Return the pipeline, made anew where it is behind; an error ends it, with the package that failed."""
        if self._pipeline and not self._is_newest(self._pipeline):
            self._end()
        self._pipeline = self._pipeline or self._made()
        # It may not be the one that dlt remembers any more.
        self._pipeline.activate()
        try:
            yield self._pipeline
        except BaseException:
            self._end()
            raise

    def _is_newest(self, pipeline: dlt.Pipeline) -> bool:
        schema = pipeline.default_schema
        with self._warehouse.reading() as session:
            newest = session(
                "_dlt_version",
                f"SELECT version_hash FROM {{table}} WHERE schema_name = {literal(schema.name)}"
                " ORDER BY inserted_at DESC LIMIT 1",
            )
        return bool(newest) and newest[0]["version_hash"] == schema.version_hash

    def _end(self) -> None:
        self._pipeline = None
        self._until_done.close()

    def _made(self) -> dlt.Pipeline:
        warehouse = self._warehouse
        with warehouse.writing():
            folder = self._until_done.enter_context(warehouse.run_folder())
            pipeline = dlt.pipeline(
                warehouse.pipeline_name,
                pipelines_dir=str(folder),
                destination=warehouse.destination(uuid.uuid4().hex[:8]),
                dataset_name=warehouse.dataset,
            )
            self._until_done.callback(_forget, pipeline)
            warehouse.sync(pipeline)
        return pipeline


def _forget(pipeline: dlt.Pipeline) -> None:
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


def _drop_repeated(session: Session, loaded: Collection[str]) -> None:
    """Drop observations that say what the one before says: two runs at once have both seen the same change."""
    for table in [name for name in TABLES if name in loaded and FILLED_BY[name].kind.appends]:
        newest = (
            session(table, f"SELECT * FROM {{table}} ORDER BY observed_at DESC LIMIT {_REPEATED_ROWS}") or []
        )
        newest.sort(key=lambda row: (row["observed_at"], row["_dlt_load_id"], row["_dlt_id"]))
        content = [
            {
                name: value
                for name, value in row.items()
                if name != "observed_at" and not name.startswith("_dlt_")
            }
            for row in newest
        ]
        repeated = [
            row["_dlt_id"]
            for row, this, before in zip(newest[1:], content[1:], content, strict=False)
            if this == before
        ]
        if repeated:
            session.delete(table, f"_dlt_id IN ({', '.join(map(literal, repeated))})")


def _tidy(session: Session, warehouse: Warehouse, pipeline: dlt.Pipeline) -> None:
    """Drop what loads leave: rows in staging datasets, and dlt's oldest records.

    It only warns where that fails, since the next load does it too. dlt finds its state through the record
    of the load that brought it, so such records stay.
    """
    try:
        warehouse.after_load(session, pipeline)
        state = session.table("_dlt_pipeline_state")
        oldest = session(
            "_dlt_loads",
            f"SELECT load_id FROM {{table}} WHERE load_id NOT IN (SELECT _dlt_load_id FROM {state})"
            f" ORDER BY inserted_at DESC, load_id DESC LIMIT {_OLD_RECORDS} OFFSET {warehouse.keep_loads}",
        )
        if oldest:
            listed = ", ".join(literal(row["load_id"]) for row in oldest)
            session.delete("_dlt_loads", f"load_id IN ({listed})")
    except session.errors as error:
        logger.warning("the load is done, but what it left behind stays until the next one (%s)", error)


@contextlib.contextmanager
def _explained(warehouse: Warehouse) -> Iterator[None]:
    """Say what an error means for a person: dlt's own speaks of pending packages, of which none stay."""
    try:
        yield
    except (PipelineStepFailed, DestinationException, OSError, duckdb.Error) as error:
        cause: Any = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        step = f" at {error.step}" if isinstance(error, PipelineStepFailed) else ""
        full = any(words in str(error).lower() for words in _DISK_FULL)
        raise LoadFailed(
            f"loading into {warehouse.name} failed{step} ({first_line(cause)})",
            "The disk is full: make room, then run again." if full else "Run again; nothing is left behind.",
        ) from error


_DISK_FULL = ("no space left", "file too large", "disk quota", "could not write")
