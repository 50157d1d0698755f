"""A dataset in a SQL destination, asked through dlt's client of it; SQL is put into its dialect by sqlglot.

Points are compared here and not there: the stored rows of a batch are fetched by their ids, since a batch that
differs in nothing, the usual one, then writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from cachet_dagster.source.destinations import Strategy
from cachet_dagster.source.dialect import in_dialect
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.source.rows import Row

IDS_AT_ONCE = 10_000
"""Ids listed in one statement; the shortest statement that a destination of the table takes has 512 kB."""

_PER_ID = 4
"""Rows for each that is wanted, up to which a range is asked for: a list of ids takes ten times as long."""

_IDS = 987_654_321


@dataclass
class Fetched:
    """Rows of a result, fetched."""

    names: list[str]
    rows: list[tuple[Any, ...]]

    @property
    def description(self) -> list[tuple[str]]:
        """The columns' names, in lower case."""
        return [(name,) for name in self.names]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows that have not been fetched."""
        rows, self.rows = self.rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row; None after the last."""
        return self.rows.pop(0) if self.rows else None


class SqlSession:
    """A dataset in a SQL destination (see `Session`).

    Args:
        client: dlt's job client.
        sql: Its SQL client, connected.
        dataset: The dataset.
        strategy: What is known of the destination.
    """

    errors: tuple[type[Exception], ...] = (DatabaseException,)
    ids_at_once = IDS_AT_ONCE

    def __init__(self, client: Any, sql: SqlClientBase[Any], dataset: str, strategy: Strategy):
        self.client = client
        self.sql = sql
        self.dataset = dataset
        self.strategy = strategy
        self.dialect = sql.capabilities.sqlglot_dialect or "duckdb"

    def __call__(self, table: str, sql: str) -> list[Row] | None:
        """Run SQL over one table; None where it does not exist."""
        try:
            found = self.execute(sql.replace("{table}", self.table(table)))
        except DatabaseUndefinedRelation:
            return None
        return [dict(zip(found.names, values, strict=True)) for values in found.fetchall()]

    def execute(self, sql: str) -> Fetched:
        """Run SQL, and fetch what it gives; times are in UTC."""
        with self.sql.execute_query(self.text(sql)) as cursor:
            if not cursor.description:
                return Fetched([], [])
            names = [column[0].lower() for column in cursor.description]
            return Fetched(names, [tuple(map(_in_utc, row)) for row in cursor.fetchall()])

    def run(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement in the destination's own dialect and return its rows, if it has any."""
        return [tuple(row) for row in self.sql.execute_sql(sql) or ()]

    def write(self, table: str, rows: pa.Table) -> None:
        """Refuse: models are not built here."""
        raise models_refused(self.strategy)

    def transaction(self) -> AbstractContextManager[None]:
        """Refuse: models are not built here."""
        raise models_refused(self.strategy)

    def text(self, sql: str) -> str:
        """Return SQL in the destination's dialect, with its names as dlt writes them there."""
        return in_dialect(sql, self.sql, self.dataset)

    def table(self, name: str) -> str:
        """Return a table's name in DuckDB's SQL."""
        return f'"{self.dataset}"."{name}"'

    def columns(self, table: str) -> dict[str, str]:
        """Return a table's columns by name, each with its dlt data type."""
        (_, found), *_ = self.client.get_storage_tables([table])
        return {name.lower(): str(column.get("data_type")) for name, column in found.items()}

    def compared(self, table: str, batch: pa.Table, sql: str) -> pa.Table:
        """Run SQL in a DuckDB here over `batch` and over `{stored}`, the stored rows with the batch's ids."""
        known = self.columns(table)
        columns = ", ".join(f'"{name}"' for name in batch.schema.names if name in known)
        query = f"SELECT {columns} FROM {self.table(table)}"
        found = [self.arrow(text) for text in self._around(query, batch.column("id").sort())]
        with duckdb.connect(":memory:") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("batch", batch)
            connection.register("stored_rows", pa.concat_tables(found, promote_options="permissive"))
            return connection.sql(sql.replace("{stored}", "stored_rows")).to_arrow_table()

    def delete(self, table: str, condition: str) -> int:
        """Delete the rows of a table for which a condition holds, and return how many that were."""
        return self._affected(self.text(f"DELETE FROM {self.table(table)} WHERE {condition}"))

    def delete_absent(self, table: str, condition: str, column: str, present: pa.ChunkedArray) -> int:
        """Delete rows for which a condition holds, and whose integer in a column is not among those present."""
        of_table = f"FROM {self.table(table)} WHERE {condition}"
        stored = (
            self.arrow(self.text(f'SELECT DISTINCT "{column}" AS number {of_table}'))
            .column(0)
            .cast(pa.int64())
        )
        gone = stored.filter(pc.invert(pc.is_in(stored, value_set=present)))  # pyright: ignore
        query = f'DELETE {of_table} AND "{column}" IN ({_IDS})'
        return sum(self._affected(text) for text in self._by_ids(query, gone)) if len(gone) else 0

    def arrow(self, text: str) -> pa.Table:
        """Run SQL of the destination's dialect, and return what it gives as Arrow."""
        with self.sql.execute_query(text) as cursor:
            return cursor.arrow()  # pyright: ignore[reportReturnType]

    def close(self) -> None:
        """Give back what the session has opened beside dlt's client."""

    def _affected(self, text: str) -> int:
        with self.sql.execute_query(text) as cursor:
            return max(0, int(getattr(cursor.native_cursor, "rowcount", 0)))

    def _around(self, sql: str, ids: pa.ChunkedArray) -> Iterator[str]:
        """Yield SQL, in the destination's dialect, for rows with the ids, which are in order, and few others."""
        for start in range(0, max(1, len(ids)), self.ids_at_once):
            part = ids.slice(start, self.ids_at_once)
            first, last = (part[0].as_py(), part[-1].as_py()) if len(part) else (0, 0)
            if last - first < _PER_ID * len(part):
                yield self.text(f"{sql} WHERE id BETWEEN {first} AND {last}")
            else:
                yield from self._by_ids(f"{sql} WHERE id IN ({_IDS})", part)

    def _by_ids(self, sql: str, ids: pa.ChunkedArray) -> Iterator[str]:
        """Yield SQL, in the destination's dialect, once for every so many ids."""
        text = self.text(sql)
        numbers: Sequence[int] = ids.to_pylist()
        for start in range(0, max(1, len(numbers)), self.ids_at_once):
            listed = ", ".join(map(str, numbers[start : start + self.ids_at_once])) or "NULL"
            yield text.replace(str(_IDS), listed)


def models_refused(strategy: Strategy) -> SettingsError:
    """Return why models are not built in a destination."""
    return SettingsError(
        f"models of uptime and incidents are built in DuckDB and PostgreSQL, not in {strategy.title}",
        "Set {destination} to one of these for models and reports; the tables are loaded all the same.",
    )


def _in_utc(value: Any) -> Any:
    return value.astimezone(timezone.utc) if isinstance(value, datetime) and value.tzinfo else value
