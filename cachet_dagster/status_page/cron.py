"""Cron expressions: which ones Dagster takes, and when they come due, for what a schedule promises of freshness."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter
from dagster import DagsterInvalidDefinitionError, ScheduleDefinition


def ticks(cron: str, time_zone: str, start: datetime) -> Iterator[datetime]:
    """Yield the moments after `start` (aware) at which a cron expression comes due.

    Raises:
        ValueError: It is no cron expression, or never comes due.
        KeyError: There is no such time zone.
    """
    found = croniter(cron, start.astimezone(ZoneInfo(time_zone)), ret_type=datetime)
    while True:
        yield found.get_next()


def is_zone(text: str) -> bool:
    """Return whether a text names a time zone in which Dagster can run a schedule."""
    return is_cron("0 * * * *", text)


def is_cron(cron: str, zone: str | None = None) -> bool:
    """Return whether Dagster takes a cron expression and finds ticks, which decides whether the code location loads.

    A schedule for the 31st of April can be defined: that it never comes shows only where its ticks are computed.
    """
    try:
        ScheduleDefinition(name="valid", job_name="valid", cron_schedule=cron, execution_timezone=zone)
        due = ticks(cron, zone or "UTC", datetime.now(timezone.utc))
        return len(list(islice(due, 2))) == 2
    except (DagsterInvalidDefinitionError, ValueError):
        return False
