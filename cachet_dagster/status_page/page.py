"""A status page as a value: who it is, and what everything is called that Dagster registers of it.

All names begin with the page's name, so that any number of pages share a code location. Nothing is looked up before a
run needs it: `configuration.py` has the page's settings, `run_context.py` what a run works with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dagster import AssetKey, AssetSpec, DynamicPartitionsDefinition
from dagster_dlt.translator import DltResourceTranslatorData
from pydantic import SecretStr

from cachet_dagster.source import FILLED_BY, TABLES, table_resource
from cachet_dagster.source.errors import PREFIX, SettingsError
from cachet_dagster.source.tables import Table

from .configuration import Configuration, Log
from .settings import LoadTimeSettings

DEFAULT_NAME = "cachet"
"""Name of the environment's page."""

PAGE_TAG = "cachet/page"
"""Tag of a page's jobs: its name."""


@dataclass(frozen=True)
class StatusPage:
    """One Cachet status page.

    Attributes:
        name: Small letters, digits and `_`; what Dagster registers of the page begins with it.
        values: Settings of `PageSettings` and `LoadTimeSettings` by name.
        env_prefix: What variables that set the rest begin with; None where none do.
        token_variable: Variable that holds the API token, read by each run and stored nowhere.
        token: The API token itself, for code that has it.
        api_pool: Dagster's pool of what asks this Cachet, which pages that share its rate limit share; one of the
            page's own where it is empty.
        key_prefix: What the assets' keys begin with; the name where it is empty.
        group_name: Dagster's asset group; the name where it is empty.
        owners: Owners of the assets, as Dagster has them.
        tags: Tags of the assets.
        checks: Whether the tables have asset checks.
        translate: Makes of an asset what somebody else wants it to be, its key included.
        log: Takes what a run logs for a person, beside Dagster's log.
        terms: Setting → what whoever set it calls it, for messages; its variable where it is None.

    Raises:
        SettingsError: The name cannot be used.
    """

    name: str = DEFAULT_NAME
    values: Mapping[str, Any] = field(default_factory=dict)
    env_prefix: str | None = None
    token_variable: str | None = None
    token: SecretStr | None = field(default=None, repr=False)
    api_pool: str = ""
    key_prefix: Sequence[str] = ()
    group_name: str = ""
    owners: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    checks: bool = True
    translate: Callable[[AssetSpec, DltResourceTranslatorData], AssetSpec] | None = None
    log: Log | None = None
    terms: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.name):
            raise SettingsError(
                f"a page cannot be named {self.name!r}",
                "Name it with small letters, digits and _, beginning with a letter.",
            )
        if self.token_variable and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.token_variable):
            # What was given is not repeated: it may be the token itself.
            raise SettingsError(
                f"what the page {self.name} has for its token is not the name of a variable",
                f"Give {self.configuration.setting_name('token_variable')} the name alone, in capitals, such as "
                f"{self.name.upper()}_API_TOKEN; not the token, nor {{{{ env.… }}}}, which would be stored in clear.",
            )

    @classmethod
    def from_environment(cls, **more: Any) -> StatusPage:
        """Return the page that `CACHET_…` variables and a `.env` file in the current folder describe."""
        return cls(env_prefix=PREFIX, **more)

    @cached_property
    def configuration(self) -> Configuration:
        """The page's settings, from where they are set."""
        return Configuration(
            self.name, self.values, self.env_prefix, self.token_variable, self.token, self.terms
        )

    @property
    def load_time(self) -> LoadTimeSettings:
        """The settings that Dagster needs when the code location loads."""
        return self.configuration.load_time

    def named(self, what: str) -> str:
        """Return the name of something of the page's, such as `cachet_sync`."""
        return f"{self.name}_{what}"

    @property
    def pool(self) -> str:
        """The pool of everything that asks this Cachet: one run at a time spends its rate limit."""
        return self.api_pool or self.named("api")

    @property
    def group(self) -> str:
        """Dagster's asset group."""
        return self.group_name or self.name

    @property
    def analytics_group(self) -> str:
        """Dagster's asset group of what is worked out from the tables, so that each graph can be read."""
        return f"{self.group}_analytics"

    @property
    def run_tags(self) -> dict[str, str]:
        """Tags of the page's runs."""
        return {PAGE_TAG: self.name}

    def asset_key(self, table: str) -> AssetKey:
        """Return the key of a table's asset."""
        return self._keys.get(table) or AssetKey([*(self.key_prefix or [self.name]), table])

    @cached_property
    def _keys(self) -> dict[str, AssetKey]:
        """Keys of tables that are translated; what depends on them has to know them first."""
        if self.translate is None:
            return {}
        prefix = self.key_prefix or [self.name]
        found = {}
        for table in self.tables:
            data = DltResourceTranslatorData(resource=table_resource(table), pipeline=None)
            found[table.name] = self.translate(AssetSpec([*prefix, table.name]), data).key
        return found

    @cached_property
    def partitions(self) -> DynamicPartitionsDefinition:
        """Metric ids; the demo's are never those of a real page."""
        demo = "" if self.load_time.base_url else "_demo"
        # At the end, so that no page's name makes it another's.
        return DynamicPartitionsDefinition(name=f"{self.named('metric_id')}{demo}")

    @cached_property
    def tables(self) -> list[Table]:
        """The tables that are loaded."""
        endpoints = self.load_time.endpoints
        return [table for name, table in TABLES.items() if FILLED_BY[name].name in endpoints]

    @property
    def whole_tables(self) -> list[Table]:
        """The tables that are read as a whole: all but points."""
        return [table for table in self.tables if not FILLED_BY[table.name].kind.per_metric]

    @property
    def has_points(self) -> bool:
        """Whether points are loaded."""
        return len(self.whole_tables) < len(self.tables)

    @property
    def dataset(self) -> str:
        """The schema that the tables are in, as far as it is known when the code location loads."""
        return self.load_time.dataset or self.named("data")
