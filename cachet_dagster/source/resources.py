"""The dlt resources: one a table, with its declared columns, keys and write disposition.

They take a function that returns what is to be loaded, so that the same resources load what plain dlt reads
while it extracts, and what Dagster's op has read before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import dlt
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.extract import DltResource
from dlt.extract.items_transform import LimitItem

from .destinations import current_strategy, suit
from .endpoints import FILLED_BY
from .points.columns import SCHEMA
from .rows import Row, fitted
from .tables import TABLES, Table


def table_resource(
    table: Table, rows: Callable[[], Sequence[Row] | None] = tuple, *, replace: bool = True
) -> DltResource:
    """Return the dlt resource that loads a table's rows, whole or, for observations, as they are added.

    Args:
        table: The table.
        rows: Returns its rows, or None where they cannot be known, so that those in the destination stay;
            called when the resource is extracted.
        replace: Whether the rows are all there are; else they are added, and the table is made if need be.
    """
    adds = not replace or FILLED_BY[table.name].kind.appends
    set_aside: WeakKeyDictionary[DltResource, Any] = WeakKeyDictionary()

    def extract() -> Iterator[Any]:
        found = rows()
        if found is None or set_aside:
            _replace_nothing(dlt.current.resource(), set_aside, while_=found is None)
        if not found:
            yield dlt.mark.materialize_table_schema()
        else:
            yield [fitted(row, table) for row in found]

    return _resource(table, extract, "append" if adds else "replace", table.hints())


def metric_points_resource(batches: Callable[[], Iterator[Any]]) -> DltResource:
    """Return the dlt resource that merges points on their id.

    Args:
        batches: Returns Arrow tables of points; called when the resource is extracted.
    """

    def extract() -> Iterator[Any]:
        strategy, empty = current_strategy(), True
        looked_into = _takes_rows()
        # dlt warns of Arrow that becomes jsonl or SQL.
        as_rows = looked_into or (strategy is not None and strategy.file_format != "parquet")
        for batch in batches():
            empty = False
            yield batch.to_pylist() if as_rows else batch
        if empty and not looked_into:
            # dlt cannot upsert where it gets nothing but its own mark for a table.
            yield SCHEMA.empty_table()

    table = TABLES["metric_points"]
    return _resource(table, extract, {"disposition": "merge", "strategy": "upsert"}, table.hints())


def merges(resource: DltResource) -> bool:
    """Return whether a resource merges, as it does unless a run gives it a write disposition of its own."""
    return _disposes(resource, "merge")


def _disposes(resource: DltResource, how: str) -> bool:
    disposition = resource.write_disposition
    return how in (disposition, isinstance(disposition, dict) and disposition.get("disposition"))


def _resource(
    table: Table, extract: Callable[[], Iterator[Any]], disposition: Any, columns: Any
) -> DltResource:
    def suited() -> Iterator[Any]:
        strategy = current_strategy()
        if strategy is not None:
            suit(dlt.current.resource(), strategy)
        yield from extract()

    suited.__doc__ = table.description
    return dlt.resource(
        suited,
        name=table.name,
        table_name=table.name,
        primary_key=table.key,
        columns=columns,
        write_disposition=disposition,
        max_table_nesting=0,
    )


def _takes_rows() -> bool:
    """Return whether what is extracted goes to a person's code, which takes rows as dictionaries.

    That is so where somebody iterates over the source, and where a resource has steps of theirs, such as a map, a
    filter or a transformer, instead of only being loaded.
    """
    try:
        dlt.current.load_package_state()
    except CurrentLoadPackageStateNotAvailable:
        return True
    pipe: Any = dlt.current.pipe()
    return not all(isinstance(step, LimitItem) for step in pipe.steps[1:])


def _replace_nothing(
    resource: DltResource, set_aside: WeakKeyDictionary[DltResource, Any], *, while_: bool
) -> None:
    """Keep a resource without rows from emptying its table, or give it back its write disposition.

    dlt empties the table of any resource that replaces and yields nothing.
    """
    if resource in set_aside:
        resource.apply_hints(write_disposition=set_aside.pop(resource))
    if while_ and _disposes(resource, "replace"):
        set_aside[resource] = resource.write_disposition
        resource.apply_hints(write_disposition="append")
