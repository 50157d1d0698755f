"""dlt's destination for PostgreSQL, but for files without rows: ADBC gets no batch of them, and fails."""

from __future__ import annotations

import pyarrow.parquet as pq
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob


class CopyJob(PostgresParquetCopyJob):
    """Copies a file; one without rows is done at once."""

    def run(self) -> None:
        """Copy the file."""
        if pq.read_metadata(self._file_path).num_rows:
            super().run()


class CopyClient(PostgresClient):
    """dlt's client with that job."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Return the job that loads a file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return CopyJob(file_path) if isinstance(job, PostgresParquetCopyJob) else job


class CopyPostgres(postgres):
    """dlt's destination with that client; to dlt's own commands, and in its records, it is dlt's."""

    @property
    def client_class(self) -> type[PostgresClient]:
        """dlt's client of it."""
        return CopyClient

    @property
    def destination_type(self) -> str:
        """dlt's name of it."""
        return "dlt.destinations.postgres"
