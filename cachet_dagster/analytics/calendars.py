"""Days, months, windows and quarters of an hour in the page's time zone, as small tables.

Written from Python, since series and time zones are what SQL engines agree on least. Days run from local midnight
to local midnight, so that they have 23 or 25 hours where the clock changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

WINDOWS = (7, 28, 30, 90, 365)

QUARTER = 900

_INSTANT = pa.timestamp("us", tz="UTC")


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a local day begins (UTC)."""
    return datetime.combine(day, time(), zone).astimezone(timezone.utc)


def days(first: datetime, last: datetime, zone: ZoneInfo) -> pa.Table:
    """Return the local days that hold the time from first to last, both aware."""
    start, end = first.astimezone(zone).date(), last.astimezone(zone).date()
    listed = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    bounds = [midnight(day, zone) for day in [*listed, end + timedelta(days=1)]]
    return pa.table(
        {
            "day": pa.array(listed, pa.date32()),
            "month": pa.array([day.replace(day=1) for day in listed], pa.date32()),
            "starts_at": pa.array(bounds[:-1], _INSTANT),
            "ends_at": pa.array(bounds[1:], _INSTANT),
        }
    )


def months(first: datetime, last: datetime, zone: ZoneInfo) -> pa.Table:
    """Return the local months that hold the time from first to last."""
    month, end = (at.astimezone(zone).date().replace(day=1) for at in (first, last))
    listed = [month]
    while listed[-1] <= end:
        listed.append(_next_month(listed[-1]))
    bounds = [midnight(day, zone) for day in listed]
    return pa.table(
        {
            "month": pa.array(listed[:-1], pa.date32()),
            "starts_at": pa.array(bounds[:-1], _INSTANT),
            "ends_at": pa.array(bounds[1:], _INSTANT),
        }
    )


def repeated_hours(first: datetime, last: datetime, zone: ZoneInfo) -> pa.Table:
    """Return the times that the local clock shows twice: from the first pass' begin to the second one's end."""
    step = timedelta(minutes=30)
    found: list[tuple[datetime, datetime, int]] = []
    for day in days(first, last, zone).to_pylist():
        if day["ends_at"] - day["starts_at"] <= timedelta(days=1):
            continue
        at = day["starts_at"]
        while at < day["ends_at"]:
            offsets = [moment.astimezone(zone).utcoffset() or timedelta() for moment in (at, at + step)]
            if (repeated := offsets[0] - offsets[1]) > timedelta():
                found.append((at + step - repeated, at + step + repeated, int(repeated.total_seconds())))
            at += step
    return pa.table(
        {
            "starts_at": pa.array([row[0] for row in found], _INSTANT),
            "ends_at": pa.array([row[1] for row in found], _INSTANT),
            "seconds": pa.array([row[2] for row in found], pa.int64()),
        }
    )


def windows(as_of: datetime, zone: ZoneInfo, lengths: Sequence[int] = WINDOWS) -> pa.Table:
    """Return the rolling windows that end now: whole local days before today, and today so far."""
    today = as_of.astimezone(zone).date()
    first = [today - timedelta(days=length - 1) for length in lengths]
    return pa.table(
        {
            "window_days": pa.array(lengths, pa.int64()),
            "first_day": pa.array(first, pa.date32()),
            "last_day": pa.array([today] * len(lengths), pa.date32()),
            "starts_at": pa.array([midnight(day, zone) for day in first], _INSTANT),
            "ends_at": pa.array([as_of] * len(lengths), _INSTANT),
        }
    )


def quarters(first: datetime, last: datetime, zone: ZoneInfo) -> pa.Table:
    """Return for each quarter of an hour from first to last the local hour, day and month that it lies in.

    No zone's offset is finer than a quarter of an hour since the 1970s.
    """
    numbers = np.arange(int(first.timestamp()) // QUARTER, int(last.timestamp()) // QUARTER + 1)
    seconds = numbers * QUARTER
    day_starts = _starts(days(first, last, zone)["starts_at"])
    month_starts = _starts(months(first, last, zone)["starts_at"])
    day = day_starts[np.searchsorted(day_starts, seconds, side="right") - 1]
    hour = seconds - (seconds + _offsets(seconds, zone)) % 3600
    return pa.table(
        {
            "quarter": pa.array(numbers, pa.int64()),
            "hour_starts_at": _instants(hour),
            "day_starts_at": _instants(day),
            "month_starts_at": _instants(
                month_starts[np.searchsorted(month_starts, seconds, side="right") - 1]
            ),
        }
    )


def _offsets(seconds: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """Return the zone's offset (s) at each of a series of times: asked once a day where it is the same all day."""

    def offset(at: int) -> int:
        found = datetime.fromtimestamp(int(at), zone).utcoffset()
        return 0 if found is None else int(found.total_seconds())

    day = seconds // 86_400 - seconds[0] // 86_400
    first = seconds[0] // 86_400 * 86_400
    at_midnight = np.array([offset(first + n * 86_400) for n in range(day[-1] + 2)])
    offsets = at_midnight[day]
    changing = np.flatnonzero(at_midnight[day] != at_midnight[day + 1])
    offsets[changing] = [offset(at) for at in seconds[changing]]
    return offsets


def _starts(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.timestamp("s", tz="UTC")).cast(pa.int64()).to_numpy()


def _instants(seconds: np.ndarray) -> pa.Array:
    return pa.array(seconds * 1_000_000, pa.int64()).cast(_INSTANT)


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)
