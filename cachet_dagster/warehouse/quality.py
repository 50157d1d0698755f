"""What every table has to be, one function an expectation, each a question that any SQL destination answers.

An evaluation says whether it holds, which rows break it (ten at most), and the SQL that shows them all.
It names keys, ids, codes and columns only: texts of a status page come from outside, and whoever shows a
result may take it for Markdown. An expectation that cannot be evaluated does not hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from cachet_dagster.source.dialect import quoted
from cachet_dagster.source.endpoints import FILLED_BY
from cachet_dagster.source.errors import first_line
from cachet_dagster.source.tables import Table

from .protocol import Session

SHOWN = 10
"""Rows that a result shows at most."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a time may lie beyond the server's clock: Cachet rounds a point's time to 30 s, up or down."""

# All keys at once take 300 MB for five million points.
_SLICE_ROWS = 500_000

# A scheduled, completed or published time may lie in the future by design.
_PAST = ("created_at", "updated_at", "observed_at")


@dataclass(frozen=True)
class CheckResult:
    """Whether an expectation holds.

    Attributes:
        passed: Whether it does.
        description: What was found, in one or two sentences; a setting stands in it as `{name}`.
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
class Expectation:
    """What a table has to be: its name, what it says, which tables it is for, and what finds out."""

    name: str
    says: str
    applies: Callable[[Table], bool]
    find_out: Callable[[Session, Table, datetime], CheckResult]


def evaluate(expectation: Expectation, session: Session, table: Table, clock: datetime) -> CheckResult:
    """Evaluate an expectation; whatever keeps it from being evaluated breaks it.

    Args:
        expectation: What to evaluate.
        session: Where the table is.
        table: The table.
        clock: The server's present time (aware).
    """
    try:
        if not session.columns(table.name):
            return CheckResult(False, "The table has not been loaded yet.", "warn")
        result = expectation.find_out(session, table, clock)
        return replace(result, sql=session.text(result.sql)) if result.sql else result
    except session.errors as error:
        # The binder's message may repeat what is in the database.
        reason = _plain(first_line(error), keep=" .:,")
        return CheckResult(False, f"It could not be checked: {reason[:200]}")


def key_unique_and_not_null(session: Session, table: Table, _clock: datetime) -> CheckResult:
    """No two rows share a key, and none lacks it."""
    key, name = _key(table), session.table(table.name)
    nulls = " OR ".join(f"{quoted(column)} IS NULL" for column in table.key)
    sql = f'SELECT {key}, count(*) AS "rows" FROM {name} GROUP BY {key} HAVING count(*) > 1 OR {nulls}'
    rows_in_all = _count(session, table)
    first = next(column for column in table.columns if column.name == table.key[0])
    # An observation's key is a time, but there are few of them.
    slices = max(1, math.ceil(rows_in_all / _SLICE_ROWS)) if first.data_type == "bigint" else 1
    within = [f" WHERE abs({quoted(first.name)}) % {slices} = {part}" for part in range(slices)]
    broken = _any(session, f"SELECT 1 AS broken FROM {name} WHERE {nulls}") or any(
        _any(session, f"SELECT 1 AS broken FROM {name}{where} GROUP BY {key} HAVING count(*) > 1")
        for where in (within if slices > 1 else [""])
    )
    if not broken:
        return CheckResult(True, f"{rows_in_all:,} rows, each with a key of its own.")
    found, rows = _broken(session, sql, key)
    return CheckResult(
        False,
        f"{_n(found, 'key')} {'is' if found == 1 else 'are'} null or of several rows: {_keys(table, rows)}.",
        found=found,
        rows=rows,
        sql=sql,
    )


def references_resolve(session: Session, table: Table, _clock: datetime) -> CheckResult:
    """Ids of rows of the same endpoint lead to rows.

    Those of other endpoints that lead nowhere are counted: Cachet does not list what is hidden, and keeps rows that
    name what was deleted.
    """
    broken, notes = [], []
    for reference in table.references:
        if not session.columns(reference.table):
            notes.append(f"{reference.table} has not been loaded yet.")
            continue
        column = quoted(reference.column)
        sql = (
            f"SELECT {_key(table)}, {column} AS missing_id, '{reference.table}' AS missing_from"
            f" FROM {session.table(table.name)} WHERE {column} IS NOT NULL"
            f" AND {column} NOT IN (SELECT id FROM {session.table(reference.table)})"
        )
        counted = f"SELECT count(*) AS n, count(DISTINCT missing_id) AS ids FROM ({sql}) AS found"
        ((rows, ids),) = session.execute(counted).fetchall()
        if rows:
            said = f"{_n(ids, 'id')} that {reference.table} does not hold, in {_n(rows, 'row')}"
            within = FILLED_BY[reference.table] is FILLED_BY[table.name]
            if within:
                broken.append((sql, said))
            else:
                stay = (
                    " A run with `prune` in its config removes them." if table.name == "metric_points" else ""
                )
                notes.append(f"{said}: hidden, or deleted in Cachet.{stay}")
    if not broken:
        return CheckResult(True, " ".join(notes) or "Every reference leads to a row.")
    sql = " UNION ALL ".join(sql for sql, _ in broken)
    found, rows = _broken(session, sql, _key(table))
    missing = "; ".join(said for _, said in broken)
    why = "One answer told of both, so rows are missing. Run it again."
    return CheckResult(False, f"{missing}. {why}", found=found, rows=rows, sql=sql)


def columns_as_declared(session: Session, table: Table, _clock: datetime) -> CheckResult:
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
        return CheckResult(
            False,
            f"Declared columns are not as declared: {', '.join(wrong)}. Drop the table and load it again.",
            found=len(wrong),
            sql=f"SELECT * FROM {session.table(table.name)} LIMIT 0",
        )
    declared = {column.name for column in table.columns}
    others = [name for name in held if name not in declared and not name.startswith("_dlt_")]
    if others:
        counts = session.execute(
            f"SELECT {', '.join(f'count({quoted(name)}) AS c{at}' for at, name in enumerate(others))}"
            f" FROM {session.table(table.name)}"
        ).fetchall()[0]
        others = [name for name, count in zip(others, counts, strict=True) if count]
    if not others:
        return CheckResult(True, f"{len(declared)} columns, as declared.")
    sql = " UNION ALL ".join(
        f"SELECT {_key(table)}, '{name.replace(chr(39), chr(39) * 2)}' AS \"column\""
        f" FROM {session.table(table.name)} WHERE {quoted(name)} IS NOT NULL"
        for name in others
    )
    found, rows = _broken(session, sql, _key(table))
    named = ", ".join(_plain(name) for name in others[:SHOWN])
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return CheckResult(
        False,
        f"Columns beyond the declared hold values: {named}{more}. Cachet answers with attributes or types that "
        "this table does not know; they are kept as they came.",
        "warn",
        found=found,
        rows=[{**row, "column": _plain(row["column"])} for row in rows],
        sql=sql,
    )


def codes_known(session: Session, table: Table, _clock: datetime) -> CheckResult:
    """Codes are those that Cachet is known to use; a null is an answer."""
    coded = [column for column in table.columns if column.codes]
    sql = " UNION ALL ".join(
        f"SELECT {_key(table)}, '{column.name}' AS \"column\", {quoted(column.name)} AS code"
        f" FROM {session.table(table.name)}"
        f" WHERE {quoted(column.name)} NOT IN ({', '.join(map(str, column.codes or {}))})"
        for column in coded
    )
    found, rows = _broken(session, sql, _key(table))
    if not found:
        return CheckResult(True, f"Every {' and '.join(column.name for column in coded)} is a known code.")
    codes = session.execute(
        f'SELECT "column", code, count(*) AS n FROM ({sql}) AS found GROUP BY "column", code'
        f' ORDER BY "column", code LIMIT {SHOWN}'
    ).fetchall()
    said = ", ".join(f"{column} {code} ({_n(count, 'row')})" for column, code, count in codes)
    return CheckResult(
        False, f"Codes that nobody foresaw: {said}. First of them: {_keys(table, rows)}.", "warn",
        found=found, rows=rows, sql=sql,
    )  # fmt: skip


def times_not_in_the_future(session: Session, table: Table, clock: datetime) -> CheckResult:
    """What has happened did not happen after the server's clock, give or take `CLOCK_TOLERANCE`."""
    limit = (clock + CLOCK_TOLERANCE).astimezone(timezone.utc)
    sql = " UNION ALL ".join(
        f"SELECT {_key(table)}, '{name}' AS \"column\", {quoted(name)} AS at FROM {session.table(table.name)}"
        f" WHERE {quoted(name)} > TIMESTAMPTZ '{limit.isoformat(sep=' ', timespec='seconds')}'"
        for name in _past_columns(table)
    )
    found, rows = _broken(session, sql, _key(table))
    at = f"{clock.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    if not found:
        return CheckResult(True, f"No time lies beyond the server's clock ({at}).")
    return CheckResult(
        False,
        f"{_n(found, 'time')} {'lies' if found == 1 else 'lie'} beyond the server's clock ({at}): "
        f"{_keys(table, rows)}. If they are hours off, set {{timezone}} to the time zone of the server.",
        "warn",
        found=found,
        rows=rows,
        sql=sql,
    )


