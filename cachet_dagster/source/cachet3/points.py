"""Points of Cachet 3's metrics, decoded straight from an answer's text into columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from cachet_dagster.source.points.arrow import PointShape
from cachet_dagster.source.rows import Row, RowContext

from .rows import flatten


class _Time(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    human: Any
    string: str


class _Attributes(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: int
    metric_id: int
    value: float
    counter: int
    calculated_value: float
    created: _Time
    updated: _Time


def _point(attributes: Any) -> Any:
    """Return the type of a point. What else a resource of JSON:API may have (links, meta) is of no row."""
    members = [("id", Any), ("type", Any), ("attributes", attributes), ("relationships", Any, None)]
    return msgspec.defstruct("Point", members, gc=False)


def _rows(points: Sequence[Any]) -> list[_Attributes] | None:
    """Return the attributes of points; None where one is related to something, which is columns of its own."""
    return None if any(point.relationships for point in points) else [point.attributes for point in points]


def _columns(rows: Sequence[_Attributes]) -> dict[str, Sequence[Any]]:
    return {
        "id": [row.id for row in rows],
        "metric_id": [row.metric_id for row in rows],
        "value": [row.value for row in rows],
        "counter": [row.counter for row in rows],
        "calculated_value": [row.calculated_value for row in rows],
        "created_at": [row.created.string for row in rows],
        "updated_at": [row.updated.string for row in rows],
    }


def flatten_attribute(name: str, value: Any, context: RowContext) -> Row:
    """Return the columns that an attribute becomes."""
    row = flatten({"id": 0, "attributes": {name: value}}, context)
    del row["id"]
    return row


SHAPE = PointShape(_Attributes, _point, _rows, _columns, lambda point: point["attributes"])
"""Points of Cachet 3."""
