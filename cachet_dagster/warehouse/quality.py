"""What the tables promise, one function a promise, each a question that any SQL destination answers.

A judge says whether the promise holds, which rows break it (ten at most), and the SQL that shows them all.
It names keys, ids, codes and columns only: texts of a status page come from outside, and whoever shows a
verdict may take it for Markdown. A promise that cannot be judged does not hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from cachet_dagster.source.endpoints import FILLED_BY
from cachet_dagster.source.loss import FEW, sudden_loss
from cachet_dagster.source.tables import Table

from .protocol import Session

SHOWN = 10
"""Rows that a verdict shows at most."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a time may lie beyond the server's clock: Cachet rounds a point's time to 30 s, up or down."""

# A scheduled, completed or published time may lie in the future by design.
# All keys at once take 300 MB for five million points.
_SLICE_ROWS = 500_000

_PAST = ("created_at", "updated_at", "observed_at")

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Loaded:
    """What a load said of a table, as far as there was one.

    Attributes:
        before: Rows that it held before; None without a load.
        rows: Rows that it must hold now.
        keys: Their keys, for a table that was replaced whole.
        metrics: For points, of each metric that was read to its end: rows before, rows that it must have now.
        at: The server's clock (UTC).
        max_loss: Fraction of its rows that a table may lose in a load.
        loss_accepted: Whether the run was told to let any loss through.
    """

    before: int | None = None
    rows: int = 0
    keys: Collection[Key] | None = None
    metrics: Mapping[int, tuple[int, int]] | None = None
    at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    max_loss: float = 0.5
    loss_accepted: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether a promise holds.

    Attributes:
        passed: Whether it does.
        description: What was found, in one or two sentences.
        severity: How bad it is that it does not.
        found: How many rows break it.
        rows: Some of them, `SHOWN` at most.
        sql: Shows all of them.
    """

    passed: bool
    description: str
    severity: Literal["warn", "error"] = "error"
    found: int = 0
    rows: Sequence[Mapping[str, Any]] = ()
    sql: str = ""


@dataclass(frozen=True)
class Promise:
    """A promise: its name, what it says, which tables give it, and who judges it.

    `of_load` promises compare a table with what its load said, and cannot be judged without one.
    """

    name: str
    says: str
    applies: Callable[[Table], bool]
    judge: Callable[[Session, Table, Loaded], Verdict]
    of_load: bool = False


def promises(table: Table) -> list[Promise]:
    """Return the promises that a table gives."""
    return [promise for promise in PROMISES if promise.applies(table)]


def judged(promise: Promise, session: Session, table: Table, loaded: Loaded) -> Verdict:
    """Judge a promise; whatever keeps it from being judged breaks it."""
    try:
        if not session.columns(table.name):
            return Verdict(False, "The table has not been loaded yet.", "warn")
        verdict = promise.judge(session, table, loaded)
        return replace(verdict, sql=session.text(verdict.sql)) if verdict.sql else verdict
    except session.errors as error:
        # The binder's message may repeat what is in the database.
        reason = _plain(str(error).splitlines()[0], keep=" .:,")
        return Verdict(False, f"It could not be checked: {reason[:200]}")


def key_unique_and_not_null(session: Session, table: Table, _loaded: Loaded) -> Verdict:
    """No two rows share a key, and none lacks it."""
    key, name = _key(table), session.table(table.name)
    nulls = " OR ".join(f"{_quoted(column)} IS NULL" for column in table.key)
    sql = f'SELECT {key}, count(*) AS "rows" FROM {name} GROUP BY {key} HAVING count(*) > 1 OR {nulls}'
    rows_in_all = _count(session, table)
    first = next(column for column in table.columns if column.name == table.key[0])
    # An observation's key is a time, but there are few of them.
    slices = max(1, math.ceil(rows_in_all / _SLICE_ROWS)) if first.data_type == "bigint" else 1
    within = [f" WHERE abs({_quoted(first.name)}) % {slices} = {part}" for part in range(slices)]
    broken = _any(session, f"SELECT 1 AS broken FROM {name} WHERE {nulls}") or any(
        _any(session, f"SELECT 1 AS broken FROM {name}{where} GROUP BY {key} HAVING count(*) > 1")
        for where in (within if slices > 1 else [""])
    )
    if not broken:
        return Verdict(True, f"{rows_in_all:,} rows, each with a key of its own.")
    found, rows = _broken(session, sql, key)
    return Verdict(
        False,
        f"{_n(found, 'key')} {'is' if found == 1 else 'are'} null or of several rows: {_keys(table, rows)}.",
        found=found,
        rows=rows,
        sql=sql,
    )


def references_resolve(session: Session, table: Table, _loaded: Loaded) -> Verdict:
    """Ids of other rows lead to rows: always within one endpoint; else what leads nowhere is counted."""
    notes, parts, severity = [], [], "warn"
    for reference in table.references:
        if not session.columns(reference.table):
            notes.append(f"{reference.table} has not been loaded yet.")
            continue
        column = _quoted(reference.column)
        parts.append(
            f"SELECT {_key(table)}, {column} AS missing_id, '{reference.table}' AS missing_from"
            f" FROM {session.table(table.name)} WHERE {column} IS NOT NULL"
            f" AND {column} NOT IN (SELECT id FROM {session.table(reference.table)})"
        )
        # What an endpoint gives is loaded as one: there nothing may lead nowhere.
        if FILLED_BY[reference.table] is FILLED_BY[table.name] and _any(session, parts[-1]):
            severity = "error"
    sql = " UNION ALL ".join(parts)
    found, rows = _broken(session, sql, _key(table)) if parts else (0, [])
    if not found:
        return Verdict(True, " ".join(["Every reference leads to a row.", *notes] if parts else notes))
    missing = session.execute(
        "SELECT missing_from, count(*) AS n, count(DISTINCT missing_id) AS ids"
        f" FROM ({sql}) AS found GROUP BY missing_from ORDER BY missing_from"
    ).fetchall()
    total = _n(_count(session, table), "row")
    said = "; ".join(
        f"{_n(distinct, 'id')} that {parent} does not hold, in {count:,} of {total}"
        for parent, count, distinct in missing
    )
    why = (
        "One answer told of both, so rows are missing. Run it again."
        if severity == "error"
        else "Points of a metric that Cachet has deleted stay until a run with `prune` in its config."
        if table.name == "metric_points"
        else "Cachet does not list what is hidden, or deleted while rows that name it stay."
    )
    return Verdict(False, " ".join([f"{said}. {why}", *notes]), severity, found=found, rows=rows, sql=sql)


def rows_equal_to_the_endpoint(session: Session, table: Table, loaded: Loaded) -> Verdict:
    """The table holds the rows that the endpoint gave, no more and no less."""
    if loaded.metrics is not None:
        return _points_equal(session, table, loaded.metrics)
    sql = f"SELECT {_key(table)} FROM {session.table(table.name)} ORDER BY {_key(table)}"
    held = _count(session, table)
    if loaded.keys is None:
        if held == loaded.rows:
            return Verdict(True, f"{held:,} rows: those from before, and those that were added.")
        said = f"The table holds {_n(held, 'row')}; with what was added it should be {loaded.rows:,}."
        return Verdict(False, f"{said} {_OTHER_WRITER}", found=abs(held - loaded.rows), sql=sql)
    stored = session.execute(sql).fetchall()
    read = set(loaded.keys)
    lost, odd = sorted(read.difference(stored)), sorted(set(stored) - read)
    if not lost and not odd and held == len(loaded.keys):
        return Verdict(True, f"{held:,} rows, each as the endpoint gave it.")
    marked = [(key, "read, not stored") for key in lost] + [(key, "stored, not read") for key in odd]
    rows = [dict(zip((*table.key, "difference"), (*key, why), strict=True)) for key, why in marked[:SHOWN]]
    said = f"The endpoint gave {_n(len(loaded.keys), 'row')} and the table holds {held:,}"
    shown = f": {_keys(table, rows)}" if rows else ""
    return Verdict(False, f"{said}{shown}. {_OTHER_WRITER}", found=max(len(marked), 1), rows=rows, sql=sql)


def no_sudden_loss(session: Session, table: Table, loaded: Loaded) -> Verdict:
    """A load does not cost a table more than a fraction of its rows."""
    before, now = loaded.before or 0, loaded.rows
    if not before:
        return Verdict(True, f"The first load: {now:,} rows.")
    lost = before - now
    if not sudden_loss(before, now, loaded.max_loss):
        return Verdict(True, f"{before:,} rows before, {now:,} now.")
    if loaded.loss_accepted:
        return Verdict(True, f"{before:,} rows before, {now:,} now: let through as the run was told to.")
    rows: list[dict[str, Any]] = []
    sql = f"SELECT count(*) FROM {session.table(table.name)}"
    if loaded.metrics is not None:
        losses = sorted(
            (after - then, metric, then, after) for metric, (then, after) in loaded.metrics.items()
        )
        rows = [
            {"metric_id": metric, "rows_before": then, "rows_now": after}
            for change, metric, then, after in losses[:SHOWN]
            if change < 0
        ]
        sql = _POINTS_OF_EACH.format(table=session.table(table.name))
    return Verdict(
        False,
        f"{before:,} rows before, {now:,} now: {lost / before:.0%} would go, and are kept. Check {{base_url}} and "
        "what {api_key} may see. If Cachet has really lost them, run again with `accept_loss: true` in the "
        f"run's config. {{max_loss}} (now {loaded.max_loss:g}) says which fraction may go.",
        found=lost,
        rows=rows,
        sql=sql,
    )


def columns_as_declared(session: Session, table: Table, _loaded: Loaded) -> Verdict:
    """The table has its declared columns, and no others with values in them."""
    held = session.columns(table.name)
    wrong = [
        f"{column.name} is missing"
        if column.name not in held
        else f"{column.name} is {_plain(held[column.name], keep=' ')}, not {column.data_type}"
        for column in table.columns
        if held.get(column.name) != column.data_type
    ]
    if wrong:
        return Verdict(
            False,
            f"Declared columns are not as declared: {', '.join(wrong)}. Drop the table and load it again.",
            found=len(wrong),
            sql=f"SELECT * FROM {session.table(table.name)} LIMIT 0",
        )
    declared = {column.name for column in table.columns}
    others = [name for name in held if name not in declared and not name.startswith("_dlt_")]
    if others:
        counts = session.execute(
            f"SELECT {', '.join(f'count({_quoted(name)}) AS c{at}' for at, name in enumerate(others))}"
            f" FROM {session.table(table.name)}"
        ).fetchall()[0]
        others = [name for name, count in zip(others, counts, strict=True) if count]
    if not others:
        return Verdict(True, f"{len(declared)} columns, as declared.")
    sql = " UNION ALL ".join(
        f"SELECT {_key(table)}, '{name.replace(chr(39), chr(39) * 2)}' AS \"column\""
        f" FROM {session.table(table.name)} WHERE {_quoted(name)} IS NOT NULL"
        for name in others
    )
    found, rows = _broken(session, sql, _key(table))
    named = ", ".join(_plain(name) for name in others[:SHOWN])
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return Verdict(
        False,
        f"Columns beyond the declared hold values: {named}{more}. Cachet answers with attributes or types that "
        "this table does not know; they are kept as they came.",
        "warn",
        found=found,
        rows=[{**row, "column": _plain(row["column"])} for row in rows],
        sql=sql,
    )


def codes_known(session: Session, table: Table, _loaded: Loaded) -> Verdict:
    """Codes are those that Cachet is known to use; a null is an answer."""
    coded = [column for column in table.columns if column.codes]
    sql = " UNION ALL ".join(
        f"SELECT {_key(table)}, '{column.name}' AS \"column\", {_quoted(column.name)} AS code"
        f" FROM {session.table(table.name)}"
        f" WHERE {_quoted(column.name)} NOT IN ({', '.join(map(str, column.codes or {}))})"
        for column in coded
    )
    found, rows = _broken(session, sql, _key(table))
    if not found:
        return Verdict(True, f"Every {' and '.join(column.name for column in coded)} is a known code.")
    codes = session.execute(
        f'SELECT "column", code, count(*) AS n FROM ({sql}) AS found GROUP BY "column", code'
        f' ORDER BY "column", code LIMIT {SHOWN}'
    ).fetchall()
    said = ", ".join(f"{column} {code} ({_n(count, 'row')})" for column, code, count in codes)
    return Verdict(
        False, f"Codes that nobody foresaw: {said}. First of them: {_keys(table, rows)}.", "warn",
        found=found, rows=rows, sql=sql,
    )  # fmt: skip


def times_not_in_the_future(session: Session, table: Table, loaded: Loaded) -> Verdict:
    """What has happened did not happen after the server's clock, give or take `CLOCK_TOLERANCE`."""
    limit = (loaded.at + CLOCK_TOLERANCE).astimezone(timezone.utc)
    sql = " UNION ALL ".join(
        f"SELECT {_key(table)}, '{name}' AS \"column\", {_quoted(name)} AS at FROM {session.table(table.name)}"
        f" WHERE {_quoted(name)} > TIMESTAMPTZ '{limit.isoformat(sep=' ', timespec='seconds')}'"
        for name in _past_columns(table)
    )
    found, rows = _broken(session, sql, _key(table))
    clock = f"{loaded.at.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    if not found:
        return Verdict(True, f"No time lies beyond the server's clock ({clock}).")
    return Verdict(
        False,
        f"{_n(found, 'time')} {'lies' if found == 1 else 'lie'} beyond the server's clock ({clock}): "
        f"{_keys(table, rows)}. If they are hours off, set {{timezone}} to the time zone of the server.",
        "warn",
        found=found,
        rows=rows,
        sql=sql,
    )


