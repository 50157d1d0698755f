"""A load asserts that its table holds what was read; another writer is found out."""

from __future__ import annotations

import duckdb
import pytest

from cachet_dagster.source import TABLES
from cachet_dagster.warehouse.complete import Incomplete, assert_count, assert_keys
from cachet_dagster.warehouse.duckdb_session import DuckDBSession

TEMPLATES = TABLES["incident_templates"]


@pytest.fixture
def session() -> DuckDBSession:
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA cachet_data")
    connection.execute("CREATE TABLE cachet_data.incident_templates AS SELECT range AS id FROM range(1, 26)")
    return DuckDBSession(connection, "cachet_data")


def test_rows_that_differ_from_what_was_read_are_named(session):
    session.execute("DELETE FROM cachet_data.incident_templates WHERE id = 7")
    session.execute("UPDATE cachet_data.incident_templates SET id = 99 WHERE id = 8")

    with pytest.raises(Incomplete) as caught:
        assert_keys(session, TEMPLATES, [(number,) for number in range(1, 26)])

    assert str(caught.value) == (
        "incident_templates: incident_templates holds 24 rows where 25 were read: id 7 was read and is not stored; "
        "id 8 was read and is not stored; id 99 is stored and was not read. "
        "Run it again; if it stays so, something else writes to the database."
    )


def test_a_row_that_is_stored_twice_is_found_out(session):
    session.execute("INSERT INTO cachet_data.incident_templates VALUES (7)")

    with pytest.raises(Incomplete, match="holds 26 rows where 25 were read"):
        assert_keys(session, TEMPLATES, [(number,) for number in range(1, 26)])


def test_what_was_read_and_is_stored_passes(session):
    assert_keys(session, TEMPLATES, [(number,) for number in range(25, 0, -1)])
    assert_count(session, TEMPLATES, 25)


def test_another_number_of_rows_than_there_were_and_were_added_is_found_out(session):
    with pytest.raises(Incomplete, match="holds 25 rows; with what was added it should be 26"):
        assert_count(session, TEMPLATES, 26)
