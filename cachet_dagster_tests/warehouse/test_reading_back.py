"""The tables as people read them: one question as DataFrame, as Arrow, in SQL and in a notebook, wherever they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
import sqlalchemy

from cachet_dagster.source import TABLES, table_resource
from cachet_dagster.warehouse import load

from .places import Place, make_place

marimo = pytest.importorskip("marimo", reason="the extra `show` brings marimo")

NAMES = ["", "down", "down", "ö"]
QUESTION = "SELECT name, count(*) AS n FROM {schema}incidents GROUP BY name ORDER BY name"
ANSWER = [("", 1), ("down", 2), ("ö", 1)]


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a place with incidents in it, whose credentials dlt finds in its configuration."""
    made = make_place(request, tmp_path)
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    load(made.warehouse(), [table_resource(TABLES["incidents"], lambda: [
        {"id": number, "name": name} for number, name in enumerate(NAMES, 1)
    ])])  # fmt: skip
    return made


@contextlib.contextmanager
def engine(place: Place) -> Iterator[Any]:
    """Yield what marimo takes a question to."""
    if place.destination == "duckdb":
        with duckdb.connect(place.options["database"], read_only=True) as connection:
            yield connection
    else:
        url = place.options["credentials"]
        # SQLAlchemy 2.1 takes a plain `postgresql://` for psycopg 3.
        made = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
        yield made
        made.dispose()


def test_one_question_has_one_answer_as_dataframe_as_arrow_in_sql_and_in_a_notebook(place: Place) -> None:
    # As the guide has it, from any folder.
    dataset = dlt.pipeline("cachet_pipeline").dataset()

    frame = dataset.incidents.df()
    counted = frame.groupby("name").size()
    assert list(counted.items()) == ANSWER
    rows = pa.concat_tables(dataset.incidents.iter_arrow(100_000))
    assert sorted(rows.column("name").to_pylist()) == NAMES
    assert dataset(QUESTION.format(schema="")).fetchall() == ANSWER

    with engine(place) as opened:
        assert notebook(opened, QUESTION.format(schema="cachet_data.")) == ANSWER


def notebook(opened: Any, text: str) -> list[tuple[Any, ...]]:
    """Return what a notebook with one cell of SQL gives."""
    app = marimo.App()

    @app.cell
    def _():
        import marimo as mo

        question, answerer = "", None
        return answerer, mo, question

    @app.cell
    def _(answerer, mo, question):
        found = mo.sql(question, engine=answerer, output=False)
        return (found,)

    _, defined = app.run(defs={"answerer": opened, "question": text, "mo": marimo})
    return [tuple(row) for row in defined["found"].itertuples(index=False)]
