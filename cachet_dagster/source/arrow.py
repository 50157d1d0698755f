"""Rows of a table as Arrow: 133,000 take dlt 1.7 s so, and 5.3 s as dictionaries, which it looks into one by one.

dlt gives every row from a dictionary its own two columns (`_dlt_load_id`, `_dlt_id`) and an Arrow table none, so
they are made here in dlt's way: a table looks the same however its rows came, and one that an earlier version
filled from dictionaries goes on as it is. That was tried on DuckDB and PostgreSQL in each of dlt's file formats;
what fails there, a change from another format to parquet, fails for dictionaries too (dlt makes jsonb of json in
one, json in the other). Only rows that hold what is declared become Arrow; whatever else there is in a row (an
attribute that nobody foresaw, a value of another type) is for dlt to find a column for.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import dlt
import orjson
import pyarrow as pa
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ContextDefaultCannotBeCreated
from dlt.common.normalizers.utils import generate_dlt_ids
from dlt.common.schema.utils import dlt_id_column, dlt_load_id_column
from dlt.common.storages.load_package import LoadPackageStateInjectableContext
from dlt.extract.items_transform import LimitItem

from .rows import Row, fitted
from .tables import Table
from .types import TYPES, arrow_schema

_OWN = {"_dlt_load_id": dlt_load_id_column(), "_dlt_id": dlt_id_column()}

# dlt has no Arrow type that it reads as json, and warns of text where json is declared, which is how it
# writes json itself.
_JSON_WARNING = "when merging arrow schema with dlt schema"


def hints(table: Table) -> dict[str, Any]:
    """Return a table's column hints, dlt's own columns included."""
    return {**table.hints(), **_OWN}


def items(rows: Sequence[Row], table: Table) -> Iterator[Any]:
    """Yield rows for dlt, which is extracting them: as `items_of`, or as dictionaries to whoever looks into them."""
    load_id = _load_id()
    if load_id is None or takes_rows():
        yield [fitted(row, table) for row in rows]
        return
    with _without_json_warning():
        yield from items_of(rows, table, load_id)


def takes_rows() -> bool:
    """Return whether what is extracted goes to a person's code, which takes rows as dictionaries.

    That is so where somebody iterates over the source, and where a resource has steps of theirs, such as a map, a
    filter or a transformer, instead of only being loaded.
    """
    pipe: Any = dlt.current.pipe()
    return _load_id() is None or not all(isinstance(step, LimitItem) for step in pipe.steps[1:])


def items_of(rows: Sequence[Row], table: Table, load_id: str) -> Iterator[Any]:
    """Yield an Arrow table of the rows that hold what is declared, and a list of the others, as far as there are any.

    Args:
        rows: The rows.
        table: Their table.
        load_id: The load package that they go into.
    """
    regular, others = _sorted_out(rows, table)
    if regular:
        yield _arrow(regular, table, load_id)
    if others:
        yield [fitted(row, table) for row in others]


def _sorted_out(rows: Sequence[Row], table: Table) -> tuple[Sequence[Row], Sequence[Row]]:
    """Return the rows that hold what is declared, and the others."""
    kinds = {
        column.name: {*TYPES[column.data_type].python, *(() if column.name in table.key else (type(None),))}
        for column in table.columns
    }
    # Rows of a table are much alike: each of the few kinds of them is looked at once.
    odd = {shape for shape in set(map(_shape, rows)) if not _fits(shape, kinds)}
    if not odd:
        return rows, []
    regular: list[Row] = []
    others: list[Row] = []
    for row in rows:
        (others if _shape(row) in odd else regular).append(row)
    return regular, others


def _shape(row: Row) -> tuple[Any, ...]:
    """Return a row's names, and then the types of its values."""
    return (*row, *map(type, row.values()))


def _fits(shape: tuple[Any, ...], kinds: Mapping[str, set[type]]) -> bool:
    half = len(shape) // 2
    present = dict(zip(shape[:half], shape[half:], strict=True))
    return present.keys() <= kinds.keys() and all(
        present.get(name, type(None)) in kind for name, kind in kinds.items()
    )


def _arrow(rows: Sequence[Row], table: Table, load_id: str) -> pa.Table:
    schema = arrow_schema(table)
    arrays: list[pa.Array] = []
    for column, field in zip(table.columns, schema, strict=True):
        values = _values(rows, column.name)
        if column.data_type == "json":
            values = [None if value is None else orjson.dumps(value).decode() for value in values]
        arrays.append(pa.array(values, field.type))
    own = [pa.repeat(load_id, len(rows)), pa.array(generate_dlt_ids(len(rows)))]
    fields = [*schema, *(pa.field(name, pa.string(), nullable=False) for name in _OWN)]
    return pa.table([*arrays, *own], schema=pa.schema(fields))


def _values(rows: Sequence[Row], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        # What some rows lack is null.
        return [row.get(name) for row in rows]


def _load_id() -> str | None:
    """Return the id of the load package that is being extracted; None outside of a pipeline."""
    try:
        return Container()[LoadPackageStateInjectableContext].load_id
    except ContextDefaultCannotBeCreated:
        return None


@contextlib.contextmanager
def _without_json_warning() -> Iterator[None]:
    """Keep dlt from warning of json columns that come as text."""

    def other(record: logging.LogRecord) -> bool:
        return _JSON_WARNING not in record.getMessage()

    log = logging.getLogger("dlt")
    log.addFilter(other)
    try:
        yield
    finally:
        log.removeFilter(other)
