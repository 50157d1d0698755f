"""What PostgreSQL does by itself: unique keys, and rows compared with those that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from cachet_dagster.source import metric_points_resource
from cachet_dagster.source.points.columns import SCHEMA
from cachet_dagster.warehouse import load
from cachet_dagster.warehouse.postgres import PostgresSession

from .places import Place, make_place


@pytest.fixture(params=["postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return make_place(request, tmp_path)


def table_of(*rows: tuple[int, float | None]) -> pa.Table:
    given = pa.table(
        {
            "id": [number for number, _ in rows],
            "metric_id": [1] * len(rows),
            "value": pa.array([value for _, value in rows], pa.float64()),
        }
    )
    return pa.concat_tables([SCHEMA.empty_table(), given], promote_options="default").cast(SCHEMA)


def load_points(place: Place, *rows: tuple[int, float | None]) -> None:
    load(place.warehouse(), [metric_points_resource(lambda: iter([table_of(*rows)]))])


def points(place: Place) -> Sequence[tuple[int, float | None]]:
    return place.rows("metric_points", "id, value")


def test_points_of_which_some_are_there_already_are_added_and_changed(place: Place) -> None:
    load_points(place, (1, 1.0), (2, 2.0), (3, 3.0))
    load_points(place, (4, 4.0), (5, 5.0))
    # As another load may have brought them meanwhile: the last ones, behind rows that are new.
    load_points(place, (0, 0.5), (6, 6.0), (2, None), (5, 5.5))

    assert points(place) == [(0, 0.5), (1, 1.0), (2, None), (3, 3.0), (4, 4.0), (5, 5.5), (6, 6.0)]
    with place.warehouse().reading() as session:
        keys = session.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'metric_points_key'")
        assert keys.fetchall() == [(1,)]
        datasets = session.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cachet%'")
        assert datasets.fetchall() == [("cachet_data",)]


def test_a_table_whose_key_was_not_unique_is_merged_as_before(place: Place) -> None:
    load_points(place, (1, 1.0), (2, 2.0))
    with place.warehouse().writing() as session:
        table = session.table("metric_points")
        session.execute("DROP INDEX cachet_data.metric_points_key")
        session.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE id = 1")

    load_points(place, (1, 1.5), (3, 3.0))

    assert points(place) == [(1, 1.5), (1, 1.5), (2, 2.0), (3, 3.0)]


def test_points_are_compared_with_those_stored_whether_their_ids_are_close_together_or_far_apart(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Six ids are then three parts: two that lie close together, one that does not.
    monkeypatch.setattr(PostgresSession, "ids_at_once", 2)
    load_points(place, *((number, 1.0) for number in (1, 2, 3, 4, 500, 1000)))
    batch = table_of((3, 1.0), (1, 2.0), (4, 2.0), (1000, 1.0), (2000, 1.0), (2002, 1.0))

    with place.warehouse().reading() as session:
        found = session.compared(
            "metric_points",
            batch,
            "SELECT batch.id, stored.value AS before FROM batch LEFT JOIN {stored} stored USING (id) ORDER BY 1",
        )

    assert found.to_pylist() == [
        {"id": number, "before": 1.0 if number < 2000 else None} for number in (1, 3, 4, 1000, 2000, 2002)
    ]
