"""A `sources.yml` for dbt, from the declared tables: `python -m cachet_dagster.analytics.dbt` prints it.

dbt is no part of this project; who has it finds every table, column and test in `dbt/sources.yml`, and a test holds
that file to the declarations. The schemas are dbt variables, so that one file serves any page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import yaml

from cachet_dagster.source.tables import TABLES, Column, Reference, Table
from cachet_dagster.warehouse.names import DATASET

from .build import analytics_schema
from .tables import HISTORY, MODELS, VIEWS

_HEAD = """\
# Generated from the declared tables by `python -m cachet_dagster.analytics.dbt`; a test holds it to them.
# Copy it into a dbt project's models. Another page's schemas: `--vars '{cachet_dataset: …, cachet_analytics: …}'`.
"""

_FRESHNESS = {
    "warn_after": {"count": 3, "period": "hour"},
    "error_after": {"count": 24, "period": "hour"},
}
_LOADS = {
    "name": "_dlt_loads",
    "description": "dlt's own record: a row for each load.",
    "config": {"loaded_at_field": "inserted_at", "freshness": _FRESHNESS},
}


def sources() -> dict[str, Any]:
    """Return dbt's description of the tables, of history, and of the models, as its YAML has it."""
    return {
        "version": 2,
        "sources": [
            {
                "name": "cachet",
                "description": "A Cachet status page, as its API tells it, and what changed on it.",
                "schema": f"{{{{ var('cachet_dataset', '{DATASET}') }}}}",
                "tables": [*_tables(TABLES.values()), *_tables(HISTORY.values()), _LOADS],
            },
            {
                "name": "cachet_analytics",
                "description": "Uptime, incidents and metrics of the page, each figure with its bounds and evidence.",
                "schema": f"{{{{ var('cachet_analytics', '{analytics_schema(DATASET)}') }}}}",
                "tables": _tables(MODELS.values()),
            },
        ],
    }


def sources_yaml() -> str:
    """Return the text of `sources.yml`."""
    text = yaml.dump(sources(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return _HEAD + text


def _tables(tables: Iterable[Table]) -> list[dict[str, Any]]:
    return [_table(table) for table in tables]


def _table(table: Table) -> dict[str, Any]:
    described: dict[str, Any] = {"name": table.name, "description": table.description}
    if table.name == "endpoint_observations":
        described["config"] = {"loaded_at_field": "observed_at", "freshness": _FRESHNESS}
    references = {reference.column: reference for reference in table.references}
    described["columns"] = [_column(table, column, references.get(column.name)) for column in table.columns]
    return described


def _column(table: Table, column: Column, reference: Reference | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": column.name,
        "description": column.description,
        "data_type": column.data_type,
    }
    if column.name in _QUOTED:
        described["quote"] = True
    # That a key of several columns is unique takes a package beside dbt to test.
    tests: list[Any] = []
    if column.name in table.key and table.name not in VIEWS:
        tests.append("not_null")
        if len(table.key) == 1:
            tests.append("unique")
    if column.codes:
        tests.append({"accepted_values": {"values": sorted(column.codes), "quote": False}})
    if reference and table.name in TABLES and reference.table != "components":
        # A link may name a component that the API never lists.
        tests.append({"relationships": {"to": f"source('cachet', '{reference.table}')", "field": "id"}})
    if tests:
        described["data_tests"] = tests
    return described


_QUOTED = {"order", "global"}
"""Columns whose names are words of SQL."""


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: lists indented below their key, and nothing by reference."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


if __name__ == "__main__":
    sys.stdout.write(sources_yaml())
