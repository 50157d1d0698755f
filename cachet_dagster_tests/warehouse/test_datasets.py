"""Several status pages in one database, a dataset and a pipeline each, and the names that these can have."""

from __future__ import annotations

from pathlib import Path

import pytest
from dlt.common.pipeline import get_dlt_pipelines_dir

from cachet_dagster.demo import DEMO_TOKEN, DemoServer, World
from cachet_dagster.source import TABLES
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.source.settings import CachetSettings
from cachet_dagster.warehouse import DuckDBWarehouse
from cachet_dagster.warehouse.points import PointsLoad

from .places import check_table
from .proofs import sync


def counts(database: DuckDBWarehouse) -> dict[str, int]:
    with database.reading() as opened:
        query = opened
        found = {table: query(table, "SELECT count(*) AS n FROM {table}") for table in TABLES}
    return {table: rows[0]["n"] for table, rows in found.items() if rows}


def test_two_pages_are_loaded_into_one_file_and_keep_out_of_each_others_dataset(tmp_path: Path) -> None:
    first, second = (
        DuckDBWarehouse(tmp_path / "cachet.duckdb", dataset=f"{page}_data", pipeline_name=f"{page}_pipeline")
        for page in ("first", "second")
    )
    small = World.generate(incidents=3, components=2, metrics=2, points=5)
    large = World.generate(incidents=7, components=4, metrics=3, points=9)

    with DemoServer(small, me=True) as one, DemoServer(large, me=True) as other:
        sync(CachetSettings(base_url=one.url, api_key=DEMO_TOKEN), first)
        before = counts(first)
        settings = CachetSettings(base_url=other.url, api_key=DEMO_TOKEN)
        sync(settings, second)
        pruned = PointsLoad(settings, second, lambda _: None).prune([])

    assert (before["incidents"], before["components"], before["metric_points"]) == (3, 2, 10)
    assert counts(first) == before
    assert (counts(second)["incidents"], counts(second)["components"]) == (7, 4)
    assert (pruned, counts(second)["metric_points"]) == (27, 0)
    with first.reading() as opened:
        broken = [
            f"{table.name}: {name}"
            for table in TABLES.values()
            for name, found in check_table(opened, table).items()
            if not found.passed
        ]
        schemas = opened.execute("SELECT DISTINCT schema_name FROM duckdb_tables() ORDER BY ALL").fetchall()
    assert not broken
    assert schemas == [("first_data",), ("second_data",)]
    assert {"first_pipeline", "second_pipeline"} <= {
        path.name for path in Path(get_dlt_pipelines_dir()).iterdir()
    }


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Cachet",
        "cachet-data",
        "cachet data",
        'x"; DROP SCHEMA main; --',
        "1st",
        "a__b",
        "ends_",
        "é",
        "x" * 41,
        "page_staging",
        "public",
        "a.b",
        "../up",
    ],
)
def test_a_name_that_dlt_would_write_differently_is_refused_with_what_to_do(
    tmp_path: Path, name: str
) -> None:
    for what in ("dataset", "pipeline_name"):
        with pytest.raises(SettingsError, match=r"name .* cannot be used.*lower-case letters"):
            DuckDBWarehouse(tmp_path / "cachet.duckdb", **{what: name})


def test_a_dataset_named_as_its_file_is_refused_since_duckdb_takes_one_for_the_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="another name"):
        DuckDBWarehouse(tmp_path / "status.duckdb", dataset="status")
