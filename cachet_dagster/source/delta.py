"""Delta tables of dlt's, read by a DuckDB in memory: dlt's own way takes an extension that DuckDB would fetch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import duckdb
from deltalake import DeltaTable
from dlt.common.libs.deltalake import deltalake_storage_options

from .rows import Query, Row


def open_delta(client: Any, table: str) -> DeltaTable | None:
    """Return a table as it is now; None where there is none.

    Args:
        client: dlt's client of the files, which knows where its tables are.
        table: The table's name.
    """
    location = client.get_open_table_location("delta", table)
    config = client.config
    options = deltalake_storage_options(config.credentials, config.deltalake_storage_options)
    if not DeltaTable.is_deltatable(location, options):
        return None
    return DeltaTable(location, storage_options=options)


@contextlib.contextmanager
def delta_query(client: Any) -> Iterator[Query]:
    """Query tables one at a time.

    Args:
        client: dlt's client of the files.
    """
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")

        def query(table: str, sql: str) -> list[Row] | None:
            found = open_delta(client, table)
            if found is None:
                return None
            connection.register("files", found.to_pyarrow_dataset())
            rows = connection.execute(sql.replace("{table}", "files"))
            names = [column[0].lower() for column in rows.description]
            return [dict(zip(names, values, strict=True)) for values in rows.fetchall()]

        yield query
