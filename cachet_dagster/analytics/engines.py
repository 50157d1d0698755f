"""Where models are built: what the runner needs of a database, for DuckDB and PostgreSQL.

Models are written in DuckDB's dialect; an engine names the dialect that they are transpiled into.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, Protocol

import duckdb
import pyarrow as pa
from pyarrow import csv

from cachet_dagster.source.errors import SettingsError
from cachet_dagster.warehouse import Session
from cachet_dagster.warehouse.duckdb_session import DuckDBSession
from cachet_dagster.warehouse.postgres import PostgresSession


class Engine(Protocol):
    """A connection, in UTC, that runs SQL of its own dialect and takes tables."""

    dialect: str

    def execute(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any."""
        ...

    def write(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, named in SQL, whose columns have their names."""
        ...

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Commit what is done within, or roll it back where it raises."""
        ...


class DuckDBEngine:
    """DuckDB, through an open connection.

    Args:
        connection: Open for writing; whoever opened it closes it.
    """

    dialect = "duckdb"

    def __init__(self, connection: duckdb.DuckDBPyConnection):
        self._connection = connection

    def execute(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any."""
        return self._connection.execute(sql).fetchall()

    def write(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, named in SQL, whose columns have their names."""
        names = ", ".join(f'"{name}"' for name in rows.column_names)
        self._connection.register("rows_to_write", rows)
        try:
            self._connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM rows_to_write")
        finally:
            self._connection.unregister("rows_to_write")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or roll it back where it raises."""
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.begin()
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()


class PostgresEngine:
    """PostgreSQL, through an open connection of psycopg2, whether it commits each statement or not.

    Args:
        connection: Whoever opened it closes it.
    """

    dialect = "postgres"

    def __init__(self, connection: Any):
        self._connection = connection

    def execute(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any."""
        with self._connection.cursor() as cursor:
            # Without parameters a percent sign stands for itself.
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def write(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, named in SQL, whose columns have their names."""
        names = ", ".join(f'"{name}"' for name in rows.column_names)
        text = BytesIO()
        csv.write_csv(rows, text, csv.WriteOptions(include_header=False))
        text.seek(0)
        with self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv)", text)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or roll it back where it raises."""
        self.execute("BEGIN")
        try:
            self.execute("SET LOCAL TimeZone = 'UTC'")
            # Compiling queries of this length took 38 s where running them takes 1 s.
            self.execute("SET LOCAL jit = off")
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")


def engine_of(session: Session) -> Engine:
    """Return the engine behind a session of a warehouse that was opened for writing.

    Raises:
        SettingsError: Models are not built in such a destination.
    """
    if isinstance(session, DuckDBSession):
        return DuckDBEngine(session.connection)
    if isinstance(session, PostgresSession):
        return PostgresEngine(session.sql.native_connection)
    raise SettingsError(
        "models of uptime and incidents are built in DuckDB and PostgreSQL only",
        "Leave their assets out, or load into one of these.",
    )
