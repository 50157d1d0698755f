"""Points of Cachet 3's metrics, decoded straight from an answer's text into columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec

from cachet_dagster.source.points.arrow import page_decoder


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


class _Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: Any
    type: Any
    attributes: _Attributes


class _Document(TypedDict, total=False):
    data: list[_Point]
    links: Any


def _columns(points: Sequence[_Point]) -> dict[str, Sequence[Any]]:
    rows = [point.attributes for point in points]
    return {
        "id": [row.id for row in rows],
        "metric_id": [row.metric_id for row in rows],
        "value": [row.value for row in rows],
        "counter": [row.counter for row in rows],
        "calculated_value": [row.calculated_value for row in rows],
        "created_at": [row.created.string for row in rows],
        "updated_at": [row.updated.string for row in rows],
    }


decoded = page_decoder(_Document, _columns)
"""Return a document of Cachet 3's points whose `data` is a PlainPage; None where any of it is odd."""
