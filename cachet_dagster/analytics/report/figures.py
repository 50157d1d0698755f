"""The models of a page, open to be asked: names put in, times in the page's zone, and the period that is told of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from cachet_dagster.analytics import formats
from cachet_dagster.analytics.build import analytics_schema
from cachet_dagster.source.errors import CachetError, SettingsError
from cachet_dagster.source.rows import Row
from cachet_dagster.warehouse.protocol import Result

_NAME = re.compile(r"\b(source|analytics)\.(\w+)")


class ModelsMissing(CachetError):
    """The models have not been built."""


@dataclass(frozen=True)
class Period:
    """A calendar month in the page's time zone, as far as it has passed.

    Attributes:
        month: Its first day.
        last_day: Its last day that has begun.
        begin: When it begins.
        end: When it ends; the as-of time, where that is earlier.
        is_over: Whether it has passed.
    """

    month: date
    last_day: date
    begin: datetime
    end: datetime
    is_over: bool

    @property
    def name(self) -> str:
        """The month in words."""
        return formats.month(self.month) + ("" if self.is_over else " so far")

    @property
    def days(self) -> list[date]:
        """All days of the month, those to come too."""
        return [self.month + timedelta(days=n) for n in range((next_month(self.month) - self.month).days)]


class Figures:
    """Questions to a page's models and tables.

    Args:
        execute: Runs SQL in DuckDB's dialect, as a session of a warehouse does.
        dataset: The page's dataset.
        schema: The schema of its models; by default that of `analytics_schema`.
    """

    def __init__(self, execute: Callable[[str], Result], dataset: str, schema: str | None = None):
        self._execute = execute
        self._schemas = {"source": dataset, "analytics": schema or analytics_schema(dataset)}

    def rows(self, sql: str, **values: date | str | int) -> list[Row]:
        """Run SQL in DuckDB's dialect over `source.<table>` and `analytics.<model>`.

        Args:
            sql: Values stand in it as `:name`.
            values: They by name; texts are names of this project's own or checked before.

        Returns:
            Rows by column name, times in the page's zone; none where a table of the source was never loaded.

        Raises:
            ModelsMissing: A model is missing.
        """
        for schema, name in set(_NAME.findall(sql)):
            if name in self._tables[schema]:
                continue
            if schema == "source":
                return []
            raise ModelsMissing(
                f"the model {self._schemas['analytics']}.{name} has not been built",
                "Materialize the analytics assets, or run `make run`.",
            )
        for name, value in values.items():
            sql = re.sub(rf":{name}\b", lambda _, value=value: _literal(value), sql)
        result = self._execute(_NAME.sub(lambda found: self.table(*found.groups()), sql))
        names = [column[0] for column in result.description]
        return [
            {name: self._local(value) for name, value in zip(names, row, strict=True)}
            for row in result.fetchall()
        ]

    def table(self, schema: str, name: str) -> str:
        """Return a table's or model's name in SQL."""
        return f'"{self._schemas[schema]}"."{name}"'

    def select(self, model: str, condition: str = "") -> str:
        """Return SQL for a person who wants to see the rows behind a figure."""
        text = f"SELECT * FROM {self._schemas['analytics']}.{model}"
        return f"{text} WHERE {condition};" if condition else f"{text};"

    @cached_property
    def _tables(self) -> dict[str, set[str]]:
        found = self._execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        return {
            kind: {table for there, table in found if there.lower() == schema.lower()}
            for kind, schema in self._schemas.items()
        }

    @cached_property
    def settings(self) -> Row:
        """What the models were built with.

        Raises:
            ModelsMissing: They were never built.
        """
        found = self.rows("SELECT s.* FROM analytics.build_settings AS s")
        if not found:
            raise ModelsMissing(
                "the models are empty", "Materialize the analytics assets, or run `make run`."
            )
        return found[0]

    @property
    def as_of(self) -> datetime:
        """The moment up to which the models tell."""
        return self._local(self.settings["as_of"])

    @property
    def is_current(self) -> bool:
        """Whether no load came after the models were built.

        Raises:
            ModelsMissing: They were never built.
        """
        built = self.as_of
        newest = self.rows("SELECT MAX(o.observed_at) AS at FROM source.endpoint_observations AS o")
        return not newest or newest[0]["at"] is None or newest[0]["at"] <= built

    @cached_property
    def zone_name(self) -> str:
        """IANA name of the zone of days and months."""
        if "build_settings" not in self._tables["analytics"]:
            return "UTC"
        found = self._execute(f"SELECT time_zone FROM {self.table('analytics', 'build_settings')}")
        return (found.fetchone() or ("UTC",))[0]

    @property
    def is_public(self) -> bool:
        """Whether the figures are those that everyone may see."""
        return self.settings["audience"] == "public"

    def period(self, month: date | None = None) -> Period:
        """Return a month; without one the last that is over, or the first one that there is.

        Raises:
            SettingsError: The page tells nothing of that month.
        """
        known = {
            row["month"]: row
            for row in self.rows("SELECT m.* FROM analytics.calendar_months AS m ORDER BY m.month")
        }
        today = self.as_of.date()
        chosen = month or _before(today.replace(day=1))
        if month is None and chosen not in known:
            chosen = today.replace(day=1)
        if chosen not in known:
            first, last = (formats.month(end) for end in (min(known, default=None), max(known, default=None)))
            raise SettingsError(
                f"the page tells nothing of {formats.month(chosen)}", f"Name a month from {first} to {last}."
            )
        row = known[chosen]
        is_over = next_month(chosen) <= today
        last_day = next_month(chosen) - timedelta(days=1) if is_over else today
        return Period(chosen, last_day, row["starts_at"], min(row["ends_at"], self.as_of), is_over)

    def policy(self, name: str | None = None) -> Row:
        """Return a policy; without a name the default one.

        Raises:
            SettingsError: There is none of that name.
        """
        known = self.rows("SELECT p.* FROM analytics.uptime_policies AS p ORDER BY p.policy")
        chosen = [row for row in known if (row["policy"] == name if name else row["is_default"])]
        if not chosen:
            names = ", ".join(row["policy"] for row in known)
            raise SettingsError(f"there is no uptime policy {name!r}", f"The policies are: {names}.")
        return chosen[0]

    def _local(self, value: Any) -> Any:
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
            return aware.astimezone(ZoneInfo(self.zone_name))
        return value


def next_month(month: date) -> date:
    """Return the first day of the month after the one that begins on a day."""
    return (month + timedelta(days=31)).replace(day=1)


def _before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def parse_month(text: str) -> date:
    """Return the first day of a month such as `2026-10`.

    Raises:
        SettingsError: It is none.
    """
    try:
        return datetime.strptime(text.strip(), "%Y-%m").date()
    except ValueError:
        raise SettingsError(f"{text!r} is no month", "Write it as 2026-10.") from None


def _literal(value: date | str | int) -> str:
    if isinstance(value, datetime):
        return f"CAST('{value.astimezone(timezone.utc).isoformat(sep=' ')}' AS TIMESTAMPTZ)"
    if isinstance(value, date):
        return f"CAST('{value.isoformat()}' AS DATE)"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
