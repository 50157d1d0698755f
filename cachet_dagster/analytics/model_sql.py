"""The SQL of the models: how it is read, what it names, and how it is rendered for a page and an engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import sqlglot

from cachet_dagster.source.tables import TABLES, Column, Table
from cachet_dagster.source.types import TYPES

from .tables import HISTORY, STEPS

_MODELS = Path(__file__).parent / "models"

SOURCES = {**TABLES, **HISTORY}


@dataclass(frozen=True)
class SqlNames:
    """Puts a page's names and an engine's dialect into SQL over `source.` and `analytics.`."""

    dataset: str
    schema: str
    dialect: str
    existing: Mapping[str, tuple[str, ...]]

    def rendered(self, sql: str) -> str:
        """Return SQL for the engine."""
        named = _NAMED.sub(self._table, _COMMENT.sub("", sql))
        return named if self.dialect == "duckdb" else _transpiled(named, self.dialect)

    def _table(self, found: re.Match[str]) -> str:
        place, name = found.groups()
        if place == "analytics":
            return f'"{self.schema}"."{name}"'
        if name not in self.existing:
            return f"({_empty(SOURCES[name])})"
        table = f'"{self.dataset}"."{name}"'
        # A table of an earlier version has them from its next load on.
        lacking = [column for column in SOURCES[name].columns if column.name not in self.existing[name]]
        return f"(SELECT t.*, {_nulls(lacking)} FROM {table} AS t)" if lacking else table


_NAMED = re.compile(r"\b(source|analytics)\.(\w+)")
_COMMENT = re.compile(r"--.*")


@lru_cache(maxsize=256)
def _transpiled(sql: str, dialect: str) -> str:
    return sqlglot.transpile(sql, read="duckdb", write=dialect)[0]


@cache
def model_sql(name: str) -> str:
    """Return the SQL of a model, as it is written."""
    return (_MODELS / f"{name}.sql").read_text(encoding="utf-8")


def _empty(table: Table) -> str:
    return f"SELECT {_nulls(table.columns)} WHERE 1 = 0"


def _nulls(columns: Iterable[Column]) -> str:
    return ", ".join(f'CAST(NULL AS {TYPES[column.data_type].sql}) AS "{column.name}"' for column in columns)


def model_inputs(name: str) -> Mapping[str, list[str]]:
    """Return what a model is made from: tables of the page (`source`), models and seeds (`analytics`).

    A step between models stands for what it is made from itself.
    """
    inputs: dict[str, list[str]] = {"source": [], "analytics": []}
    for place, table in _NAMED.findall(_COMMENT.sub("", model_sql(name))):
        found = model_inputs(table) if place == "analytics" and table in STEPS else {place: [table]}
        for origin, tables in found.items():
            inputs[origin] += [table for table in tables if table not in inputs[origin]]
    return inputs
