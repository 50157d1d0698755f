"""Reads the headers that a decision goes by: whole numbers, dates, and how long to wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

# A server that names astronomical numbers of seconds to wait means "never"; floats hold this one.
_NEVER = 10**9


def integer(headers: Mapping[str, str], name: str) -> int | None:
    """Return a header's whole number; None where it is missing or something else."""
    try:
        return int(headers.get(name, ""))
    except ValueError:
        return None


def date(headers: Mapping[str, str], name: str) -> datetime | None:
    """Return a header's HTTP date in UTC; None where it is missing or something else."""
    try:
        at = parsedate_to_datetime(headers[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc)


def server_time(headers: Mapping[str, str]) -> datetime:
    """Return the server's clock at its answer (UTC); this machine's clock where the answer has no date."""
    return date(headers, "Date") or datetime.now(timezone.utc)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After`, given as a number or as a date; None where there are none."""
    seconds = integer(headers, "Retry-After")
    if seconds is not None:
        return float(min(seconds, _NEVER)) if seconds >= 0 else None
    until = date(headers, "Retry-After")
    # The date is read by the server's own clock, since this machine's may differ.
    return max(0.0, (until - server_time(headers)).total_seconds()) if until else None
