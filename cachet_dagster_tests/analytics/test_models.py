"""The models over the recorded page: what they declare is what they hold, and the page itself agrees with them."""

from __future__ import annotations

import re

import pytest

from cachet_dagster.analytics import MODELS
from cachet_dagster.analytics.model_sql import model_inputs, model_sql
from cachet_dagster.analytics.tables import BUILT, SEEDS, STEPS, UPTIME_PUBLISHED, VIEWS
from cachet_dagster_tests.truth import RECORDED_AT, tables

from .pages import Models


@pytest.fixture(scope="module")
def recorded() -> Models:
    return Models(tables("admin"), as_of=RECORDED_AT)


def test_the_status_worked_out_for_now_is_the_one_that_the_page_shows_for_every_component(recorded: Models):
    compared = recorded.rows(
        "SELECT c.id, c.status, c.latest_status, i.shown_status FROM source.components AS c"
        " LEFT JOIN analytics.component_status_intervals AS i"
        " ON i.component_id = c.id AND i.ends_at = (SELECT as_of FROM analytics.build_settings)"
    )

    assert len(compared) == 97
    assert [row for row in compared if row["shown_status"] != row["latest_status"]] == []
    # Its own status alone would be wrong for most.
    assert sum(row["status"] != row["latest_status"] for row in compared) == 60


@pytest.mark.parametrize("name", MODELS)
def test_a_model_holds_its_declared_columns_and_no_key_twice(recorded: Models, name: str):
    table = MODELS[name]
    key = ", ".join(f'"{column}"' for column in table.key)

    found = recorded.rows(
        f"SELECT column_name FROM information_schema.columns WHERE table_schema = 'cachet_analytics'"
        f" AND table_name = '{name}' ORDER BY ordinal_position"
    )
    twice = recorded.rows(f"SELECT {key} FROM analytics.{name} GROUP BY {key} HAVING count(*) > 1")

    assert [row["column_name"] for row in found] == [column.name for column in table.columns]
    assert twice == []


def test_a_model_is_made_only_from_what_is_built_before_it():
    built = {*SEEDS, "uptime_policies", UPTIME_PUBLISHED.name}
    for name in BUILT:
        if name != "uptime_policies":
            assert set(re.findall(r"analytics\.(\w+)", model_sql(name))) <= built, name
            built.add(name)
    assert set(VIEWS) <= BUILT.keys()


def test_a_step_between_models_stands_for_what_it_is_made_from():
    for name in MODELS:
        if name != "uptime_policies":
            assert not STEPS.keys() & set(model_inputs(name)["analytics"]), name
    assert "components" in model_inputs("scope_status_intervals")["source"]


def test_a_page_of_which_nothing_is_loaded_yet_has_models_without_rows():
    models = Models({})

    assert {name: rows for name, rows in models.built.rows.items() if rows} == {"uptime_policies": 6}
