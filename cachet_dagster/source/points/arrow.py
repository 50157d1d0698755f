"""Points as Arrow: an answer's text → a page of columns, pages → one table.

Nearly all rows of a status page go through here, so a plain page is decoded straight into what its columns
take, which costs half of what dictionaries would. A page that is anything but plain is read row by row,
and what does not fit its column goes to one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachet_dagster.source.rows import Row, storable, timestamp
from cachet_dagster.source.tables import TABLES

_TYPES = {"bigint": pa.int64(), "double": pa.float64(), "timestamp": pa.timestamp("us", "UTC")}
SCHEMA = pa.schema(
    [
        pa.field(column.name, _TYPES[column.data_type], nullable=column.name != "id")
        for column in TABLES["metric_points"].columns
    ]
)
"""Arrow schema of points; it matches the column hints, or dlt would warn once for each batch."""


_NUMBERS, _VALUES, _TIMES = (
    [at.name for at in SCHEMA if at.type == kind] for kind in (pa.int64(), pa.float64(), _TYPES["timestamp"])
)
_YEARS = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Microseconds since 1970 of the years 1 to 9999."""

_TIME_LENGTH = len("2026-01-31 23:59:59")


@dataclass(frozen=True, slots=True)
class PlainPage:
    """Points of one page, each column full and of its type, packed since Arrow's arrays cost more to make.

    Attributes:
        numbers: Columns of whole numbers, one a row.
        values: Columns of values, one a row.
        times: Columns of times as the server prints them, one text each, without separators.
    """

    numbers: np.ndarray
    values: np.ndarray
    times: tuple[str, ...]

    def column(self, name: str) -> pa.Array:
        """Return a column as a table has it, but with times as text."""
        if name in _NUMBERS:
            return pa.array(self.numbers[_NUMBERS.index(name)])
        if name in _VALUES:
            return pa.array(self.values[_VALUES.index(name)])
        return _split_times(self.times[_TIMES.index(name)])


def plain_page(columns: Mapping[str, Sequence[Any]]) -> PlainPage | None:
    """Return a page of columns by name, of the right types; None where a number or a time has another size."""
    times = [columns[name] for name in _TIMES]
    texts = tuple(map("".join, times))
    if any({*map(len, column)} - {_TIME_LENGTH} for column in times) or not all(map(str.isascii, texts)):
        return None
    try:
        return PlainPage(_packed(columns, _NUMBERS, np.int64), _packed(columns, _VALUES, np.float64), texts)
    except OverflowError:
        return None


def _packed(columns: Mapping[str, Sequence[Any]], names: Sequence[str], kind: type) -> np.ndarray:
    joined = [*chain.from_iterable(columns[name] for name in names)]
    return np.array(joined, kind).reshape(len(names), -1)


def page_decoder(
    document_type: Any, columns: Callable[[Any], Mapping[str, Sequence[Any]]]
) -> Callable[[bytes], Any]:
    """Return a function that makes an answer's text a document whose `data` is a PlainPage, or None where it is odd.

    Args:
        document_type: What a plain document is to msgspec.
        columns: Takes its `data` apart, into columns by name.
    """
    decoder = msgspec.json.Decoder(document_type)

    def decoded(body: bytes) -> Any:
        try:
            document = decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        page = plain_page(columns(document["data"])) if "data" in document else None
        return page and {**document, "data": page}

    return decoded


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


def table_of(pages: Sequence[PlainPage | pa.Table], zone: ZoneInfo) -> pa.Table:
    """Return pages as one table, ascending by id and each id once (the first wins), with its times in UTC."""
    whole = [SCHEMA.empty_table()]
    for kind, group in groupby(pages, type):
        alike: list[Any] = list(group)
        whole += [_plain_table(alike, zone)] if kind is PlainPage else alike
    table = pa.concat_tables(whole, promote_options="default")
    # dlt declares the key as never null, and warns for each batch whose schema says otherwise.
    table = table.cast(pa.schema([at.with_nullable(at.name != "id") for at in table.schema]))
    return by_id(table)


def _plain_table(pages: Sequence[PlainPage], zone: ZoneInfo) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    # Each has memory of its own, since a full refresh keeps the ids.
    for nth, name in enumerate(_NUMBERS):
        columns[name] = pa.array(np.concatenate([page.numbers[nth] for page in pages]))
    for nth, name in enumerate(_VALUES):
        columns[name] = pa.array(np.concatenate([page.values[nth] for page in pages]))
    for name, texts in zip(_TIMES, zip(*(page.times for page in pages), strict=True), strict=True):
        text = _split_times("".join(texts))
        times = _utc(text, zone)
        columns[name] = times
        if times.null_count:
            odd = [
                None if at else storable(said)
                for said, at in zip(text.to_pylist(), times.to_pylist(), strict=True)
            ]
            columns[f"{name}__v_text"] = pa.array(odd, pa.string())
    return pa.table(columns)


def _split_times(texts: str) -> pa.Array:
    """Return times that follow one another as one text each, without making a text of each."""
    ends = np.arange(0, len(texts) + 1, _TIME_LENGTH, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(texts.encode()))


def by_id(points: pa.Table) -> pa.Table:
    """Return points ascending by id, and of those with the same id the first."""
    ids = points.column("id").to_numpy()
    if len(ids) > 1 and not (ids[1:] > ids[:-1]).all():
        _, first = np.unique(ids, return_index=True)
        points = points.take(pa.array(first))
    return points


def split(points: pa.Table, highest: int) -> tuple[pa.Table, pa.Table]:
    """Return points that ascend by id as those up to an id, and those above it."""
    at = int(np.searchsorted(points.column("id").to_numpy(), highest, side="right"))
    return points.slice(0, at), points.slice(at)


def _utc(texts: pa.Array, zone: ZoneInfo) -> Any:
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
