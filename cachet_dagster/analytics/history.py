"""History, which Cachet does not keep: the rows that a load adds where it sees a change.

A pure function of three things, and nothing is remembered beside the tables: the newest history row of each key,
what earlier loads read as whom, and the rows read now. What was not read completely tells nothing; what a caller
with fewer rights than an earlier one does not see is not taken for deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from dlt.extract import DltResource

from cachet_dagster.source import CachetReader, EndpointRead, table_resource
from cachet_dagster.source.rows import Query, Row
from cachet_dagster.source.tables import Column
from cachet_dagster.source.types import TYPES

from .tables import HISTORY

Key = tuple[Any, ...]


@dataclass(frozen=True)
class HistoryTable:
    """Of which table a history table remembers what.

    Attributes:
        history: The history table.
        table: The table whose rows it remembers.
        endpoint: The endpoint that fills that table.
        key: Column of the history table → column of the table.
        watched: Columns whose change adds a row. Its other columns are carried along.
        visibility: The watched column that says who sees the row: the lower, the fewer.
    """

    history: str
    table: str
    endpoint: str
    key: Mapping[str, str]
    watched: tuple[str, ...]
    visibility: str | None = None

    @property
    def columns(self) -> list[Column]:
        """The columns that come from the table, watched or carried along."""
        bounds = {*self.key, "observed_at", "previous_observed_at", "is_deleted", *_OF_THE_LOAD}
        return [column for column in HISTORY[self.history].columns if column.name not in bounds]


WATCHED = (
    HistoryTable(
        "component_history",
        "components",
        "components",
        {"component_id": "id"},
        # Also what was edited and looks as before: it can have been otherwise in between.
        ("name", "status", "enabled", "component_group_id", "is_public", "updated_at"),
        "is_public",
    ),
    HistoryTable(
        "incident_component_history",
        "incident_components",
        "incidents_by_id",
        {"incident_id": "incident_id", "component_id": "component_id"},
        ("component_status",),
    ),
    HistoryTable(
        "incident_history",
        "incidents",
        "incidents",
        {"incident_id": "id"},
        ("name", "status", "occurred_at", "visible"),
        "visible",
    ),
    HistoryTable(
        "schedule_history",
        "schedules",
        "schedules",
        {"schedule_id": "id"},
        ("name", "status", "scheduled_at", "completed_at"),
    ),
)

_OF_THE_LOAD = ("unedited_until", "visibility_seen_as")

# What a caller is sure to see at least, and may have seen at most.
_RIGHTS_AT_LEAST = {"guest": 0, "unproven": 0, "token": 1, "full": 2}
_RIGHTS_AT_MOST = {**_RIGHTS_AT_LEAST, "unproven": 2}


@dataclass
class HistoryState:
    """What history holds: the newest row of each key, and the newest complete read of each endpoint by rights.

    `missing` names the tables that do not exist yet, or lack a column.
    """

    newest: dict[str, dict[Key, Row]] = field(default_factory=dict)
    observations: dict[str, list[Row]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Observation:
    """One load's reading: as whom, from when to when by the server's clock."""

    rights: str
    started_at: datetime
    observed_at: datetime


def read_history(query: Query) -> HistoryState:
    """Read what `history_rows` compares with, in a query for each history table.

    Args:
        query: Runs SQL over one table of the dataset.
    """
    state = HistoryState()
    for name in HISTORY:
        by = [*HISTORY[name].key[:-1], *(("rights",) if name == "endpoint_observations" else ())]
        keys = ", ".join(f'"{column}"' for column in by)
        where = "WHERE outcome = 'read'" if name == "endpoint_observations" else ""
        rows = query(
            name,
            f"SELECT * FROM (SELECT t.*, row_number() OVER (PARTITION BY {keys} ORDER BY observed_at DESC) AS nth"
            f" FROM {{table}} AS t {where}) AS numbered WHERE nth = 1",
        )
        if rows is None or any(_lacking(name, row) for row in rows[:1]):
            state.missing.add(name)
        found = [{column: _utc(value) for column, value in row.items()} for row in rows or ()]
        if name == "endpoint_observations":
            for row in found:
                state.observations.setdefault(row["endpoint"], []).append(row)
        else:
            state.newest[name] = {tuple(row[column] for column in by): row for row in found}
    return state


def rights_of(reader: CachetReader) -> str:
    """Return as whom a reader has read: guest, token (it may not see subscribers), full, or unproven."""
    if reader.settings.api_key is None:
        return "guest"
    if reader.token_unproven:
        return "unproven"
    return "full" if reader.token_error is None else "token"


def history_rows(
    state: HistoryState, reads: Iterable[EndpointRead], seen: Observation
) -> dict[str, list[Row]]:
    """Return the rows that a load adds to each history table.

    Args:
        state: What history holds.
        reads: What the load read; what failed or was refused tells nothing.
        seen: As whom, and when.
    """
    reads = list(reads)
    complete = {read.endpoint.name: read for read in reads if read.outcome == "read"}
    groups = complete.get("components_groups")
    rows = {
        table.history: _changes(table, state, _shown_rows(table, complete[table.endpoint], groups), seen)
        for table in WATCHED
        if table.endpoint in complete
    }
    rows["endpoint_observations"] = [
        {
            "endpoint": read.endpoint.name,
            "started_at": seen.started_at,
            "observed_at": _after(seen.observed_at, state.observations.get(read.endpoint.name, ())),
            "rights": seen.rights,
            "outcome": read.outcome,
            "row_count": len(read.rows.get(read.endpoint.tables[0], ())) if read.error is None else None,
        }
        for read in reads
    ]
    return rows


def history_resources(
    state: HistoryState, reads: Iterable[EndpointRead], reader: CachetReader
) -> list[DltResource]:
    """Return dlt's resources of what a load adds to history, for the package that holds its tables.

    A table without news is left out, unless it has to be made.

    Args:
        state: What history held before the load.
        reads: What was read.
        reader: Who read it.
    """
    now = datetime.now(timezone.utc)
    observed_at = reader.clock or now
    seen = Observation(rights_of(reader), min(reader.started_at or observed_at, observed_at), observed_at)
    added = history_rows(state, reads, seen)
    return [
        table_resource(table, partial(added.get, name, ()), replace=False)
        for name, table in HISTORY.items()
        if added.get(name) or name in state.missing
    ]


def _shown_rows(table: HistoryTable, read: EndpointRead, groups: EndpointRead | None) -> list[Row]:
    """Return the rows that a history table remembers, components with `is_public`."""
    rows = read.rows[table.table]
    if table.history != "component_history":
        return rows
    listed = groups.rows["components_groups"] if groups else ()
    public = {group["id"] for group in listed if group.get("visible", 1) in (None, 1)}

    def is_public(row: Row) -> bool | None:
        group = row.get("component_group_id")
        if not row.get("enabled"):
            return False
        return True if not group else group in public if groups else None

    return [{**row, "is_public": is_public(row)} for row in rows]


def _visibility(
    known: Row | None, shown: Any, column: str, seen: Observation, before: Iterable[Row]
) -> tuple[Any, str]:
    """Return who sees a row, and as whom that was seen: what a token saw holds against a guest who sees more."""
    if known is None:
        return shown, seen.rights
    seen_as = known.get("visibility_seen_as") or max(
        (row["rights"] for row in before), key=lambda rights: _RIGHTS_AT_LEAST[rights], default="guest"
    )
    held = known.get(column)
    if shown is None:
        return held, seen_as
    if held is None or _RIGHTS_AT_LEAST[seen.rights] or not _RIGHTS_AT_LEAST[seen_as]:
        return shown, seen.rights
    return min(held, shown), seen_as


def _changes(
    table: HistoryTable, state: HistoryState, shown_rows: Iterable[Row], seen: Observation
) -> list[Row]:
    newest = state.newest.get(table.history, {})
    before = state.observations.get(table.endpoint, [])
    sure = [row for row in before if _RIGHTS_AT_LEAST[row["rights"]] >= _RIGHTS_AT_LEAST[seen.rights]]
    looked_at: datetime | None = max((row["started_at"] for row in sure), default=None)
    rows: list[Row] = []

    def add(key: Key, values: Row, *, is_deleted: bool) -> None:
        known = newest.get(key)
        times = [*([looked_at] if looked_at else []), *([known["observed_at"]] if known else [])]
        compared = looked_at if known and "unedited_until" in known else None
        rows.append(
            {
                **({"unedited_until": compared} if table.history == "component_history" else {}),
                **dict(zip(table.key, key, strict=True)),
                **values,
                "observed_at": _after(seen.observed_at, [known] if known else ()),
                "previous_observed_at": max(times, default=None),
                "is_deleted": is_deleted,
            }
        )

    shown: set[Key] = set()
    for row in shown_rows:
        key = tuple(row.get(column) for column in table.key.values())
        if key in shown:
            continue
        shown.add(key)
        values = {column.name: _value_as_stored(row.get(column.name), column) for column in table.columns}
        known = newest.get(key)
        if (column := table.visibility) is not None:
            values[column], values["visibility_seen_as"] = _visibility(
                known, values[column], column, seen, before
            )
        if (
            known is None
            or known["is_deleted"]
            or any(known.get(name) != values[name] for name in table.watched)
        ):
            add(key, values, is_deleted=False)
    if _sees_all(seen, before):
        for key, known in newest.items():
            if key not in shown and not known["is_deleted"]:
                values = {column.name: known.get(column.name) for column in table.columns}
                add(
                    key,
                    values | ({"visibility_seen_as": seen.rights} if table.visibility else {}),
                    is_deleted=True,
                )
    return rows


def _lacking(name: str, row: Row) -> set[str]:
    """Return the declared columns that a row of an earlier version does not have."""
    return {column.name for column in HISTORY[name].columns} - row.keys()


def _sees_all(seen: Observation, before: Iterable[Row]) -> bool:
    """Whether what is not shown now, and was before, is gone: nobody who looked before had more rights."""
    return seen.rights != "unproven" and all(
        _RIGHTS_AT_MOST[row["rights"]] <= _RIGHTS_AT_LEAST[seen.rights] for row in before
    )


def _after(at: datetime, rows: Iterable[Row]) -> datetime:
    """Return a time that lies after those of the rows: two loads within a second are told apart all the same."""
    newest = max((row["observed_at"] for row in rows), default=None)
    return at if newest is None or newest < at else newest + timedelta(microseconds=1)


def _value_as_stored(value: Any, column: Column) -> Any:
    """Return a value as it comes back from the database: what does not fit the column is null there."""
    if isinstance(value, bool) and column.data_type == "bigint":
        return int(value)
    return value if isinstance(value, TYPES[column.data_type].python) else None


def _utc(value: Any) -> Any:
    return value.astimezone(timezone.utc) if isinstance(value, datetime) else value
