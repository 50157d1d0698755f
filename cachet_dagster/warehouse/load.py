"""One load package into the database: extract and normalize in a folder of this run's own, load in turn.

Two runs in one dlt folder mix their rows, so each has its own. The lock is held where dlt touches the
database (its sync and its load), never while it prepares the package. After a load the run's state,
schemas and trace are swapped into dlt's own pipelines folder, so that dlt's commands see the last load.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dlt
from dlt.common.pipeline import LoadInfo, get_dlt_pipelines_dir
from dlt.extract import DltResource, DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from cachet_dagster.source.errors import CachetError

from .database import DATASET, PIPELINE, Database
from .lock import LockTimeout, locked

logger = logging.getLogger("cachet_dagster")

_PUBLISHED = ("state.json", "trace.pickle", "schemas")


class LoadFailed(CachetError):
    """dlt could not load the package; every table is as it was."""


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
    folder = Path(tempfile.mkdtemp(prefix="cachet_dagster-"))
    try:
        pipeline = _pipeline(database, folder)
        source = DltSource(dlt.Schema(PIPELINE), "cachet_source", list(resources))
        source.max_table_nesting = 0
        try:
            with database.writing():
                pipeline.sync_destination()
            pipeline.extract(source, loader_file_format="parquet")
            pipeline.normalize()
            with database.writing():
                info = pipeline.load()
                info.raise_on_failed_jobs()
                _publish(Path(pipeline.working_dir))
        except PipelineStepFailed as error:
            raise _failed(database, error) from error
        trace = pipeline.last_trace
        counts = trace.last_normalize_info.row_counts if trace and trace.last_normalize_info else {}
        return info, dict(counts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pipeline(database: Database, folder: Path) -> dlt.Pipeline:
    pipeline = dlt.pipeline(
        PIPELINE,
        pipelines_dir=str(folder),
        # A destination that is named, without a path, is found again from any folder.
        destination=dlt.destinations.duckdb(
            destination_name=database.name,
            local_dir=str(database.path.parent),
            replace_strategy="insert-from-staging",
        ),
        dataset_name=DATASET,
    )
    pipeline.set_local_state_val("initial_cwd", str(database.path.parent))
    return pipeline


def _publish(working_dir: Path) -> None:
    """Swap this run's state, schemas and trace into dlt's pipelines folder; a failure there only warns."""
    target = Path(get_dlt_pipelines_dir()) / PIPELINE
    staged = target.with_name(f".{PIPELINE}-{uuid.uuid4().hex}")
    old = target.with_name(f".{PIPELINE}-{uuid.uuid4().hex}")
    try:
        staged.mkdir(parents=True)
        for name in _PUBLISHED:
            source = working_dir / name
            if source.is_dir():
                shutil.copytree(source, staged / name)
            elif source.exists():
                shutil.copy2(source, staged / name)
        with locked(target, exclusive=True, wait=10):
            if target.exists():
                target.replace(old)
            staged.replace(target)
    except (OSError, LockTimeout) as error:
        logger.warning(
            "the load is done, but dlt's own commands will not see it: %s cannot be written (%s)",
            target,
            error,
        )
    finally:
        for leftover in (staged, old):
            with contextlib.suppress(OSError):
                shutil.rmtree(leftover, ignore_errors=True)


def _failed(database: Database, error: PipelineStepFailed) -> LoadFailed:
    """Say what dlt's error means for a person: its own text speaks of pending packages, of which none stay."""
    cause: Any = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    full = any(word in str(error).lower() for word in ("no space left", "file too large", "could not write"))
    return LoadFailed(
        f"loading into {database.path} failed at {error.step} ({text[:300]})",
        "The disk is full: make room, then run again." if full else "Run again; nothing is left behind.",
    )
