"""Up to the connection: every destination of the table, those included that do not run here.

What would be sent is checked without sending it: the strategy is one that dlt's destination has, configuration
resolves or says what is missing, and our SQL parses in the destination's dialect.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
import sqlglot
from dlt.common.destination import Destination
from dlt.common.libs.deltalake import get_delta_tables
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.pipeline.exceptions import PipelineStepFailed

import cachet_dagster
from cachet_dagster.source import TABLES, CachetError, metric_points_resource, table_resource
from cachet_dagster.source.destinations import DESTINATIONS, strategy_for
from cachet_dagster.source.dialect import in_dialect
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.source.points.columns import SCHEMA
from cachet_dagster.source.rows import Row
from cachet_dagster.source.stored import read_cursors, read_stored
from cachet_dagster.warehouse import load, make_warehouse
from cachet_dagster.warehouse.duckdb_session import DuckDBSession

from .places import TYPES, Place, check_table
from .postgres import PASSWORD, PostgresServer

SERVERS = [
    name for name, strategy in DESTINATIONS.items() if name not in ("duckdb", "filesystem", "motherduck")
]


@pytest.mark.parametrize("name", DESTINATIONS)
def test_the_strategy_is_one_that_the_destination_has(name: str) -> None:
    strategy = DESTINATIONS[name]
    can = Destination.from_reference(name).capabilities()  # pyright: ignore[reportOptionalMemberAccess]

    assert strategy.merge in (can.supported_merge_strategies or ())
    assert strategy.replace in (can.supported_replace_strategies or ())
    assert strategy.file_format in (can.supported_loader_file_formats or ())
    assert strategy.table_format in ("", *(can.supported_table_formats or ()))


class Recorded(DuckDBSession):
    """A session that keeps what it is asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str):
        super().__init__(connection, dataset)
        self.asked: list[str] = []

    def __call__(self, table: str, sql: str) -> list[Row] | None:
        self.asked.append(sql.replace("{table}", self.table(table)))
        return super().__call__(table, sql)

    def execute(self, sql: str, values: Any = ()) -> duckdb.DuckDBPyConnection:
        self.asked.append(sql)
        return super().execute(sql, values)


def every_question() -> list[str]:
    """Return all SQL that the package asks: of tables in which every promise is broken, so that all is asked."""
    broken = {
        "bigint": 987,
        "text": "x",
        "bool": True,
        "double": 1.5,
        "timestamp": "2999-01-01",
        "json": "{}",
    }
    with duckdb.connect(":memory:") as connection:
        connection.execute("CREATE SCHEMA cachet_data")
        for table in TABLES.values():
            columns = ", ".join(f'"{column.name}" {TYPES[column.data_type]}' for column in table.columns)
            connection.execute(f'CREATE TABLE cachet_data."{table.name}" ({columns}, beyond VARCHAR)')
            row = [*(broken[column.data_type] for column in table.columns), "x"]
            for _ in range(2):
                connection.execute(
                    f'INSERT INTO cachet_data."{table.name}" VALUES ({", ".join("?" * len(row))})', row
                )
        session = Recorded(connection, "cachet_data")
        read_stored(session, whole=TABLES)
        read_cursors(session)
        for table in TABLES.values():
            session.asked += [found.sql for found in check_table(session, table).values()]
    return list(dict.fromkeys(filter(None, session.asked)))


QUESTIONS = every_question()


@pytest.mark.parametrize("name", SERVERS)
def test_our_sql_parses_in_the_destinations_dialect_and_names_tables_as_dlt_does(name: str) -> None:
    can = Destination.from_reference(name).capabilities()  # pyright: ignore[reportOptionalMemberAccess]
    client: Any = SimpleNamespace(
        capabilities=can,
        make_qualified_table_name_path=lambda table, quote: [
            "a_catalog",
            "a_dataset",
            can.casefold_identifier(table),
        ],
    )

    assert len(QUESTIONS) > 60
    for question in QUESTIONS:
        text = in_dialect(question, client, "cachet_data")
        tree = sqlglot.parse_one(text, dialect=can.sqlglot_dialect)
        tables = [table for table in tree.find_all(sqlglot.exp.Table) if table.db]
        assert tables, text
        assert {(table.catalog, table.db) for table in tables} == {("a_catalog", "a_dataset")}
        assert "cachet_data" not in text


