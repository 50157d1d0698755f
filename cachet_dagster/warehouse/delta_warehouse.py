"""Files as a warehouse: a Delta table for each table, in a folder or a bucket, read by a DuckDB in memory.

Plain files know no merge, and dlt would append a second load's rows to them: hence the table format. A Delta commit
is atomic, so nothing is staged. Loads into a local folder take turns; of those into a bucket only the ones of one
machine do, and a commit that meets another's fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError
from dlt.common.destination import TDestinationReferenceArg

from cachet_dagster.source import TABLES
from cachet_dagster.source.delta import open_delta
from cachet_dagster.source.destinations import Strategy
from cachet_dagster.source.errors import SettingsError, first_line

from .duckdb_session import DuckDBSession
from .protocol import Session
from .sql import SqlWarehouse
from .sql_session import IDS_AT_ONCE, models_refused


class DeltaSession(DuckDBSession):
    """A dataset of Delta tables, each a view in a DuckDB in memory from when it is first named.

    Args:
        connection: The DuckDB.
        dataset: The dataset.
        client: dlt's client, which knows where the tables are.
        strategy: How they are loaded.
    """

    errors: tuple[type[Exception], ...] = (duckdb.Error, DeltaError)

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str, client: Any, strategy: Strategy):
        super().__init__(connection, dataset)
        self.client = client
        self.strategy = strategy
        self._shown: set[str] = set()
        connection.execute(f'CREATE SCHEMA "{dataset}"')

    def table(self, name: str) -> str:
        """Return a table's name in SQL, by which it is there from now on."""
        if name not in self._shown:
            found = open_delta(self.client, name)
            if found is not None:
                self._shown.add(name)
                self.connection.register(f"files of {name}", found.to_pyarrow_dataset())
                self.connection.execute(
                    f'CREATE OR REPLACE VIEW "{self.dataset}"."{name}" AS SELECT * FROM "files of {name}"'
                )
        return super().table(name)

    def transaction(self) -> AbstractContextManager[None]:
        """Refuse: models would be lost with the DuckDB in memory."""
        raise models_refused(self.strategy)

    def columns(self, table: str) -> dict[str, str]:
        """Return a table's columns by name; what is declared as JSON is text in Delta."""
        self.table(table)
        known = TABLES[table].columns if table in TABLES else ()
        json = {column.name for column in known if column.data_type == "json"}
        found = super().columns(table).items()
        return {name: "json" if name in json and kind == "text" else kind for name, kind in found}

    def delete(self, table: str, condition: str) -> int:
        """Delete the rows of a table for which a condition holds, and return how many that were."""
        found = open_delta(self.client, table)
        self._shown.discard(table)
        return int(found.delete(condition)["num_deleted_rows"]) if found is not None else 0

    def delete_absent(self, table: str, condition: str, column: str, present: pa.ChunkedArray) -> int:
        """Delete rows for which a condition holds, and whose integer in a column is not among those present."""
        query = f'SELECT DISTINCT "{column}" AS number FROM {self.table(table)} WHERE {condition}'
        stored = self.connection.sql(query).to_arrow_table().column(0)
        gone = stored.filter(pc.invert(pc.is_in(stored, value_set=present))).to_pylist()  # pyright: ignore
        parts = (gone[start : start + IDS_AT_ONCE] for start in range(0, len(gone), IDS_AT_ONCE))
        return sum(self.delete(table, f'"{column}" IN ({", ".join(map(str, part))})') for part in parts)


class DeltaWarehouse(SqlWarehouse):
    """A dataset of Delta tables in a folder or a bucket (see `SqlWarehouse`).

    Where it is comes from `bucket_url`, given as `credentials` are or found in dlt's configuration.
    """

    def probe(self) -> None:
        """Raise what would keep a load from being written, before requests are spent on it."""
        with self.writing() as session:
            files = session.client.fs_client
            place = f"{session.client.bucket_path.rstrip('/')}/.cachet_dagster_probe"
            try:
                files.makedirs(session.client.bucket_path, exist_ok=True)
                files.pipe_file(place, b"")
                files.rm_file(place)
            except Exception as error:
                # Each kind of store has exceptions of its own.
                raise SettingsError(
                    f"{self.name} cannot be written ({first_line(error)})",
                    "Check destination.filesystem.bucket_url, and the credentials in "
                    "[destination.filesystem.credentials] of .dlt/secrets.toml.",
                ) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[DeltaSession]:
        """Open it for questions; each table is seen as of when it is first asked."""
        client = self._configured()
        with duckdb.connect(":memory:") as connection:
            yield DeltaSession(connection, self.dataset, client, self.strategy)

    @contextlib.contextmanager
    def writing(self, *, create: bool = False) -> Iterator[DeltaSession]:
        """Take one's turn at changing it: among all who reach a folder, among those of this machine for a bucket."""
        with self.reading() as session, contextlib.ExitStack() as held:
            config = session.client.config
            place = self._beside("load")
            if config.is_local_filesystem:
                place = Path(config.make_local_path(config.bucket_url)) / self.dataset
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(self._alone(place))
            except OSError as error:
                raise SettingsError(
                    f"the folder {place.parent} cannot be written ({error.strerror})",
                    "Set destination.filesystem.bucket_url to another.",
                ) from error
            yield session

    def destination(self, run: str) -> TDestinationReferenceArg:
        """Return the dlt destination; nothing is staged."""
        return self._destination()

    def after_load(self, session: Session, pipeline: dlt.Pipeline) -> None:
        """Leave everything as it is: a Delta load leaves nothing behind."""
