"""The protocols of a warehouse and of a session with it: query tables, load resources, wait for other writers.

Code that uses only these protocols works with every destination. SQL is written in DuckDB's dialect, and the session
transpiles it. It keeps to what all destinations know: no `GROUP BY ALL`, for example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import dlt
import pyarrow as pa
from dlt.common.destination import TDestinationReferenceArg
from dlt.common.typing import TLoaderFileFormat

from cachet_dagster.source.errors import CachetError
from cachet_dagster.source.rows import Row


class DatabaseBusy(CachetError):
    """Somebody else holds the database."""

    retryable = True


class Result(Protocol):
    """What SQL has given."""

    @property
    def description(self) -> Any:
        """The columns, each a sequence whose first item is its name."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows that have not been fetched."""
        ...

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row; None after the last."""
        ...


class Session(Protocol):
    """A dataset, open to be asked, and to be changed where it was opened for writing.

    Attributes:
        dataset: Its name.
        dialect: sqlglot's name of the destination's dialect of SQL.
        errors: What SQL that fails raises.
    """

    dataset: str
    dialect: str
    errors: tuple[type[Exception], ...]

    def __call__(self, table: str, sql: str) -> list[Row] | None:
        """Run SQL over one table, `{table}` standing for its name: rows by lower-case column name.

        Returns:
            The rows; None where the table does not exist.
        """
        ...

    def execute(self, sql: str) -> Result:
        """Run SQL in DuckDB's dialect; tables are named as `table` names them."""
        ...

    def run(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement in the destination's own dialect and return its rows, if it has any."""
        ...

    def write(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, named in SQL, whose columns have their names."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what is done within, or roll it back where it raises.

        Raises:
            SettingsError: Models are not built in such a destination.
        """
        ...

    def text(self, sql: str) -> str:
        """Return SQL as the destination takes it, for a person to run."""
        ...

    def table(self, name: str) -> str:
        """Return a table's name in DuckDB's SQL."""
        ...

    def columns(self, table: str) -> dict[str, str]:
        """Return a table's columns by name, each with its dlt data type, or its own type where dlt has none.

        None are returned of a table that does not exist.
        """
        ...

    def compared(self, table: str, batch: pa.Table, sql: str) -> pa.Table:
        """Run SQL in DuckDB over `batch`, and over `{stored}`: a table whose rows with the batch's ids are there."""
        ...

    def delete(self, table: str, condition: str) -> int:
        """Delete the rows of a table for which a condition holds, and return how many that were."""
        ...

    def delete_absent(self, table: str, condition: str, column: str, present: pa.ChunkedArray) -> int:
        """Delete rows for which a condition holds, and whose integer in a column is not among those present."""
        ...


class Warehouse(Protocol):
    """A dataset in a destination.

    Attributes:
        destination_type: dlt's name of the destination.
        name: Where it is, for people; it holds no secret.
        dataset: The dlt dataset, a schema where the destination has such.
        pipeline_name: The dlt pipeline.
        wait: Seconds to wait for others at most.
        keep_loads: How many of dlt's records of loads to keep in it.
        log: Called with progress messages while others are waited for.
        loader_file_format: In which format dlt hands over rows.
    """

    destination_type: str
    name: str
    dataset: str
    pipeline_name: str
    wait: float
    keep_loads: int
    log: Callable[[str], None]
    loader_file_format: TLoaderFileFormat

    def probe(self) -> None:
        """Raise what would keep a load from being written, before requests are spent on it.

        Raises:
            SettingsError: A setting or credential is missing or wrong, or it cannot be written.
            DatabaseBusy: Others held it for longer than the bound.
        """

    def reading(self) -> AbstractContextManager[Session]:
        """Open it for questions, among others who do; where there is nothing yet every table is missing.

        Raises:
            SettingsError: It cannot be opened.
            DatabaseBusy: Others wrote to it for longer than the bound.
        """
        ...

    def writing(self, *, create: bool = False) -> AbstractContextManager[Session]:
        """Open it for changes, as the only writer; wait for other writers first.

        Args:
            create: Whether to make what it is in where there is none.

        Raises:
            SettingsError: It cannot be opened or written.
            DatabaseBusy: Others held it for longer than the bound.
        """
        ...

    def lock(self, what: str, *, wait: float) -> AbstractContextManager[None]:
        """Hold a lock by name, against everyone whom the destination lets us lock out.

        Args:
            what: What is done, as an identifier.
            wait: Seconds to wait for them at most.

        Raises:
            LockTimeout: They took longer.
            OSError: A lock cannot be made.
        """
        ...

    def example(self, table: str) -> str:
        """Return a line of Python that shows some rows of a table, for a person to run in the current folder."""
        ...

    def run_folder(self) -> AbstractContextManager[Path]:
        """Make a dlt folder for one run, and remove it afterwards.

        Raises:
            OSError: It cannot be made.
        """
        ...

    def destination(self, run: str) -> TDestinationReferenceArg:
        """Return the dlt destination of a run, whose staging dataset is its own."""
        ...

    def sync(self, pipeline: dlt.Pipeline) -> None:
        """Bring a pipeline up to the destination's state and schemas, where there are any."""

    def after_load(self, session: Session, pipeline: dlt.Pipeline) -> None:
        """Do, after a load and within its turn, what this destination needs: keys, leftovers of killed runs."""