_POINTS_OF_EACH = "SELECT metric_id, count(*) AS n FROM {table} GROUP BY metric_id ORDER BY metric_id"
_OTHER_WRITER = "Run it again; if it stays so, something else writes to the database."


def _replaced(table: Table) -> bool:
    return FILLED_BY[table.name].kind.has_ids or FILLED_BY[table.name].kind.per_metric


def _past_columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name in _PAST]


def _always(_table: Table) -> bool:
    return True


PROMISES = (
    Promise(
        "key_unique_and_not_null",
        "No two rows share a key, and none lacks it.",
        _always,
        key_unique_and_not_null,
    ),
    Promise(
        "references_resolve",
        "Ids of other rows lead to rows. What Cachet hides or has deleted is counted, as a warning.",
        lambda table: bool(table.references),
        references_resolve,
    ),
    Promise(
        "rows_equal_to_the_endpoint",
        "After a load the table holds what the endpoint gave. Points that Cachet 3 deleted stay until a full "
        "refresh: of each metric it holds what it held before, plus what was new.",
        _always,
        rows_equal_to_the_endpoint,
        of_load=True,
    ),
    Promise(
        "no_sudden_loss",
        f"A load costs the table no more than the fraction {{max_loss}} of its rows (fewer than {FEW} rows "
        "may always go).",
        _replaced,
        no_sudden_loss,
        of_load=True,
    ),
    Promise(
        "columns_as_declared",
        "The declared columns are there with their types, and no others hold values.",
        _always,
        columns_as_declared,
    ),
    Promise(
        "codes_known",
        "Statuses and other codes are among those that Cachet is known to use.",
        lambda table: any(column.codes for column in table.columns),
        codes_known,
    ),
    Promise(
        "times_not_in_the_future",
        "No row was created, changed or observed after the server's clock.",
        lambda table: bool(_past_columns(table)),
        times_not_in_the_future,
    ),
)
"""All promises, in the order in which they are judged."""


