"""The models of a page, open to be asked: names put in, and times in the page's zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timezone
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from cachet_dagster.analytics.build import analytics_schema
from cachet_dagster.source.dialect import literal
from cachet_dagster.source.errors import CachetError, SettingsError
from cachet_dagster.source.rows import Row
from cachet_dagster.warehouse.protocol import Result

_NAME = re.compile(r"\b(source|analytics)\.(\w+)")


class ModelsMissing(CachetError):
    """The models have not been built."""


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


def _literal(value: date | str | int) -> str:
    if isinstance(value, datetime):
        return f"CAST('{value.astimezone(timezone.utc).isoformat(sep=' ')}' AS TIMESTAMPTZ)"
    if isinstance(value, date):
        return f"CAST('{value.isoformat()}' AS DATE)"
    return str(value) if isinstance(value, int) else literal(value)
