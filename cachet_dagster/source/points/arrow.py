"""Points as Arrow: an answer's text → a page of columns, pages → one table.

Nearly all rows of a status page go through here, so a plain page is decoded straight into what its columns
take, which costs half of what dictionaries would. Attributes that nobody foresaw are learned from the first page
that has them, and decoded like the others from then on. A page that is anything but plain is read row by row,
and what does not fit its column goes to one of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, groupby, repeat
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachet_dagster.source.rows import Row, storable, timestamp
from cachet_dagster.source.tables import TABLES
from cachet_dagster.source.types import TYPES, arrow_schema

SCHEMA = arrow_schema(TABLES["metric_points"])
"""Arrow schema of points; it matches the column hints, or dlt would warn once for each batch."""


_NUMBERS, _VALUES, _TIMES = (
    [at.name for at in SCHEMA if at.type == TYPES[kind].arrow] for kind in ("bigint", "double", "timestamp")
)
_YEARS = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Microseconds since 1970 of the years 1 to 9999."""

_RULED = range(0, 2_114_380_800_000_000)
"""Microseconds since 1970 of the years 1970 to 2036: before and after them Arrow knows other rules of time zones."""

_TIME_LENGTH = len("2026-01-31 23:59:59")


@dataclass(frozen=True, slots=True)
class PlainPage:
    """Points of one page, each column full and of its type, packed since Arrow's arrays cost more to make.

    Attributes:
        numbers: Columns of whole numbers, one a row.
        values: Columns of values, one a row.
        times: Columns of times as the server prints them, one text each, without separators.
        extra: Columns that are not declared, by name: as decoded, and as texts once `with_extra_columns` was there.
    """

    numbers: np.ndarray
    values: np.ndarray
    times: tuple[str, ...]
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.numbers.shape[1]

    def column(self, name: str) -> pa.Array:
        """Return a column as a table has it, but with times as text."""
        if name in _NUMBERS:
            return pa.array(self.numbers[_NUMBERS.index(name)])
        if name in _VALUES:
            return pa.array(self.values[_VALUES.index(name)])
        return _split_times(self.times[_TIMES.index(name)])


def plain_page(columns: Mapping[str, Sequence[Any]], extra: Mapping[str, Sequence[Any]]) -> PlainPage | None:
    """Return a page of columns by name, of the right types; None where a number or a time has another size."""
    times = [columns[name] for name in _TIMES]
    texts = tuple(map("".join, times))
    if any({*map(len, column)} - {_TIME_LENGTH} for column in times) or not all(map(str.isascii, texts)):
        return None
    try:
        numbers, values = _packed(columns, _NUMBERS, np.int64), _packed(columns, _VALUES, np.float64)
        return PlainPage(numbers, values, texts, extra)
    except OverflowError:
        return None


def _packed(columns: Mapping[str, Sequence[Any]], names: Sequence[str], kind: type) -> np.ndarray:
    joined = [*chain.from_iterable(columns[name] for name in names)]
    return np.array(joined, kind).reshape(len(names), -1)


_MOST_EXTRA = 64
"""Attributes that are learned at most: a server that makes up names would make the decoder ever slower."""

_SCALARS = {str, int, float, bool, type(None), msgspec.UnsetType}
_NULLS = (None, msgspec.UNSET)
_PROBES = (7, 0, 1.5, True, False, "x", "", "2026-01-01 00:00:00", "name@example.com")


@dataclass(frozen=True)
class PointShape:
    """How an API prints points, to msgspec and as plain JSON.

    Attributes:
        attributes: The struct of a point's attributes, which forbids unknown ones.
        point: That struct, or one that extends it → the type of a point.
        rows: Points → their attributes; None where a point holds more than can be taken from there.
        columns: Attributes of points → the declared columns by name.
        plain_attributes: A point as plain JSON → its attributes.
    """

    attributes: type[msgspec.Struct]
    point: Callable[[Any], Any]
    rows: Callable[[Sequence[Any]], Sequence[Any] | None]
    columns: Callable[[Sequence[Any]], Mapping[str, Sequence[Any]]]
    plain_attributes: Callable[[Any], Any]


