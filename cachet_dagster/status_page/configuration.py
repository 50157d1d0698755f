"""The settings of a page: from its own values, and from variables of the environment where it has a prefix.

A code location must always load, so `LoadTimeSettings` hold plain texts, and one that cannot be used is replaced by its
default. A run reads `PageSettings` and fails where one cannot be used. Messages call a setting what whoever set it
calls it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr

from cachet_dagster.source.errors import PREFIX, SettingsError, variable
from cachet_dagster.warehouse import Warehouse, make_warehouse

from .settings import LoadTimeSettings, PageSettings, load_time_settings, page_settings

logger = logging.getLogger("cachet_dagster")

Log = Callable[[str], None]


@dataclass(frozen=True)
class Configuration:
    """The settings of a page; see `StatusPage` for the attributes."""

    page: str
    values: Mapping[str, Any]
    env_prefix: str | None
    token_variable: str | None
    token: SecretStr | None = field(repr=False)
    terms: Callable[[str], str] | None

    @cached_property
    def load_time(self) -> LoadTimeSettings:
        """The settings that Dagster needs when the code location loads."""
        return load_time_settings(self.env_prefix, self._of(LoadTimeSettings))

    def settings(self) -> PageSettings:
        """Return the page's settings as they are now.

        Raises:
            SettingsError: A value cannot be used.
        """
        unknown = self.values.keys() - PageSettings.model_fields.keys() - LoadTimeSettings.model_fields.keys()
        given = {**dict.fromkeys(unknown), **self._of(PageSettings)}
        token = self._token()
        settings = page_settings(self.env_prefix, {**given, **({"api_key": token} if token else {})})
        unset = {"database": f"{self.page}.duckdb", "dataset": f"{self.page}_data"}
        return settings.model_copy(
            update={name: value for name, value in unset.items() if name not in settings.model_fields_set}
        )

    def setting_or_default(self, setting: str) -> tuple[str, list[str]]:
        """Return a setting of `LoadTimeSettings`; where it cannot be used, its default and a sentence that says so."""
        default = LoadTimeSettings.model_fields[setting].default
        problem = self.load_time.problem(setting)
        if problem is None:
            return getattr(self.load_time, setting).strip() or default, []
        problem = problem.with_setting_names(self.setting_name)
        reason = f"{problem.what}, which cannot be used: `{default}` is used instead. {problem.remedy}"
        _warn_once(reason)
        return default, [reason]

    def validate(self) -> None:
        """Raise SettingsError where a value that is not read from the environment cannot be used."""
        try:
            settings = replace(self, token=SecretStr("unused"), token_variable=None).settings()
            self.warehouse(settings, lambda _: None)
            if self.load_time.problems:
                raise self.load_time.problems[0]
        except SettingsError as error:
            raise error.with_setting_names(self.setting_name) from None

    def place(self) -> tuple[str, str] | None:
        """Return the warehouse and its dataset as they are now; None where a setting cannot be used."""
        try:
            settings = replace(self, token=SecretStr("unused"), token_variable=None).settings()
            warehouse = self.warehouse(settings, lambda _: None)
        except SettingsError:
            return None
        return warehouse.name, warehouse.dataset

    def without_token(self, message: str) -> str:
        """Return a message with the API token redacted, should it be in it."""
        with contextlib.suppress(SettingsError):
            token = self.settings().token
            message = message.replace(token, "***") if token else message
        return message

    @property
    def failure_webhook(self) -> str:
        """The failure webhook's address as it is now; empty where there is none."""
        return load_time_settings(self.env_prefix, self._of(LoadTimeSettings)).failure_webhook

    def warehouse(self, settings: PageSettings, log: Log) -> Warehouse:
        """Return the warehouse that settings describe."""
        return make_warehouse(
            settings.destination,
            database=settings.database,
            dataset=settings.dataset,
            pipeline_name=f"{self.page}_pipeline",
            wait=settings.lock_wait,
            keep_loads=settings.keep_loads,
            log=log,
        )

    def setting_name(self, setting: str) -> str:
        """Return what whoever set a setting calls it: a variable, an attribute of the YAML."""
        if setting == "api_key" and self.token_variable:
            return self.token_variable
        if self.terms:
            return self.terms(setting)
        return variable(setting, self.env_prefix or PREFIX)

    def _of(self, model: type[LoadTimeSettings] | type[PageSettings]) -> dict[str, Any]:
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


@cache
def _warn_once(reason: str) -> None:
    # The definitions of a page are made many times over.
    logger.warning(reason)


def load_environment() -> Mapping[str, str]:
    """Return the environment, and below it what a `.env` file in the current folder sets."""
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**from_file, **os.environ}
