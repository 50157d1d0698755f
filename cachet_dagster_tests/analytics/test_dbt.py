"""What dbt users get is what there is: every table and column as it is declared, and tests that the demo passes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cachet_dagster.analytics import HISTORY, MODELS
from cachet_dagster.analytics.dbt import sources_yaml
from cachet_dagster.source import TABLES
from cachet_dagster_tests.analytics.pages import Models
from cachet_dagster_tests.cli.commands import PROJECT
from cachet_dagster_tests.truth import RECORDED_AT, tables

WRITTEN = PROJECT / "dbt" / "sources.yml"
SCHEMAS = {"cachet": "source", "cachet_analytics": "analytics"}


def described() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load(WRITTEN.read_text(encoding="utf-8"))
    return {
        source["name"]: {table["name"]: table for table in source["tables"]} for source in found["sources"]
    }


def test_the_file_is_the_one_that_the_declarations_give():
    assert WRITTEN.read_text(encoding="utf-8") == sources_yaml(), (
        "run `python -m cachet_dagster.analytics.dbt > dbt/sources.yml`"
    )


@pytest.mark.parametrize(
    ("source", "declared"), [("cachet", {**TABLES, **HISTORY}), ("cachet_analytics", MODELS)]
)
def test_every_declared_table_and_column_is_described(source: str, declared: dict[str, Any]):
    found = described()[source]

    assert found.keys() - {"_dlt_loads"} == declared.keys()
    for name, table in declared.items():
        assert [(column["name"], column["description"]) for column in found[name]["columns"]] == [
            (column.name, column.description) for column in table.columns
        ]


def test_freshness_is_told_by_what_every_load_writes():
    fresh = {
        name: table["config"]["loaded_at_field"]
        for name, table in described()["cachet"].items()
        if "config" in table
    }

    assert fresh == {"endpoint_observations": "observed_at", "_dlt_loads": "inserted_at"}


def test_the_recorded_page_passes_every_test():
    rows = tables("admin")
    for observed in ("system_status", "versions"):
        rows[observed] = [{**row, "observed_at": RECORDED_AT} for row in rows[observed]]
    models = Models(rows, as_of=RECORDED_AT)
    there = {
        name
        for (name,) in models.connection.execute(
            "SELECT table_name FROM information_schema.tables"
        ).fetchall()
    }
    failed, passed = [], 0
    for source, found in described().items():
        for name, table in found.items():
            for column in table.get("columns", []) if name in there else []:
                for test in column.get("data_tests", []):
                    passed += 1
                    if models.rows(violations(test, f"{SCHEMAS[source]}.{name}", column["name"])):
                        failed.append((name, column["name"], test))

    assert not failed
    assert passed > 120


def violations(test: Any, table: str, column: str) -> str:
    """Return SQL that finds what dbt's generic test of that name finds."""
    if test == "not_null":
        return f'SELECT 1 FROM {table} WHERE "{column}" IS NULL LIMIT 1'
    if test == "unique":
        return f'SELECT "{column}" FROM {table} GROUP BY 1 HAVING count(*) > 1 LIMIT 1'
    ((name, arguments),) = test.items()
    if name == "accepted_values":
        values = ", ".join(map(str, arguments["values"]))
        return f'SELECT 1 FROM {table} WHERE "{column}" NOT IN ({values}) LIMIT 1'
    assert name == "relationships"
    parent = arguments["to"].split("'")[3]
    return (
        f'SELECT 1 FROM {table} AS t WHERE t."{column}" IS NOT NULL AND NOT EXISTS'
        f' (SELECT 1 FROM source.{parent} AS p WHERE p.{arguments["field"]} = t."{column}") LIMIT 1'
    )
