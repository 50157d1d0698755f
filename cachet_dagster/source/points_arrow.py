"""Points as Arrow: an answer's text → a page of columns, pages → one table.

Nearly all rows of a status page go through here, so a plain page of Cachet 3 is decoded straight into what
its columns take, which costs half of what dictionaries would. A page that is anything but plain is read row
by row, and what does not fit its column goes to one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .rows import Row, storable, timestamp
from .tables import TABLES

_TYPES = {"bigint": pa.int64(), "double": pa.float64(), "timestamp": pa.timestamp("us", "UTC")}
SCHEMA = pa.schema(
    [
        pa.field(column.name, _TYPES[column.data_type], nullable=column.name != "id")
        for column in TABLES["metric_points"].columns
    ]
)
"""Arrow schema of points; it matches the column hints, or dlt would warn once for each batch."""


_TEXT_SCHEMA = pa.schema(
    [
        pa.field(at.name, pa.string() if pa.types.is_timestamp(at.type) else at.type, nullable=at.nullable)
        for at in SCHEMA
    ]
)
_ALIKE = [
    (kind, [nth for nth, at in enumerate(_TEXT_SCHEMA) if at.type == kind])
    for kind in (pa.int64(), pa.float64(), pa.string())
]
"""Types of the columns as they come, and the places of those that have it."""


class _Time(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    human: Any
    string: str


class _Attributes(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: int
    metric_id: int
    value: float | None
    counter: int | None
    calculated_value: float | None
    created: _Time
    updated: _Time


class _Point(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: Any
    type: Any
    attributes: _Attributes


class _Document(TypedDict, total=False):
    data: list[_Point]
    links: Any


_YEARS = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Microseconds since 1970 of the years 1 to 9999."""

_DECODER = msgspec.json.Decoder(_Document)
_COLUMNS = attrgetter(
    *(f"attributes.{name}" for name in ("id", "metric_id", "value", "counter", "calculated_value")),
    *(f"attributes.{name}.string" for name in ("created", "updated")),
)


def decoded(body: bytes) -> Any:
    """Return a page of Cachet 3's points as a document whose rows are no dictionaries; None where any is odd."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def columns(data: Any) -> Sequence[Sequence[Any]] | None:
    """Return the columns of a page that was decoded, in the order of SCHEMA; None where it could not be."""
    if not all(isinstance(row, _Point) for row in data[:1]):
        return None
    return list(zip(*map(_COLUMNS, data), strict=True)) or [()] * len(SCHEMA)


def as_rows(data: Any) -> Any:
    """Return the rows of a page as they came, whether they were decoded or not."""
    return msgspec.to_builtins(data)


def page_of(data: Any, columns: Callable[[Any], Sequence[Sequence[Any]] | None]) -> pa.RecordBatch | None:
    """Return a page's points with their times still as text; None where any differs from what is known."""
    try:
        found = columns(data)
        if found is None:
            return None
        rows = len(found[0])
        arrays: dict[int, pa.Array] = {}
        for kind, places in _ALIKE:
            # Columns of one type together: making an array costs more than a hundred values in it.
            joined = pa.array([*chain.from_iterable(found[at] for at in places)], kind)
            arrays |= {at: joined.slice(nth * rows, rows) for nth, at in enumerate(places)}
    except (KeyError, TypeError, ValueError, OverflowError, pa.ArrowTypeError):
        return None
    return pa.RecordBatch.from_arrays([arrays[at] for at in range(len(arrays))], schema=_TEXT_SCHEMA)


def odd_page(rows: list[Row]) -> pa.Table:
    """Return points whatever their shape: what is not of the declared type goes to `<column>__v_text`."""
    columns: dict[str, pa.Array] = {}
    for field_ in SCHEMA:
        values = [row.pop(field_.name, None) for row in rows]
        fitting = [value if _fits(value, field_.type) else None for value in values]
        columns[field_.name] = pa.array(fitting, field_.type)
        odd = [
            None if kept is not None or value is None else _text(value)
            for value, kept in zip(values, fitting, strict=True)
        ]
        if any(value is not None for value in odd):
            columns[f"{field_.name}__v_text"] = pa.array(odd, pa.string())
    for name in dict.fromkeys(name for row in rows for name in row):
        # As text whatever it is: dlt fails on an Arrow column that is of one type today and of another tomorrow.
        values = [None if row.get(name) is None else _text(row[name]) for row in rows]
        if any(value is not None for value in values):
            columns[name] = pa.array(values, pa.string())
    return pa.table(columns)


def _fits(value: Any, wanted: pa.DataType) -> bool:
    try:
        return value is not None and pa.scalar(value, wanted).is_valid
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return False


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, datetime)) else json.dumps(value, default=str)


def table_of(pages: Sequence[pa.RecordBatch | pa.Table], zone: ZoneInfo) -> pa.Table:
    """Return pages as one table, ascending by id and each id once, with its times in UTC."""
    plain = [page for page in pages if isinstance(page, pa.RecordBatch)]
    odd = [page for page in pages if isinstance(page, pa.Table)]
    whole = [SCHEMA.empty_table(), *odd]
    if plain:
        table = pa.Table.from_batches(plain)
        for name in ("created_at", "updated_at"):
            at = table.schema.get_field_index(name)
            texts = table.column(name)
            times = _utc(texts, zone)
            table = table.set_column(at, SCHEMA.field(name), times)
            if times.null_count > texts.null_count:
                odd = [
                    None if at else storable(text)
                    for text, at in zip(texts.to_pylist(), times.to_pylist(), strict=True)
                ]
                table = table.append_column(f"{name}__v_text", pa.array(odd, pa.string()))
        # Not before the texts are gone: they are most of it.
        whole.append(table.combine_chunks())
    table = pa.concat_tables(whole, promote_options="default")
    # dlt declares the key as never null, and warns for each batch whose schema says otherwise.
    table = table.cast(pa.schema([at.with_nullable(at.name != "id") for at in table.schema]))
    # Newest pages come first, and are read last of all.
    return by_id(table)


def by_id(points: pa.Table) -> pa.Table:
    """Return points ascending by id, and of those with the same id the first."""
    ids = points.column("id").to_numpy()
    if len(ids) > 1 and not (ids[1:] > ids[:-1]).all():
        _, first = np.unique(ids, return_index=True)
        points = points.take(pa.array(first))
    return points


def _utc(texts: pa.ChunkedArray, zone: ZoneInfo) -> Any:
    """Return the server's local times as UTC, an ambiguous hour read as the first; null where it is no time."""
    kind = SCHEMA.field("created_at").type
    try:
        local = pc.cast(texts, pa.timestamp("us"))
        if zone.key != "UTC":
            local = pc.assume_timezone(  # pyright: ignore[reportAttributeAccessIssue]
                local, zone.key, ambiguous="earliest", nonexistent="earliest"
            )
        utc = pc.cast(local, kind)
        ends = pc.min_max(pc.cast(utc, pa.int64())).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        # Arrow knows years that Python, and what is read back from a database, do not.
        if ends["min"] is None or _YEARS.start <= ends["min"] <= ends["max"] < _YEARS.stop:
            return utc
    except pa.ArrowInvalid:
        pass
    parsed = [timestamp(text, zone) for text in texts.to_pylist()]
    return pa.array([None if isinstance(value, str) else value for value in parsed], kind)