def test_a_destination_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"dlt has no destination 'oracel'.*duckdb, postgres, filesystem"):
        make_warehouse("oracel")


@pytest.mark.parametrize("name", ["dummy", "weaviate"])
def test_a_destination_without_tables_to_replace_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"cannot both merge rows and replace tables|dlt has no"):
        make_warehouse(name)


def test_a_destination_beyond_the_table_goes_by_what_dlt_says_of_it() -> None:
    assert strategy_for("mssql").merge == "upsert"
    assert strategy_for("synapse").merge == "delete-insert"


def importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


GIVEN = {
    "postgres": {"DATABASE": "db", "USERNAME": "user", "PASSWORD": "hush", "HOST": "h.example"},
    "redshift": {"DATABASE": "db", "USERNAME": "user", "PASSWORD": "hush", "HOST": "h.example"},
    "snowflake": {"DATABASE": "db", "HOST": "account", "USERNAME": "user", "PASSWORD": "hush"},
    "bigquery": {"PROJECT_ID": "db", "PRIVATE_KEY": "hush", "CLIENT_EMAIL": "user@h.example"},
    "databricks": {
        "CATALOG": "db",
        "SERVER_HOSTNAME": "h.example",
        "HTTP_PATH": "/p",
        "ACCESS_TOKEN": "hush",
    },
    "motherduck": {"DATABASE": "db", "PASSWORD": "hush"},
}
"""Credentials of each destination that has any, by dlt's keys."""
REQUIRED = {
    "snowflake": ["DATABASE", "HOST"],
    "databricks": ["CATALOG"],
    "motherduck": ["PASSWORD"],
}
"""Those without which dlt does not begin, where it is not all of them."""


@pytest.mark.parametrize("name", GIVEN)
def test_missing_credentials_are_one_sentence_that_names_the_keys(name: str) -> None:
    with pytest.raises(SettingsError) as found:
        make_warehouse(name).probe()

    said = str(found.value)
    for key in REQUIRED.get(name, GIVEN[name]):
        assert f"DESTINATION__{name.upper()}__CREDENTIALS__{key}" in said
    assert f"[destination.{name}.credentials]" in said
    assert "\n" not in said


def test_files_without_an_address_are_one_sentence_that_names_the_key() -> None:
    with pytest.raises(SettingsError, match=r"no bucket_url.* Set DESTINATION__FILESYSTEM__BUCKET_URL, or"):
        make_warehouse("filesystem").probe()


@pytest.mark.parametrize("name", GIVEN)
def test_configuration_resolves_and_names_the_library_where_one_is_missing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in GIVEN[name].items():
        monkeypatch.setenv(f"DESTINATION__{name.upper()}__CREDENTIALS__{key}", value)
    strategy = DESTINATIONS[name]
    warehouse: Any = make_warehouse(name, dataset="page_data")
    extras = (Path(cachet_dagster.__file__).parents[1] / "pyproject.toml").read_text()

    config = warehouse.configuration()

    assert (config.dataset_name, config.destination_type) == ("page_data", name)
    assert config.replace_strategy == strategy.replace
    assert "hush" not in str(config)
    assert not strategy.extra or f"\n{strategy.extra} = [" in extras
    if not all(map(importable, strategy.modules)):
        with pytest.raises(
            SettingsError, match=rf"not installed .*Install cachet_dagster\[{strategy.extra}\]"
        ):
            warehouse.probe()


@pytest.mark.parametrize("name", [*GIVEN, "clickhouse", "synapse"])
def test_plain_dlt_goes_by_the_same_table(name: str, tmp_path: Path) -> None:
    pipeline = dlt.pipeline("plain", pipelines_dir=str(tmp_path), destination=name, dataset_name="page_data")
    batch = pa.table({field.name: pa.array([None], field.type) for field in SCHEMA}).slice(0, 0)

    pipeline.extract([metric_points_resource(lambda: iter([batch])), table_resource(TABLES["incidents"])])

    tables: Any = pipeline.default_schema.tables
    strategy = strategy_for(name)
    assert tables["metric_points"]["x-merge-strategy"] == strategy.merge
    assert tables["incidents"]["write_disposition"] == "replace"
    assert "table_format" not in tables["incidents"]
    can = Destination.from_reference(name).capabilities()  # pyright: ignore[reportOptionalMemberAccess]
    assert strategy.merge in (can.supported_merge_strategies or ())


