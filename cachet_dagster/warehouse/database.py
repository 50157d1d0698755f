"""The DuckDB file: its name, who may open it when, and what it holds already.

The file's name is also the dlt destination's name, because that is how dlt's own commands find it again
from any folder. Nothing is opened without the lock, and nothing that does not exist is created by looking.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from cachet_dagster.source.errors import CachetError, SettingsError
from cachet_dagster.source.rows import Row
from cachet_dagster.source.stored import Query

from .folder import run_folder
from .lock import LockTimeout, locked
from .names import DATASET, PIPELINE, checked_name


class DatabaseBusy(CachetError):
    """Somebody else holds the database."""


class Database:
    """One dataset in a DuckDB file, which may hold several.

    Args:
        path: Where it is or is to be; its name ends in `.duckdb`.
        dataset: The dlt dataset, a schema of the database.
        pipeline_name: The dlt pipeline, whose folder dlt's own commands look for.
        wait: Seconds to wait for others at most.
        keep_loads: How many of dlt's records of loads to keep in it.
        log: Told in words what is waited for.

    Raises:
        SettingsError: No database can be there.
    """

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
                "Set CACHET_DATABASE to a path without ~.",
            ) from error
        self.dataset = checked_name("dataset", dataset)
        self.pipeline_name = checked_name("pipeline", pipeline_name)
        self.wait = wait
        self.keep_loads = keep_loads
        self.log = log
        if self.path.suffix != ".duckdb" or not re.fullmatch(r"[\w.-]+", self.path.stem):
            raise SettingsError(
                f"the database {str(path)!r} has a name that dlt cannot find again",
                "Set CACHET_DATABASE to a path that ends in .duckdb, with no more than letters, digits and any "
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
                f"the database {self.path} is a folder", "Set CACHET_DATABASE to a path that ends in .duckdb."
            )

    @property
    def name(self) -> str:
        """The dlt destination's name."""
        return self.path.stem

    @contextlib.contextmanager
    def writing(self, *, create: bool = False) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Be the only one who uses the file, waiting for others first.

        The connection is open until the end, so no other process can come between what is done meanwhile,
        through it or through others of this process. It is None where the file does not exist.

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
            if not self.path.exists():
                yield None
                return
            connection = self._open(deadline, read_only=False)
            try:
                yield connection
            finally:
                connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Open the file read-only, among other readers; None where it does not exist yet.

        Raises:
            SettingsError: What is there is no DuckDB file, or cannot be read.
            DatabaseBusy: Others wrote to it for longer than the bound.
        """
        if not self.path.exists():
            yield None
            return
        deadline = time.monotonic() + self.wait
        with self._lock(exclusive=False):
            connection = self._open(deadline, read_only=True)
            try:
                yield connection
            finally:
                connection.close()

    def probe(self) -> None:
        """Raise what would keep a load from being written, before requests are spent on it."""
        with self.writing():
            try:
                with run_folder(self.path):
                    return
            except OSError as error:
                raise self._unwritable(_reason(error)) from error

    def query(self, connection: duckdb.DuckDBPyConnection | None) -> Query:
        """Return a query over the dataset through an open connection; without one every table is missing."""

        def query(table: str, sql: str) -> list[Row] | None:
            if connection is None:
                return None
            try:
                found = connection.execute(sql.replace("{table}", self.table(table)))
            except duckdb.CatalogException:
                return None
            names = [column[0] for column in found.description]
            return [dict(zip(names, values, strict=True)) for values in found.fetchall()]

        return query

    def table(self, name: str) -> str:
        """Return a table's name in SQL."""
        return f'"{self.dataset}"."{name}"'

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
            duckdb.connect(str(new)).close()
            new.replace(self.path)
        except (OSError, duckdb.Error) as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise self._unwritable(_first_line(error)) from error

    def _open(self, deadline: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        told = False
        while True:
            self._check_kind()
            try:
                connection = duckdb.connect(str(self.path), read_only=read_only)
                # Times come back as UTC, whatever zone this machine is in.
                connection.execute("SET TimeZone = 'UTC'")
                return connection
            except duckdb.Error as error:
                who = _holder(error)
                if who is None:
                    raise SettingsError(
                        f"the database {self.path} cannot be opened ({_first_line(error)})",
                        "Check its permissions, or set CACHET_DATABASE to another path.",
                    ) from error
                if time.monotonic() >= deadline:
                    raise DatabaseBusy(
                        self._held_by(who),
                        "Close it there, or set CACHET_LOCK_WAIT to more seconds.",
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
                "Check its permissions, or set CACHET_DATABASE to another path.",
            ) from error
        if kind != b"DUCK":
            raise SettingsError(
                f"{self.path} is not a DuckDB file",
                "Set CACHET_DATABASE to a DuckDB file or to a path where there is none.",
            )

    def _held_by(self, who: str) -> str:
        if not self.wait:
            return f"{who} holds the database {self.path}"
        return f"{who} held the database {self.path} for {self.wait:g} s"

    def _unwritable(self, why: str) -> SettingsError:
        return SettingsError(
            f"the database {self.path} cannot be written ({why})",
            "Set CACHET_DATABASE to a path in a folder that exists and can be written.",
        )


@contextlib.contextmanager
def _translated(database: Database, lock: Any) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except LockTimeout:
            raise DatabaseBusy(
                database._held_by("another run"),
                "Run again when it is done, or set CACHET_LOCK_WAIT to more seconds.",
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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
