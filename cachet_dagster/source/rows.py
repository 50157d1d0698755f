"""Rows as both APIs give them: ids, times, texts and numbers made fit for any database.

How a document becomes rows is each API's own: `cachet3/rows.py`, `cachet2/rows.py`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from .errors import NotCachet
from .settings import Emails
from .tables import Table

Row = dict[str, Any]

Query = Callable[[str, str], "list[Row] | None"]
"""Runs SQL over one table, `{table}` standing for its qualified name: rows by lower-case column name, or
None where the table does not exist."""

_INT64 = range(-(2**63), 2**63)
_EPOCH_SECONDS = range(-62_135_596_800, 253_402_300_800)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class RowContext:
    """What reading a value takes beside the value.

    Attributes:
        zone: Zone in which the answer's times are printed.
        emails: What becomes of personal addresses.
        at: When the server says that it gave the answer.
        endpoint: Whom an error concerns.
        server_zone: The server's own zone, in which Cachet 2 prints some times all the same.
        email_hash_key: The key with which addresses are hashed.
    """

    zone: ZoneInfo
    emails: Emails
    at: datetime
    endpoint: str
    server_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    email_hash_key: bytes = field(default=b"", repr=False)


def data_of(document: Any, endpoint: str) -> Any:
    """Return what stands under `data`, a list or one object. Raises NotCachet where there is none."""
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, (list, dict)):
        raise NotCachet(
            "the answer has no `data`, as Cachet's answers have",
            "Check that {base_url} is the status page's address.",
            endpoint,
        )
    return data


def row_id(resource: Any, endpoint: str) -> int:
    """Return a resource's id as an integer. Raises NotCachet where it is none, so that nothing loads askew."""
    try:
        number = int(resource["id"])
    except (KeyError, TypeError, ValueError):
        number = None
    if number is None or number not in _INT64:
        raise NotCachet("a row has no whole number as its id", "", endpoint)
    return number


def timestamp(text: Any, zone: ZoneInfo) -> Any:
    """Return a server's local time as UTC, an ambiguous hour read as the first; other values as they are."""
    return _parsed(text, zone) if isinstance(text, str) else text


# A row's times are often the same, and so are those of its updates.
@lru_cache(maxsize=4096)
def _parsed(text: str, zone: ZoneInfo) -> datetime | str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    try:
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(timezone.utc)
    except OverflowError:
        return text


def storable(value: Any) -> Any:
    """Return a value that every database can hold: no NUL, no lone surrogate, no integer beyond 64 bits."""
    if isinstance(value, str):
        # Most texts are plain, and finding that out costs a tenth of looking for what is not.
        return value if value.isascii() and "\x00" not in value else _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64:
        return str(value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


def fitted(row: Row, table: Table) -> Row:
    """Return a row whose numbers fit their columns; one that does not stands as text in `<column>__v_text`.

    There dlt puts values of another type, too. A number beyond the column's range would pass it and then end
    the whole load, the other tables' included. What is not declared and null is left out, since dlt warns of a column
    that holds nulls only.
    """
    declared = {column.name for column in table.columns}
    odd = {column.name for column in table.columns if _beyond(row.get(column.name), column.data_type)}
    return {
        f"{name}__v_text" if name in odd else name: str(value) if name in odd else value
        for name, value in row.items()
        if value is not None or name in declared
    }


def _beyond(value: Any, data_type: str) -> bool:
    if value is None or (type(value) is int and data_type == "bigint"):
        return False
    if data_type == "timestamp":
        return isinstance(value, (int, float)) and value not in _EPOCH_SECONDS
    try:
        return data_type == "bigint" and int(value) not in _INT64
    except (ValueError, TypeError, OverflowError):
        return False


def personal(address: Any, context: RowContext) -> Any:
    """Return an address as the setting for personal data has it: itself, its HMAC-SHA-256 in hex, or nothing.

    Without a key a hash would hide nothing, since addresses can be guessed and hashed in turn.
    """
    if context.emails == "keep" or not isinstance(address, str):
        return address
    if context.emails == "omit":
        return None
    return hmac.digest(context.email_hash_key, address.strip().lower().encode(), "sha256").hex()
