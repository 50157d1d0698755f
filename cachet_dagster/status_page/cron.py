"""When a cron expression comes due, in a time zone: for what a schedule promises of freshness."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter


def ticks(cron: str, time_zone: str, start: datetime) -> Iterator[datetime]:
    """Yield the moments after `start` (aware) at which a cron expression comes due.

    Raises:
        ValueError: It is no cron expression, or never comes due.
        KeyError: There is no such time zone.
    """
    found = croniter(cron, start.astimezone(ZoneInfo(time_zone)), ret_type=datetime)
    while True:
        yield found.get_next()
