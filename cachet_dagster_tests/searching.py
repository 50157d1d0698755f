"""A search for a text in whatever a load leaves: files, packed ones unpacked, and every cell of a database."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow.parquet


def holding(secret: str, folders: Iterable[Path]) -> list[str]:
    """Return the files that hold a text, as it is or as UTF-16."""
    wanted = [secret.encode(), secret.encode("utf-16-le")]
    found = []
    for folder in folders:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files, f"nothing to search in {folder}"
        found += [str(path) for path in files if any(text in _content(path) for text in wanted)]
    return found


def cells_holding(secret: str, database: Path) -> list[str]:
    """Return the tables of a database that hold a text, dlt's own included; its file may be packed."""
    with duckdb.connect(str(database), read_only=True) as connection:
        tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        assert len(tables) > 15
        return [
            f"{schema}.{table}"
            for schema, table in tables
            if secret in str(connection.execute(f'SELECT * FROM "{schema}"."{table}"').fetchall())
        ]


def _content(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".parquet":
        return path.read_bytes() + str(pyarrow.parquet.read_table(path).to_pylist()).encode()
    return path.read_bytes()
