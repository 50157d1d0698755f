"""SQL is written once, in DuckDB's dialect, and put into a destination's own by sqlglot."""

from __future__ import annotations

from typing import Any

import sqlglot
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp


def in_dialect(sql: str, client: SqlClientBase[Any], dataset: str) -> str:
    """Return SQL of DuckDB's dialect in that of a client, with names as dlt writes them there.

    Args:
        sql: SQL whose tables are named `"dataset"."table"`.
        client: dlt's SQL client of the destination.
        dataset: The dataset.
    """
    can = client.capabilities
    tree = sqlglot.parse_one(sql, read="duckdb")
    for node in list(tree.find_all(exp.Table)):
        if node.db == dataset:
            path = client.make_qualified_table_name_path(node.name, quote=False)
            parts = [exp.to_identifier(part, quoted=True) for part in path]
            node.set("this", parts[-1])
            node.set("db", parts[-2] if len(parts) > 1 else None)
            node.set("catalog", parts[-3] if len(parts) > 2 else None)
    written = {id(part) for table in tree.find_all(exp.Table) for part in table.parts}
    for name in list(tree.find_all(exp.Identifier)):
        if id(name) not in written:
            name.set("this", can.casefold_identifier(name.name))
            name.set("quoted", True)
    return tree.sql(dialect=can.sqlglot_dialect or "duckdb")


def quoted(name: str) -> str:
    """Return a name as SQL has it between quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL has it between quotes."""
    return "'" + text.replace("'", "''") + "'"
