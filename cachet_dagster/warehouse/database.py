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

from .lock import LockTimeout, locked

DATASET = "cachet_data"
PIPELINE = "cachet_pipeline"


class DatabaseBusy(CachetError):
    """Somebody else holds the database."""


class Database:
    """One DuckDB file.

    Args:
        path: Where it is or is to be; its name ends in `.duckdb`.
        wait: Seconds to wait for others at most.
        say: Told in words what is waited for.

    Raises:
        SettingsError: No database can be there.
    """

    def __init__(self, path: str | Path, *, wait: float = 600.0, say: Callable[[str], None] = lambda _: None):
        self.path = Path(path).expanduser().absolute()
        self.wait = wait
        self.say = say
        if self.path.suffix != ".duckdb" or not re.fullmatch(r"[\w.-]+", self.path.stem):
            raise SettingsError(
                f"the database {str(path)!r} has a name that dlt cannot find again",
                "Set CACHET_DATABASE to a path that ends in .duckdb.",
            )
        if self.path.is_dir():
            raise SettingsError(
                f"the database {self.path} is a folder", "Set CACHET_DATABASE to a path that ends in .duckdb."
            )

    @property
    def name(self) -> str:
        """The dlt destination's name."""
        return self.path.stem

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only one who uses the file, waiting for others first.

        Raises:
            SettingsError: The place cannot be written.
            DatabaseBusy: Others held it for longer than the bound.
        """
        deadline = time.monotonic() + self.wait
        with self._lock(exclusive=True):
            self._wait_for_foreigners(deadline)
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """Open the file read-only, among other readers; None where it does not exist yet.

        Raises:
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
            return

    def holder(self) -> int | None:
        """Return the process id of a foreign process that holds the file now, if any."""
        try:
            if self.path.exists():
                duckdb.connect(str(self.path), read_only=True).close()
        except duckdb.IOException as error:
            return _holder(error)
        return None

    def query(self, connection: duckdb.DuckDBPyConnection | None) -> Query:
        """Return a query over the dataset through an open connection; without one every table is missing."""

        def query(table: str, sql: str) -> list[Row] | None:
            if connection is None:
                return None
            try:
                found = connection.execute(sql.replace("{table}", f'"{DATASET}"."{table}"'))
            except duckdb.CatalogException:
                return None
            names = [column[0] for column in found.description]
            return [dict(zip(names, values, strict=True)) for values in found.fetchall()]

        return query

    def _lock(self, *, exclusive: bool) -> Any:
        return _translated(
            self,
            locked(
                self.path,
                exclusive=exclusive,
                wait=self.wait,
                waiting=lambda: self.say(f"waiting for another run to finish with {self.path}"),
            ),
        )

    def _wait_for_foreigners(self, deadline: float) -> None:
        """Wait until no process without the lock (a DuckDB shell, a notebook) holds the file."""
        if self.path.exists():
            self._open(deadline, read_only=False).close()

    def _open(self, deadline: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        told = False
        while True:
            try:
                connection = duckdb.connect(str(self.path), read_only=read_only)
                # Times come back as UTC, whatever zone this machine is in.
                connection.execute("SET TimeZone = 'UTC'")
                return connection
            except duckdb.IOException as error:
                holder = _holder(error)
                if holder is None and "lock" not in str(error).lower():
                    raise SettingsError(
                        f"the database {self.path} cannot be opened ({_first_line(error)})",
                        "Check its permissions, or set CACHET_DATABASE to another path.",
                    ) from error
                who = f"process {holder}" if holder else "another process"
                if time.monotonic() >= deadline:
                    raise DatabaseBusy(
                        f"{who} held the database {self.path} for {self.wait:g} s",
                        "Close it there, or set CACHET_LOCK_WAIT to more seconds.",
                    ) from error
                if not told:
                    told = True
                    self.say(f"waiting for {who}, which holds {self.path}")
                time.sleep(0.2)
            except duckdb.Error as error:
                raise SettingsError(
                    f"the database {self.path} cannot be opened ({_first_line(error)})",
                    "Set CACHET_DATABASE to a DuckDB file or to a path where there is none.",
                ) from error


@contextlib.contextmanager
def _translated(database: Database, lock: Any) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except LockTimeout:
            raise DatabaseBusy(
                f"another run held the database {database.path} for {database.wait:g} s",
                "Run again when it is done, or set CACHET_LOCK_WAIT to more seconds.",
            ) from None
        except OSError as error:
            raise SettingsError(
                f"the database {database.path} cannot be written ({error.strerror})",
                "Set CACHET_DATABASE to a path in a folder that exists and can be written.",
            ) from error
        yield


def _holder(error: Exception) -> int | None:
    found = re.search(r"PID (\d+)", str(error))
    return int(found[1]) if found else None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