def _past_columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name in _PAST]


def _always(_table: Table) -> bool:
    return True


EXPECTATIONS = (
    Expectation(
        "key_unique_and_not_null",
        "No two rows share a key, and none lacks it.",
        _always,
        key_unique_and_not_null,
    ),
    Expectation(
        "references_resolve",
        "Ids of rows of the same endpoint lead to rows; those that Cachet hides or has deleted are counted.",
        lambda table: bool(table.references),
        references_resolve,
    ),
    Expectation(
        "columns_as_declared",
        "The declared columns are there with their types, and no others hold values.",
        _always,
        columns_as_declared,
    ),
    Expectation(
        "codes_known",
        "Statuses and other codes are among those that Cachet is known to use.",
        lambda table: any(column.codes for column in table.columns),
        codes_known,
    ),
    Expectation(
        "times_not_in_the_future",
        "No row was created, changed or observed after the server's clock.",
        lambda table: bool(_past_columns(table)),
        times_not_in_the_future,
    ),
)
"""All expectations, in the order in which they are evaluated."""


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
    return ", ".join(map(quoted, table.key))


def _plain(text: str, keep: str = "") -> str:
    """Return text with whatever could be taken for markup as underscores."""
    return re.sub(f"[^A-Za-z0-9_{re.escape(keep)}]", "_", text)
