"""Points as Arrow: a page of columns, and pages as one table.

Nearly all rows of a status page are points, so their pages are columns from the start. A plain page keeps its times
as the server prints them, since many are converted at a fifth of the cost of a few. A page that is anything but plain
is read row by row, and what does not fit its column goes to one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachet_dagster.source.rows import Row, storable, timestamp
from cachet_dagster.source.tables import TABLES
from cachet_dagster.source.types import TYPES, arrow_schema

SCHEMA = arrow_schema(TABLES["metric_points"])
"""Arrow schema of points; it matches the column hints, or dlt would warn once for each batch."""

_TIME = TYPES["timestamp"].arrow
_PRINTED = pa.schema([at.with_type(pa.string()) if at.type == _TIME else at for at in SCHEMA])

NOT_PLAIN = (AttributeError, LookupError, TypeError, ValueError, OverflowError)
"""What reading points by columns raises where a page is not plain."""

_YEARS = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Microseconds since 1970 of the years 1 to 9999."""

_RULED = range(0, 2_114_380_800_000_000)
"""Microseconds since 1970 of the years 1970 to 2036: before and after them Arrow knows other rules of time zones."""


def plain_page(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return a page of columns by name, its times as they are printed.

    Raises one of NOT_PLAIN where a value is not of its column's type.
    """
    return pa.table([pa.array(columns[at.name], at.type) for at in _PRINTED], schema=_PRINTED)


def irregular_page(rows: Sequence[Row]) -> pa.Table:
    """Return points whatever their shape: what is not of the declared type goes to `<column>__v_text`."""
    columns: dict[str, pa.Array] = {}
    for field in SCHEMA:
        values = [row.get(field.name) for row in rows]
        try:
            # A whole column at once takes a tenth of the time, and most fit even here.
            columns[field.name] = pa.array(values, field.type)
            continue
        except NOT_PLAIN:
            pass
        fitting = [value if _fits(value, field.type) else None for value in values]
        columns[field.name] = pa.array(fitting, field.type)
        odd = [
            None if kept is not None or value is None else _text(value)
            for value, kept in zip(values, fitting, strict=True)
        ]
        if any(value is not None for value in odd):
            columns[f"{field.name}__v_text"] = pa.array(odd, pa.string())
    for name in dict.fromkeys(name for row in rows for name in row if name not in SCHEMA.names):
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
    if isinstance(value, (str, datetime)):
        return str(value)
    return json.dumps(value, default=str)


def points_table(pages: Sequence[pa.Table], zone: ZoneInfo) -> pa.Table:
    """Return pages as one table, ascending by id and each id once (the first wins), with its times in UTC."""
    tables = [SCHEMA.empty_table()]
    for plain, group in groupby(pages, lambda page: page.schema == _PRINTED):
        alike = pa.concat_tables(group, promote_options="default")
        tables.append(_in_utc(alike, zone) if plain else alike)
    table = pa.concat_tables(tables, promote_options="default")
    # dlt declares the key as never null, and warns for each batch whose schema has it otherwise.
    table = table.cast(pa.schema([at.with_nullable(at.name != "id") for at in table.schema]))
    return by_id(table)


def _in_utc(printed: pa.Table, zone: ZoneInfo) -> pa.Table:
    """Return a table whose times are printed as one whose times are in UTC."""
    columns = dict(zip(printed.column_names, printed.columns, strict=True))
    for at in SCHEMA:
        if at.type != _TIME:
            continue
        texts = columns[at.name]
        columns[at.name] = times = _utc(texts, zone)
        if times.null_count > texts.null_count:
            odd = pc.if_else(pc.is_null(times), texts, None)  # pyright: ignore[reportAttributeAccessIssue]
            columns[f"{at.name}__v_text"] = pa.array(map(storable, odd.to_pylist()), pa.string())
    return pa.table(columns)


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


def _utc(texts: pa.ChunkedArray, zone: ZoneInfo) -> Any:
    """Return the server's local times as UTC, read as `timestamp` reads them; null where it is no time."""
    try:
        local = pc.cast(texts, pa.timestamp("us"))
        if zone.key != "UTC":
            # What does not exist in spring, where the two readings differ, raises.
            local = pc.assume_timezone(local, zone.key, ambiguous="earliest")  # pyright: ignore[reportAttributeAccessIssue]
        utc = pc.cast(local, _TIME)
        ends = pc.min_max(pc.cast(utc, pa.int64())).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        trusted = _YEARS if zone.key == "UTC" else _RULED
        if ends["min"] is None or trusted.start <= ends["min"] <= ends["max"] < trusted.stop:
            return utc
    except pa.ArrowInvalid:
        pass
    parsed = [timestamp(text, zone) for text in texts.to_pylist()]
    return pa.array([None if isinstance(value, str) else value for value in parsed], _TIME)