class PageDecoder:
    """Makes an answer's text a document whose `data` is a PlainPage; None where the page is odd.

    Args:
        shape: How the API prints points.
    """

    def __init__(self, shape: PointShape):
        self._shape = shape
        self._foreseen = {field.encode_name for field in msgspec.structs.fields(shape.attributes)}
        self._extra: tuple[str, ...] = ()
        self._passing: dict[str, bool] = {}
        self._decoder = self._made()

    def __call__(self, body: bytes) -> Any:
        """Return the document, once more where its attributes had to be learned first."""
        document = self._decoded(body)
        return self._decoded(body) if document is None and self._learn(body) else document

    def with_extra_columns(self, page: PlainPage, flatten: Callable[[str, Any], Row]) -> PlainPage:
        """Return a page with its extra columns as texts, named and made as the API's rows have them.

        Args:
            page: A page as it was decoded.
            flatten: An attribute's name and value → the columns that it becomes.
        """
        columns: dict[str, list[Any]] = {}
        for name, values in page.extra.items():
            if name not in self._passing:
                self._passing[name] = _passes_through(name, flatten)
            if self._passing[name] and {*map(type, values)} <= _SCALARS:
                columns[name] = [None if value in _NULLS else _text(storable(value)) for value in values]
                continue
            for at, value in enumerate(values):
                for column, part in flatten(name, value).items() if value is not msgspec.UNSET else ():
                    free = f"{column}__v_text" if column in SCHEMA.names else column
                    texts = columns.setdefault(free, [None] * len(values))
                    texts[at] = None if part is None else _text(part)
        return replace(page, extra=columns)

    def _made(self) -> Any:
        fields = [
            (f"extra_{number}", Any, msgspec.field(default=msgspec.UNSET, name=name))
            for number, name in enumerate(self._extra)
        ]
        attributes = msgspec.defstruct(
            "Attributes", fields, bases=(self._shape.attributes,), forbid_unknown_fields=True, gc=False
        )
        # What msgspec does not find is not there, so that an answer without `data` is no empty page.
        points = list[self._shape.point(attributes)] | msgspec.UnsetType
        document = msgspec.defstruct(
            "Document", [("data", points, msgspec.UNSET), ("links", Any, None), ("meta", Any, None)]
        )
        return msgspec.json.Decoder(document)

    def _decoded(self, body: bytes) -> Any:
        try:
            document = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        rows = None if document.data is msgspec.UNSET else self._shape.rows(document.data)
        if rows is None:
            return None
        extra = {
            name: [getattr(row, f"extra_{number}") for row in rows] for number, name in enumerate(self._extra)
        }
        page = plain_page(self._shape.columns(rows), extra)
        return None if page is None else {"data": page, "links": document.links, "meta": document.meta}

    def _learn(self, body: bytes) -> bool:
        """Take the attributes that nobody foresaw into the decoder, and return whether there were any."""
        try:
            points = msgspec.json.decode(body)["data"]
            names = {name for point in points for name in self._shape.plain_attributes(point)}
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
            return False
        new = names - self._foreseen - {*self._extra} - {*SCHEMA.names}
        if not new or len(new) + len(self._extra) > _MOST_EXTRA:
            return False
        self._extra += tuple(sorted(new))
        self._decoder = self._made()
        return True


def _passes_through(name: str, flatten: Callable[[str, Any], Row]) -> bool:
    """Return whether a scalar attribute of that name becomes a column of that name, as it is."""
    for probe in _PROBES:
        row = flatten(name, probe)
        if row.keys() != {name} or row[name] != probe or type(row[name]) is not type(probe):
            return False
    return True


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
    kind = type(value)
    if kind is str:
        return value
    # The same as JSON has it, at a fifth of the time.
    if kind is int or (kind is float and math.isfinite(value)):
        return repr(value)
    return str(value) if isinstance(value, datetime) else json.dumps(value, default=str)


def table_of(pages: Sequence[PlainPage | pa.Table], zone: ZoneInfo) -> pa.Table:
    """Return pages as one table, ascending by id and each id once (the first wins), with its times in UTC."""
    whole = [SCHEMA.empty_table()]
    for kind, group in groupby(pages, type):
        alike: list[Any] = list(group)
        whole += [_plain_table(alike, zone)] if kind is PlainPage else alike
    table = pa.concat_tables(whole, promote_options="default")
    # dlt declares the key as never null, and warns for each batch whose schema has it otherwise.
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
                None if at else storable(printed)
                for printed, at in zip(text.to_pylist(), times.to_pylist(), strict=True)
            ]
            columns[f"{name}__v_text"] = pa.array(odd, pa.string())
    return pa.table({**columns, **_extra_arrays(pages)})


def _extra_arrays(pages: Sequence[PlainPage]) -> dict[str, pa.Array]:
    arrays: dict[str, pa.Array] = {}
    for name in dict.fromkeys(name for page in pages for name in page.extra):
        texts = chain.from_iterable(page.extra.get(name) or repeat(None, len(page)) for page in pages)
        array = pa.array(texts, pa.string())
        if array.null_count < len(array):
            arrays[name] = array
    return arrays


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


def without(points: pa.Table, ids: Collection[int]) -> pa.Table:
    """Return points but for those with some ids."""
    if not ids:
        return points
    left = np.isin(points.column("id").to_numpy(), np.array([*ids]))
    return points.filter(pa.array(~left))


def split(points: pa.Table, highest: int) -> tuple[pa.Table, pa.Table]:
    """Return points that ascend by id as those up to an id, and those above it."""
    at = int(np.searchsorted(points.column("id").to_numpy(), highest, side="right"))
    return points.slice(0, at), points.slice(at)


def _utc(texts: pa.Array, zone: ZoneInfo) -> Any:
    """Return the server's local times as UTC, read as `timestamp` reads them; null where it is no time."""
    kind = SCHEMA.field("created_at").type
    try:
        local = pc.cast(texts, pa.timestamp("us"))
        if zone.key != "UTC":
            # What does not exist in spring, where the two readings differ, raises.
            local = pc.assume_timezone(local, zone.key, ambiguous="earliest")  # pyright: ignore[reportAttributeAccessIssue]
        utc = pc.cast(local, kind)
        ends = pc.min_max(pc.cast(utc, pa.int64())).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        trusted = _YEARS if zone.key == "UTC" else _RULED
        if ends["min"] is None or trusted.start <= ends["min"] <= ends["max"] < trusted.stop:
            return utc
    except pa.ArrowInvalid:
        pass
    parsed = [timestamp(text, zone) for text in texts.to_pylist()]
    return pa.array([None if isinstance(value, str) else value for value in parsed], kind)
