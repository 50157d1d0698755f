"""PostgreSQL as a warehouse: advisory locks, unique keys, and Arrow by ADBC.

Loads of one dataset take turns by an advisory lock, which the server gives back when a connection ends, however
it ends; readers take none. Within its turn a load finds whatever killed ones have left, and removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.destination import TDestinationReferenceArg
from pyarrow import csv

from cachet_dagster.source import FILLED_BY, TABLES
from cachet_dagster.source.destinations import Strategy
from cachet_dagster.source.dialect import quoted
from cachet_dagster.source.errors import SettingsError

from .lock import LockTimeout
from .protocol import Session
from .sql import SqlWarehouse
from .sql_session import SqlSession

OLDEST = 150_000
"""The first version that has MERGE."""

_POLL_SECONDS = 0.05
_KEYED = {name for name in TABLES if not FILLED_BY[name].kind.appends}


class PostgresSession(SqlSession):
    """A dataset in PostgreSQL, fetched by ADBC where Arrow is wanted: psycopg2 would make a Python object a cell."""

    # A statement may have 1 GB; a part whose ids lie close together is asked for as a range.
    ids_at_once = 25_000
    _adbc: Any = None

    def arrow(self, text: str) -> pa.Table:
        """Run SQL of PostgreSQL's dialect, and return what it gives as Arrow."""
        from adbc_driver_postgresql import dbapi

        if self._adbc is None:
            uri = self.client.config.credentials.to_native_representation()
            self._adbc = dbapi.connect(uri, autocommit=True)
        with self._adbc.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetch_arrow_table()

    def run(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement of PostgreSQL and return its rows, if it has any."""
        with self.sql.native_connection.cursor() as cursor:
            # Without parameters a percent sign stands for itself.
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def write(self, table: str, rows: pa.Table) -> None:
        """Add rows to a table, named in SQL, whose columns have their names."""
        names = ", ".join(map(quoted, rows.column_names))
        text = BytesIO()
        csv.write_csv(rows, text, csv.WriteOptions(include_header=False))
        text.seek(0)
        with self.sql.native_connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv)", text)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or roll it back where it raises."""
        self.run("BEGIN")
        try:
            self.run("SET LOCAL TimeZone = 'UTC'")
            # Compiling queries of this length took 38 s where running them takes 1 s.
            self.run("SET LOCAL jit = off")
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def close(self) -> None:
        """Close the connection for Arrow."""
        if self._adbc is not None:
            self._adbc.close()


class PostgresWarehouse(SqlWarehouse):
    """A dataset in a PostgreSQL database (see `SqlWarehouse`)."""

    session_class = PostgresSession
    reference = "cachet_dagster.warehouse.postgres_destination.CopyPostgres"

    def __init__(self, strategy: Strategy, **options: Any):
        super().__init__(strategy, **options)
        self._resolved: Any = None

    def configuration(self) -> Any:
        """Return dlt's configuration of the destination for the dataset, resolved once: that takes dlt 10 ms."""
        if self._resolved is None:
            self._resolved = super().configuration()
        return self._resolved

    def probe(self) -> None:
        """Raise what would keep a load from being written, before requests are spent on it."""
        with self.writing() as session:
            connection: Any = session.sql.native_connection
            if connection.server_version < OLDEST:
                raise SettingsError(
                    f"{self.name} is PostgreSQL {connection.server_version // 10_000}, which has no MERGE",
                    "Take PostgreSQL 15 or later.",
                )
            ((may_create, may_write),) = session.sql.execute_sql(
                "SELECT has_database_privilege(current_database(), 'CREATE'),"
                " coalesce(has_schema_privilege(to_regnamespace(%s)::oid, 'CREATE'), true)",
                self.dataset,
            ) or [(False, False)]
        # Each run makes a schema to stage its rows in.
        if not may_create or not may_write:
            missing = "make schemas in the database" if not may_create else f"make tables in {self.dataset}"
            raise SettingsError(
                f"{self.name} cannot be written: the user may not {missing}",
                "Grant CREATE on the database, and on the schema, to the user of the credentials.",
            )

    @contextlib.contextmanager
    def writing(self, *, create: bool = False) -> Iterator[SqlSession]:
        """Take one's turn at changing the dataset, waiting for others first."""
        with self.reading() as session:
            try:
                self._lock(session, "load", self.wait)
            except LockTimeout:
                raise self._busy() from None
            yield session

    @contextlib.contextmanager
    def lock(self, what: str, *, wait: float) -> Iterator[None]:
        """Keep others, wherever they are, from doing the same meanwhile."""
        with self.reading() as session:
            self._lock(session, what, wait)
            yield

    def destination(self, run: str) -> TDestinationReferenceArg:
        """Return the dlt destination of a run, with a staging dataset of its own."""
        return self._destination(
            staging_dataset_name_layout=f"%s_staging_{run}",
            # TRUNCATE would wait for each reader and make all others wait, and one in a transaction would see nothing.
            supports_truncate_command=False,
        )

    def after_load(self, session: Session, pipeline: dlt.Pipeline) -> None:
        """Make the keys unique, and drop this run's staging dataset and those that killed runs have left."""
        assert isinstance(session, SqlSession)
        without = session.sql.execute_sql(
            "SELECT tablename FROM pg_tables t WHERE schemaname = %s AND NOT EXISTS (SELECT 1 FROM pg_indexes i"
            " WHERE i.schemaname = t.schemaname AND i.tablename = t.tablename AND indexname = t.tablename || '_key')",
            self.dataset,
        )
        for table in [TABLES[name] for (name,) in without or () if name in _KEYED]:
            session.sql.execute_sql(
                f'CREATE UNIQUE INDEX IF NOT EXISTS "{table.name}_key" ON {session.table(table.name)}'
                f" ({', '.join(map(quoted, table.key))})"
            )
        left = session.sql.execute_sql(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s",
            f"{self.dataset}_staging%".replace("_", r"\_"),
        )
        for (schema,) in left or ():
            session.sql.execute_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')

    def _lock(self, session: SqlSession, what: str, wait: float) -> None:
        """Take an advisory lock, which ends with the session's connection.

        Raises:
            LockTimeout: It was not free within the bound.
        """
        digest = hashlib.blake2b(f"cachet_dagster {self.dataset} {what}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "big", signed=True)
        deadline, told = time.monotonic() + wait, False
        while not (session.sql.execute_sql("SELECT pg_try_advisory_lock(%s)", key) or [(False,)])[0][0]:
            if time.monotonic() >= deadline:
                raise LockTimeout(self.name)
            if not told:
                told = True
                self.log(f"waiting for another run to finish with {self.name}")
            time.sleep(_POLL_SECONDS)
