"""dlt's destination for PostgreSQL, but for one thing: rows are merged by the job that brings them.

dlt copies rows into a table of the staging dataset and MERGEs that one into the table, which writes each row twice and
looks for each. Most points that come in great numbers are new, so they are copied straight into the table. Its unique
key tells if one of them is there already, and then the file goes by way of a temporary table. Either is a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from adbc_driver_manager import IntegrityError
from dlt.common.destination.client import FollowupJobRequest, LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob
from dlt.destinations.sql_jobs import SqlMergeFollowupJob

_FEW_ROWS = 10_000
"""Rows that are merged without trying: to look for them costs little, and a server logs each error."""

_ROWS_AT_ONCE = 25_000


def unique_key(name: str, table: str, columns: Sequence[str]) -> str:
    """Return SQL that makes the key of a table unique.

    Args:
        name: The table's name.
        table: Its name in SQL.
        columns: Names of the key's columns.
    """
    listed = ", ".join(f'"{column}"' for column in columns)
    return f'CREATE UNIQUE INDEX IF NOT EXISTS "{name}_key" ON {table} ({listed})'


def _is_merged(table: Any) -> bool:
    return table["write_disposition"] == "merge"


class CopyJob(PostgresParquetCopyJob):
    """Loads a file in one transaction: copied where dlt stages it, merged where it goes into its table."""

    def run(self) -> None:
        """Load the file.

        Raises:
            adbc_driver_manager.Error: PostgreSQL did not take it, and has none of it.
        """
        with (
            pq.ParquetFile(self._file_path) as file,
            self._connect() as connection,
            connection.cursor() as cursor,
        ):
            _, dataset = self._set_catalog_and_schema()
            if not _is_merged(self._load_table):
                self._copy(cursor, file, db_schema_name=dataset)
            elif file.metadata.num_rows <= _FEW_ROWS:
                self._merge(cursor, file)
            else:
                try:
                    if self._make_key(cursor):
                        self._copy(cursor, file, db_schema_name=dataset)
                    else:
                        self._merge(cursor, file)
                except IntegrityError:
                    connection.rollback()
                    self._merge(cursor, file)
            connection.commit()

    def _copy(self, cursor: Any, file: pq.ParquetFile, **where: Any) -> None:
        # Read as it is sent: dlt would take it whole into memory.
        batches = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(_ROWS_AT_ONCE))
        cursor.adbc_ingest(self.load_table_name, batches, mode="append", **where)

    def _make_key(self, cursor: Any) -> bool:
        """Make the table's key unique, and return whether it is: something else may have its name."""
        # Asked first, since making an index waits for whoever writes, even where there is one.
        if not self._has_key(cursor):
            cursor.execute(unique_key(self.load_table_name, self._names()[0], self._key()))
        return self._has_key(cursor)

    def _has_key(self, cursor: Any) -> bool:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indrelid = to_regclass($1) AND indisunique AND indisvalid AND relname = $2)",
            (self._names()[0], f"{self.load_table_name}_key"),
        )
        return bool(cursor.fetchone()[0])

    def _merge(self, cursor: Any, file: pq.ParquetFile) -> None:
        name, (table, client) = self.load_table_name, self._names()
        described: Any = self._load_table
        cursor.execute(f'CREATE TEMPORARY TABLE "{name}" (LIKE {table}) ON COMMIT DROP')
        self._copy(cursor, file, temporary=True)
        columns = [client.escape_column_name(column) for column in described["columns"]]
        keys = [client.escape_column_name(column) for column in self._key()]
        (sql,) = SqlMergeFollowupJob.gen_upsert_merge_sql(
            table, f'pg_temp."{name}"', keys, columns, None, None
        )
        cursor.execute(sql)

    def _key(self) -> list[str]:
        described: Any = self._load_table
        return get_columns_names_with_prop(described, "primary_key")

    def _names(self) -> tuple[str, Any]:
        """Return the table's name in SQL, and dlt's client, which knows how names are written."""
        client = self._job_client.sql_client
        return client.make_qualified_table_name(self.load_table_name), client


class MergingClient(PostgresClient):
    """dlt's client, which stages only tables that are replaced."""

    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:
        """Return whether rows of a table are staged."""
        merged = _is_merged(self.prepare_load_table(table_name))
        return not merged and super().should_load_data_to_staging_dataset(table_name)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Return the job that loads a file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return CopyJob(file_path) if isinstance(job, PostgresParquetCopyJob) else job

    def _create_merge_followup_jobs(
        self, table_chain: Sequence[PreparedTableSchema]
    ) -> list[FollowupJobRequest]:
        return []


class MergingPostgres(postgres):
    """dlt's destination with that client; to dlt's own commands, and in its records, it is dlt's."""

    @property
    def client_class(self) -> type[PostgresClient]:
        """dlt's client of it."""
        return MergingClient

    @property
    def destination_type(self) -> str:
        """dlt's name of it."""
        return "dlt.destinations.postgres"