def test_plain_dlt_makes_delta_tables_of_files_and_refuses_plain_ones_which_would_double_rows(
    tmp_path: Path,
) -> None:
    source = [table_resource(TABLES["metrics"], lambda: [{"id": 1, "name": "one"}])]

    def pipeline(name: str, destination: Any) -> dlt.Pipeline:
        return dlt.pipeline(
            name, pipelines_dir=str(tmp_path), destination=destination, dataset_name="page_data"
        )

    files = pipeline("files", dlt.destinations.filesystem(str(tmp_path / "lake")))
    for _ in range(2):
        files.run(source, loader_file_format="parquet")
    assert [
        row["name"] for row in get_delta_tables(files, "metrics")["metrics"].to_pyarrow_table().to_pylist()
    ] == ["one"]

    # The same resources somewhere else, where there is no such thing as a table format.
    elsewhere = pipeline("elsewhere", dlt.destinations.duckdb(str(tmp_path / "elsewhere.duckdb")))
    elsewhere.run(source)
    assert elsewhere.dataset().metrics.df()["name"].tolist() == ["one"]

    with pytest.raises(PipelineStepFailed, match=r"metrics would be doubled by each load: plain files"):
        files.run(source, table_format="native")


def test_credentials_come_from_dlts_configuration(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", postgres.create("configured"))

    make_warehouse("postgres").probe()


def test_a_server_that_does_not_let_one_in_is_one_sentence_without_the_password(
    postgres: PostgresServer,
) -> None:
    wrong = (
        postgres.url("absent"),
        postgres.url().replace("postgres:", "nobody:", 1),
        "postgresql://u:hush@127.0.0.1:1/x",
    )
    for credentials in wrong:
        with pytest.raises(
            SettingsError, match=r"cannot be opened .*\[destination\.postgres\.credentials\]"
        ) as found:
            make_warehouse("postgres", credentials=credentials).probe()
        said = str(found.value)
        assert PASSWORD not in said
        assert "hush" not in said
        assert "\n" not in said


def test_a_user_who_may_not_write_is_refused_before_a_request_is_spent(postgres: PostgresServer) -> None:
    url = postgres.create("read_only")
    with postgres.connected() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER reader PASSWORD 'reader'")

    url = url.replace(url[url.index("//") + 2 : url.index("@")], "reader:reader")
    with pytest.raises(SettingsError, match="may not make schemas in the database"):
        make_warehouse("postgres", credentials=url).probe()


def test_the_password_is_in_nothing_that_a_load_leaves_and_dlts_dataset_reads_the_tables(
    postgres: PostgresServer,
) -> None:
    place = Place("postgres", {"credentials": postgres.create("left"), "pipeline_name": "left_page"})
    load(place.warehouse(), [table_resource(TABLES["metrics"], lambda: [{"id": 1, "name": ""}])])

    published = [path for path in (Path(get_dlt_pipelines_dir()) / "left_page").rglob("*") if path.is_file()]
    assert published
    for path in published:
        assert PASSWORD.encode() not in path.read_bytes()
    pipeline = dlt.pipeline(
        "left_page", destination=dlt.destinations.postgres(postgres.url("left")), dataset_name="cachet_data"
    )
    dataset = pipeline.dataset()
    assert dataset.metrics.df()[["id", "name"]].values.tolist() == [[1, ""]]
    assert dataset.metrics.arrow().column("name").to_pylist() == [""]
    assert dataset("SELECT count(*) FROM metrics").fetchall() == [(1,)]


def test_keys_that_are_there_twice_are_said_and_the_load_stands(postgres: PostgresServer) -> None:
    place = Place("postgres", {"credentials": postgres.create("doubled")})
    twice = [{"id": 1, "name": "one"}, {"id": 1, "name": "another"}]

    load(place.warehouse(), [table_resource(TABLES["metrics"], lambda: twice)])

    assert place.check_results()["metrics: key_unique_and_not_null"][0] is False
    with pytest.raises(CachetError):
        make_warehouse("postgres", credentials=postgres.url("doubled"), dataset="No Name")
