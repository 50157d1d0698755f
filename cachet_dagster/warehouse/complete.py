"""The assertion of a load: right after it, a table holds the rows that were read, no more and no less."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cachet_dagster.source.errors import CachetError
from cachet_dagster.source.tables import Table

from .protocol import Session

_SHOWN = 10


class Incomplete(CachetError):
    """A table does not hold what was loaded into it."""

    retryable = True

    def __init__(self, what: str, remedy: str = "", endpoint: str = ""):
        known = "Run it again; if it stays so, something else writes to the database."
        super().__init__(what, remedy or known, endpoint)

    def _message(self) -> str:
        return f"{self.endpoint}: {self.what}. {self.remedy}"


def assert_keys(session: Session, table: Table, keys: Collection[tuple[Any, ...]]) -> None:
    """Raise Incomplete where a table holds other rows than those with the given keys."""
    columns = ", ".join(f'"{column}"' for column in table.key)
    held = session.execute(f"SELECT {columns} FROM {session.table(table.name)}").fetchall()
    read = set(keys)
    lost, odd = sorted(read.difference(held)), sorted(set(held) - read)
    if lost or odd or len(held) != len(keys):
        marked = [(key, "was read and is not stored") for key in lost]
        marked += [(key, "is stored and was not read") for key in odd]
        named = "; ".join(
            f"{', '.join(f'{column} {value}' for column, value in zip(table.key, key, strict=True))} {why}"
            for key, why in marked[:_SHOWN]
        )
        raise Incomplete(
            f"{table.name} holds {len(held):,} rows where {len(keys):,} were read{named and ': '}{named}",
            endpoint=table.name,
        )


def assert_count(session: Session, table: Table, rows: int) -> None:
    """Raise Incomplete where a table holds another number of rows."""
    ((held,),) = session.execute(f"SELECT count(*) FROM {session.table(table.name)}").fetchall()
    if held != rows:
        raise Incomplete(
            f"{table.name} holds {held:,} rows; with what was added it should be {rows:,}",
            endpoint=table.name,
        )
