"""A status page as a value: its name, its settings, what is automated. Everything Dagster gets is a function of it.

Nothing is looked up before a run needs it, so the code location always loads, and what is missing or wrong is said
by the run. All that Dagster registers of a page is named here, beginning with the page's name, so that any number of
pages share a code location. Where no Cachet is configured the embedded one is started for the run, and its rows
go into a database of their own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

from dagster import AssetKey, AssetSpec, DynamicPartitionsDefinition
from dagster_dlt.translator import DltResourceTranslatorData
from dotenv import dotenv_values
from pydantic import SecretStr

from cachet_dagster.source import FILLED_BY, TABLES, table_resource
from cachet_dagster.source.errors import PREFIX, SettingsError, named, variable
from cachet_dagster.source.settings import CachetSettings
from cachet_dagster.source.tables import Table
from cachet_dagster.warehouse import Warehouse, make_warehouse, place_beside

from .settings import Automation, PageSettings, automation, misspelt, page_settings

logger = logging.getLogger("cachet_dagster")

DEFAULT_NAME = "cachet"
"""Name of the environment's page."""

DEMO = "the embedded demo page"
DEMO_SEED = 1

PAGE_TAG = "cachet/page"
"""Tag of a page's jobs: its name."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Connection:
    """What a run works with.

    Attributes:
        settings: How to read Cachet.
        warehouse: What is loaded into.
        page: What else is set of the page.
        demo: Whether it is the demo.
        log: Takes in words what a person may want to know while waiting.
    """

    settings: CachetSettings
    warehouse: Warehouse
    page: PageSettings
    demo: bool
    log: Log

    @property
    def page_url(self) -> str | None:
        """The status page's address; none for the demo, whose server is gone when the run is."""
        return None if self.demo else self.settings.base_url

    @property
    def identity(self) -> str:
        """What tells this page from any other, for people too: its address."""
        return DEMO if self.demo else self.settings.base_url

    @property
    def place(self) -> str:
        """Where it is loaded, in words."""
        return f"the dataset {self.warehouse.dataset} of {self.warehouse.name}"