def _points_equal(session: Session, table: Table, metrics: Mapping[int, tuple[int, int]]) -> Verdict:
    sql = _POINTS_OF_EACH.format(table=session.table(table.name))
    held = dict(session.execute(sql).fetchall())
    rows = [
        {"metric_id": metric, "rows_expected": expected, "rows_now": held.get(metric, 0)}
        for metric, (_, expected) in sorted(metrics.items())
        if held.get(metric, 0) != expected
    ]
    if not rows:
        total = sum(expected for _, expected in metrics.values())
        return Verdict(
            True, f"{total:,} points of {_n(len(metrics), 'metric')}: those from before, and what was new."
        )
    named = ", ".join(str(row["metric_id"]) for row in rows[:SHOWN])
    said = f"{_n(len(rows), 'metric')} {'has' if len(rows) == 1 else 'have'} more or fewer points than were loaded"
    return Verdict(False, f"{said}: {named}. {_OTHER_WRITER}", found=len(rows), rows=rows[:SHOWN], sql=sql)


def _broken(session: Session, sql: str, key: str) -> tuple[int, list[dict[str, Any]]]:
    """Return how many rows a query gives, and the first of them by key."""
    found = int(session.execute(f"SELECT count(*) AS n FROM ({sql}) AS found").fetchall()[0][0])
    if not found:
        return 0, []
    first = session.execute(f"SELECT * FROM ({sql}) AS found ORDER BY {key} LIMIT {SHOWN}")
    names = [column[0].lower() for column in first.description]
    return found, [dict(zip(names, row, strict=True)) for row in first.fetchall()]


def _any(session: Session, sql: str) -> bool:
    return bool(session.execute(f"{sql} LIMIT 1").fetchall())


def _count(session: Session, table: Table) -> int:
    return int(session.execute(f"SELECT count(*) AS n FROM {session.table(table.name)}").fetchall()[0][0])


def _keys(table: Table, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows by their keys, in words."""
    return "; ".join(", ".join(f"{column} {_value(row[column])}" for column in table.key) for row in rows)


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    return "null" if value is None else str(value)


def _n(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _key(table: Table) -> str:
    return ", ".join(map(_quoted, table.key))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(text: str, keep: str = "") -> str:
    """Return text with whatever could be taken for markup as underscores."""
    return re.sub(f"[^A-Za-z0-9_{re.escape(keep)}]", "_", text)
