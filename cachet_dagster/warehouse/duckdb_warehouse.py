"""A DuckDB file as a warehouse: its name, and who may open it when.

The file's name is also the dlt destination's name, because that is how dlt's own commands find it again
from any folder. Nothing is opened without the lock, and nothing that does not exist is created by looking.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.destination import TDestinationReferenceArg
from dlt.common.typing import TLoaderFileFormat

from cachet_dagster.source.dialect import literal
from cachet_dagster.source.errors import SettingsError, first_line

from .duckdb_session import DuckDBSession
from .folder import run_folder
from .lock import LockTimeout, locked
from .names import DATASET, PIPELINE, checked_name
from .protocol import DatabaseBusy, Session


class DuckDBWarehouse:
    """One dataset in a DuckDB file, which may hold several (see `Warehouse`).

    Args:
        path: Where it is or is to be; its name ends in `.duckdb`.
        dataset: The dlt dataset, a schema of the database.
        pipeline_name: The dlt pipeline, whose folder dlt's own commands look for.
        wait: Seconds to wait for others at most.
        keep_loads: How many of dlt's records of loads to keep in it.
        log: Called with progress messages while others are waited for.

    Raises:
        SettingsError: No database can be there.
    """

    destination_type = "duckdb"
    loader_file_format: TLoaderFileFormat = "parquet"

    def __init__(
        self,
        path: str | Path,
        *,
        dataset: str = DATASET,
        pipeline_name: str = PIPELINE,
        wait: float = 600.0,
        keep_loads: int = 1_000,
        log: Callable[[str], None] = lambda _: None,
    ):
        try:
            self.path = Path(path).expanduser().absolute()
        except RuntimeError as error:
            raise SettingsError(
                f"the database {str(path)!r} is in the home folder of somebody who is not known here",
                "Set {database} to a path without ~.",
            ) from error
        self.dataset = checked_name("dataset", dataset)
        self.pipeline_name = checked_name("pipeline", pipeline_name)
        self.name = str(self.path)
        self.wait = wait
        self.keep_loads = keep_loads
        self.log = log
        if self.path.suffix != ".duckdb" or not re.fullmatch(r"[\w.-]+", self.path.stem):
            raise SettingsError(
                f"the database {str(path)!r} has a name that dlt cannot find again",
                "Set {database} to a path that ends in .duckdb, with no more than letters, digits and any "
                "of `_-.` before it.",
            )
        if self.dataset == self.path.stem.lower():
            raise SettingsError(
                f"the dataset {self.dataset!r} has the name of its database {self.path}, and DuckDB takes one for "
                "the other",
                "Give one of them another name.",
            )
        try:
            is_folder = self.path.is_dir()
        except OSError as error:
            raise self._unwritable(_reason(error)) from error
        if is_folder:
            raise SettingsError(
                f"the database {self.path} is a folder", "Set {database} to a path that ends in .duckdb."
            )

    @contextlib.contextmanager
    def writing(self, *, create: bool = False) -> Iterator[DuckDBSession]:
        """Be the only one who uses the file, waiting for others first.

        The connection is open until the end, so no other process can come between what is done meanwhile,
        through it or through others of this process. Where the file does not exist every table is missing.

        Args:
            create: Whether to make the file where there is none.

        Raises:
            SettingsError: The place cannot be written, or what is there is no DuckDB file.
            DatabaseBusy: Others held it for longer than the bound.
        """
        deadline = time.monotonic() + self.wait
        with self._lock(exclusive=True):
            if create and not self.path.exists():
                self._create()
            with self._session(deadline, read_only=False) as session:
                yield session

    @contextlib.contextmanager
    def reading(self) -> Iterator[DuckDBSession]:
        """Open the file read-only, among other readers; where it does not exist every table is missing.

        Raises:
            SettingsError: What is there is no DuckDB file, or cannot be read.
            DatabaseBusy: Others wrote to it for longer than the bound.
        """
        deadline = time.monotonic() + self.wait
        lock = self._lock(exclusive=False) if self.path.exists() else contextlib.nullcontext()
        with lock, self._session(deadline, read_only=True) as session:
            yield session

    def probe(self) -> None:
        """Raise what would keep a load from being written, before requests are spent on it."""
        with self.writing():
            try:
                with self.run_folder():
                    return
            except OSError as error:
                raise self._unwritable(_reason(error)) from error

    def lock(self, what: str, *, wait: float) -> AbstractContextManager[None]:
        """Keep others who know this file, on this machine, from doing the same meanwhile."""
        return locked(self.path.with_name(f"{self.path.name}.{what}"), exclusive=True, wait=wait)

    def example(self, table: str) -> str:
        """Return a line of Python that shows some rows of a table."""
        inside = self.path.is_relative_to(Path.cwd())
        path = self.path.relative_to(Path.cwd()) if inside else self.path
        return (
            f"import duckdb; print(duckdb.connect('{path}', read_only=True)"
            f".sql('SELECT * FROM {self.dataset}.{table} LIMIT 10'))"
        )

    def run_folder(self) -> AbstractContextManager[Path]:
        """Make a dlt folder for one run beside the file, and remove it afterwards."""
        return run_folder(self.path)

    def destination(self, run: str) -> TDestinationReferenceArg:
        """Return the dlt destination; one run at a time uses it."""
        return dlt.destinations.duckdb(
            # A destination that is named, without a path, is found again from any folder.
            destination_name=self.path.stem,
            local_dir=str(self.path.parent),
            replace_strategy="insert-from-staging",
            # Left unsaid, dlt empties and fills a table in one transaction only where its columns happen to
            # spell CREATE, ALTER or DROP (`created_at`); others are lost by a kill in between.
            supports_transactions=True,
        )

    def sync(self, pipeline: dlt.Pipeline) -> None:
        """Bring a pipeline up to the file's state and schemas; looking makes no file."""
        pipeline.set_local_state_val("initial_cwd", str(self.path.parent))
        if self.path.exists():
            pipeline.sync_destination()

    def after_load(self, session: Session, pipeline: dlt.Pipeline) -> None:
        """Drop the staging dataset: a second copy of the rows."""
        session.execute(f'DROP SCHEMA IF EXISTS "{self.dataset}_staging" CASCADE')

    @contextlib.contextmanager
    def _session(self, deadline: float, *, read_only: bool) -> Iterator[DuckDBSession]:
        exists = self.path.exists()
        connection = self._open(deadline, read_only=read_only) if exists else duckdb.connect(":memory:")
        try:
            yield DuckDBSession(connection, self.dataset)
        finally:
            connection.close()

    def _lock(self, *, exclusive: bool) -> Any:
        return _translated(
            self,
            locked(
                self.path,
                exclusive=exclusive,
                wait=self.wait,
                waiting=lambda: self.log(f"waiting for another run to finish with {self.path}"),
            ),
        )

    def _create(self) -> None:
        """Make the file whole under another name first: one cut off while it is made could never be opened."""
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            new.unlink(missing_ok=True)
            with duckdb.connect(":memory:") as connection:
                # DuckDB 2's own format can be opened by no earlier client, and this one by all from 1.0 on.
                connection.execute(f"ATTACH {literal(str(new))} (STORAGE_VERSION 'v1.0.0')")
            new.replace(self.path)
        except (OSError, duckdb.Error) as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise self._unwritable(first_line(error)) from error

    def _open(self, deadline: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        told = False
        while True:
            self._check_kind()
            try:
                return duckdb.connect(str(self.path), read_only=read_only)
            except duckdb.Error as error:
                who = _holder(error)
                if who is None:
                    raise SettingsError(
                        f"the database {self.path} cannot be opened ({first_line(error)})",
                        "Check its permissions, or set {database} to another path.",
                    ) from error
                if time.monotonic() >= deadline:
                    raise DatabaseBusy(
                        self._held_by(who),
                        "Close it there, or set {lock_wait} to more seconds.",
                    ) from error
            if not told:
                told = True
                self.log(f"waiting for {who}, which holds {self.path}")
            time.sleep(0.2)

    def _check_kind(self) -> None:
        """Raise where the file is another program's: DuckDB would fetch an extension that can open it."""
        try:
            with self.path.open("rb") as file:
                kind = file.read(12)[8:]
        except OSError as error:
            raise SettingsError(
                f"the database {self.path} cannot be read ({_reason(error)})",
                "Check its permissions, or set {database} to another path.",
            ) from error
        if kind != b"DUCK":
            raise SettingsError(
                f"{self.path} is not a DuckDB file",
                "Set {database} to a DuckDB file or to a path where there is none.",
            )

    def _held_by(self, who: str) -> str:
        if not self.wait:
            return f"{who} holds the database {self.path}"
        return f"{who} held the database {self.path} for {self.wait:g} s"

    def _unwritable(self, why: str) -> SettingsError:
        return SettingsError(
            f"the database {self.path} cannot be written ({why})",
            "Set {database} to a path in a folder that exists and can be written.",
        )


@contextlib.contextmanager
def _translated(database: DuckDBWarehouse, lock: Any) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except LockTimeout:
            raise DatabaseBusy(
                database._held_by("another run"),
                "Run again when it is done, or set {lock_wait} to more seconds.",
            ) from None
        except OSError as error:
            raise database._unwritable(_reason(error)) from error
        yield


def _holder(error: Exception) -> str | None:
    """Return who holds the file, where that is why it could not be opened."""
    found = re.search(r"PID (\d+)", str(error))
    if found:
        return f"process {found[1]}"
    if "different configuration" in str(error):
        return "this process itself"
    busy = any(words in str(error) for words in ("lock on file", "used by another process"))
    return "another process" if busy else None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