@dataclass(frozen=True)
class StatusPage:
    """One Cachet status page.

    Attributes:
        name: Small letters, digits and `_`; what Dagster registers of the page begins with it.
        values: Settings of `PageSettings` and `Automation` by name.
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
                f"Give {self.setting_name('token_variable')} the name alone, in capitals, such as "
                f"{self.name.upper()}_API_TOKEN; not the token, nor {{{{ env.… }}}}, which would be stored in clear.",
            )

    @classmethod
    def from_environment(cls, **more: Any) -> StatusPage:
        """Return the page that `CACHET_…` variables and a `.env` file in the current folder describe."""
        return cls(env_prefix=PREFIX, **more)

    # Names

    def named(self, what: str) -> str:
        """Return the name of something of the page's, such as `cachet_sync`."""
        return f"{self.name}_{what}"

    @property
    def points_op(self) -> str:
        """Name of the op that loads points: not its job's, and for the first page what it was before others."""
        return "metric_points" if self.name == DEFAULT_NAME else self.named("load_points")

    @property
    def reload_op(self) -> str:
        """Name of the op that reloads metrics: not its job's, and for the first page what it was before others."""
        return "reload_metrics" if self.name == DEFAULT_NAME else self.named("reload")

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
        demo = "" if self.automation.base_url else "_demo"
        # At the end, so that no page's name makes it another's.
        return DynamicPartitionsDefinition(name=f"{self.named('metric_id')}{demo}")

    @cached_property
    def tables(self) -> list[Table]:
        """The tables that are loaded."""
        endpoints = self.automation.endpoints
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
        return self.automation.dataset or self.named("data")

    # Settings

    @cached_property
    def automation(self) -> Automation:
        """What Dagster has to know when the code location loads."""
        return automation(self.env_prefix, self._of(Automation))

    def settings(self) -> PageSettings:
        """Return the page's settings as they are now.

        Raises:
            SettingsError: A value cannot be used.
        """
        unknown = self.values.keys() - PageSettings.model_fields.keys() - Automation.model_fields.keys()
        given = {**dict.fromkeys(unknown), **self._of(PageSettings)}
        token = self._token()
        settings = page_settings(self.env_prefix, {**given, **({"api_key": token} if token else {})})
        unset = {"database": f"{self.name}.duckdb", "dataset": f"{self.name}_data"}
        return settings.model_copy(
            update={name: value for name, value in unset.items() if name not in settings.model_fields_set}
        )

    def usable(self, setting: str) -> tuple[str, list[str]]:
        """Return a setting of `Automation`, or its default and a sentence that says why: a code location must load."""
        default = Automation.model_fields[setting].default
        problem = self.automation.problem(setting)
        if problem is None:
            return getattr(self.automation, setting).strip() or default, []
        problem = problem.with_setting_names(self.setting_name)
        reason = f"{problem.what}, which cannot be used: `{default}` is used instead. {problem.remedy}"
        _warn_once(reason)
        return default, [reason]

    def validate(self) -> None:
        """Raise SettingsError where a value that is not read from the environment cannot be used."""
        try:
            settings = replace(self, token=SecretStr("unused"), token_variable=None).settings()
            self._warehouse(settings, lambda _: None)
            if self.automation.problems:
                raise self.automation.problems[0]
        except SettingsError as error:
            raise error.with_setting_names(self.setting_name) from None

    def place(self) -> tuple[str, str] | None:
        """Return the warehouse and its dataset as they are now; None where a setting cannot be used."""
        try:
            settings = replace(self, token=SecretStr("unused"), token_variable=None).settings()
            warehouse = self._warehouse(settings, lambda _: None)
        except SettingsError:
            return None
        return warehouse.name, warehouse.dataset

    def without_token(self, message: str) -> str:
        """Return a message with the API token blotted out, should it be in it."""
        with contextlib.suppress(SettingsError):
            token = self.settings().token
            message = message.replace(token, "***") if token else message
        return message

    @property
    def misspelt(self) -> list[str]:
        """A sentence for each variable of the environment that resembles a setting and is none."""
        return misspelt(self.env_prefix, load_environment()) if self.env_prefix else []

    @property
    def failure_webhook(self) -> str:
        """The failure webhook's address as it is now; empty where there is none."""
        return automation(self.env_prefix, self._of(Automation)).failure_webhook

    @contextlib.contextmanager
    def connect(self, log: Log) -> Iterator[Connection]:
        """Resolve the settings, starting the embedded Cachet where none is configured.

        Args:
            log: Takes in words what a person may want to know.

        Raises:
            SettingsError: A setting is missing or wrong; the message says which.
        """
        log = self._logging(log)
        settings = self.settings()
        if self.automation.unknown_endpoint:
            raise self.automation.unknown_endpoint
        for sentence in self.misspelt:
            log(sentence)
        if bool(settings.base_url) != bool(self.automation.base_url):
            raise SettingsError(
                "{base_url} was set or unset since this code location was loaded, and the demo's partitions are "
                "not those of a page",
                "Reload the code location.",
            )
        if settings.base_url:
            warehouse = self._warehouse(settings, log)
            yield Connection(settings.cachet(), warehouse, settings, demo=False, log=log)
            return
        if settings.api_key:
            raise SettingsError(
                "there is an API token but no Cachet to use it with",
                "Set {base_url} to the status page's address, or unset {api_key} for the demo.",
            )
        # Imported where it is needed: a configured Cachet takes no web server.
        try:
            from cachet_dagster.demo import DEMO_TOKEN, DemoServer, living_world
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"no Cachet is configured, and the demo's {error.name} is not installed",
                "Set {base_url} to the status page's address, or install cachet_dagster[demo].",
            ) from error

        log("no Cachet is configured ({base_url}): loading the embedded demo page")
        warehouse = self._warehouse(self._for_demo(settings), log)
        with DemoServer(partial(living_world, DEMO_SEED), me=True) as server:
            demo = settings.cachet(base_url=server.url, api_key=SecretStr(DEMO_TOKEN))
            yield Connection(demo, warehouse, settings, demo=True, log=log)

    def _warehouse(self, settings: PageSettings, log: Log) -> Warehouse:
        return make_warehouse(
            settings.destination,
            database=settings.database,
            dataset=settings.dataset,
            pipeline_name=self.named("pipeline"),
            wait=settings.lock_wait,
            keep_loads=settings.keep_loads,
            log=log,
        )

    def _for_demo(self, settings: PageSettings) -> PageSettings:
        """Return settings by which the demo is loaded beside the page's own data, never into it."""
        # What is wrong with the database of the page is said for the demo as well.
        self._warehouse(settings, lambda _: None)
        database, dataset = place_beside(
            settings.destination,
            database=settings.database,
            dataset=settings.dataset,
            file=f"{self.name}_demo.duckdb",
            suffix="_demo",
        )
        return settings.model_copy(update={"database": database, "dataset": dataset})

    def _logging(self, log: Log) -> Log:
        def both(message: str) -> None:
            message = named(message, self.setting_name)
            log(message)
            if self.log:
                self.log(message)

        return both

    def _of(self, model: type[Automation] | type[PageSettings]) -> dict[str, Any]:
        return {name: value for name, value in self.values.items() if name in model.model_fields}

    def _token(self) -> SecretStr | None:
        if self.token or not self.token_variable:
            return self.token
        token = load_environment().get(self.token_variable, "").strip()
        if not token:
            raise SettingsError(
                f"the variable {self.token_variable}, which is to hold the API token, is not set",
                f"Set {self.token_variable}, or leave the page's token out to load as a guest.",
            )
        return SecretStr(token)

    def setting_name(self, setting: str) -> str:
        """Return what whoever set a setting calls it: a variable, an attribute of the YAML."""
        if setting == "api_key" and self.token_variable:
            return self.token_variable
        if self.terms:
            return self.terms(setting)
        return variable(setting, self.env_prefix or PREFIX)


@cache
def _warn_once(reason: str) -> None:
    # The definitions of a page are made many times over.
    logger.warning(reason)


def load_environment() -> Mapping[str, str]:
    """Return the environment, and below it what a `.env` file in the current folder sets."""
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**from_file, **os.environ}
