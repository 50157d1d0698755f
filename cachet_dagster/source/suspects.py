"""Times that may stand for a null: Cachet 2 prints a null time as the current one, and looking twice tells them apart.

A null moves on with the server's clock, a time does not. So a time within moments of its answer is compared with the
destination, where the row is stored as it was last changed, and only what that cannot tell is asked for again, a
second later.
"""

from __future__ import annotations

from collections.abc import Iterable

from .listing import Parsed
from .rows import Row

LATER_SECONDS = 1.1
"""Seconds after which a null is printed as another time: Cachet prints whole seconds."""


def decide_by_stored(parsed: Parsed, table: str, stored: Iterable[Row]) -> None:
    """Decide what the destination tells: a row that was not changed since has the time, or the null, that it had."""
    known = {row["id"]: row for row in stored if row["id"] in parsed.suspects}
    for row in parsed.rows[table]:
        before = known.get(row["id"])
        if before is None or before["updated_at"] != row.get("updated_at"):
            continue
        undecided = []
        for suspect in parsed.suspects.pop(row["id"]):
            if _holds(before, suspect.columns):
                row.update(suspect.columns)
            elif not _holds(before, {name: row.get(name) for name in suspect.columns}):
                undecided.append(suspect)
        if undecided:
            parsed.suspects[row["id"]] = undecided


def decide_by_second_look(parsed: Parsed, table: str, later: Iterable[Parsed]) -> None:
    """Decide what later answers about the same rows tell; of a row that they do not hold nothing is decided."""
    rows = {row["id"]: row for row in parsed.rows[table]}
    for page in later:
        for number in [row["id"] for row in page.rows[table] if row["id"] in parsed.suspects]:
            again = {suspect.name: suspect for suspect in page.suspects.get(number, [])}
            for suspect in parsed.suspects.pop(number):
                # One that is near the clock no more is a time, too. An answer from a cache tells nothing.
                now = again.get(suspect.name)
                if now is None or (now.printed == suspect.printed and now.at > suspect.at):
                    rows[number].update(suspect.columns)


def _holds(row: Row, columns: Row) -> bool:
    return all(row.get(name) == value for name, value in columns.items())
