"""What can be set of a page beside how its Cachet is read: where it is loaded, what is automated, what is left out.

Two models, because two moments need them: `PageSettings` is made by a run, which says what is wrong with it;
`LoadTimeSettings` is made when the code location loads, which must always load, so that it holds plain texts that are
judged where they are used. Both come from a page's own values and, for the page of the environment, from variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cachet_dagster.analytics.model_settings import SloTarget
from cachet_dagster.source import ENDPOINTS
from cachet_dagster.source.errors import SettingsError
from cachet_dagster.source.settings import (
    CachetSettings,
    Count,
    Number,
    SettingsModel,
    normalize_base_url,
)

from .cron import is_cron, is_zone

Model = TypeVar("Model", bound=SettingsModel)

OFF = "off"
"""What stands for a schedule, a sensor or housekeeping that is not to be."""

Names = Annotated[tuple[str, ...], NoDecode]
"""Names, or one text in which commas part them."""

Fraction = Annotated[float, Field(ge=0, le=1)]


_MOST_DAYS = 36_500


def is_seconds(text: str) -> bool:
    """Return whether a text is a whole number of seconds between two looks."""
    return text.strip().isdecimal() and int(text) > 0


def is_days(text: str) -> bool:
    """Return whether a text is a whole number of days that can be used."""
    return text.strip().isdecimal() and 0 < int(text) <= _MOST_DAYS


USABLE: Mapping[str, tuple[Callable[[str], bool], str]] = {
    **dict.fromkeys(
        ("sync_cron", "points_cron", "full_refresh_cron"),
        (is_cron, f"a cron expression that comes due, or `{OFF}`"),
    ),
    "schedule_timezone": (is_zone, "a name such as UTC or America/New_York"),
    "keep_runs_days": (is_days, f"a whole number of days, or `{OFF}`"),
    "sensor_seconds": (is_seconds, f"a whole number of seconds, or `{OFF}`"),
}
"""Settings of `LoadTimeSettings` that are judged where they are used: which texts fit, and what is wanted."""

_NEVER_OFF = ("schedule_timezone",)


class PageSettings(CachetSettings):
    """A page: how it is read, and where it is loaded."""

    base_url: str | None = Field(
        # pyright: ignore[reportIncompatibleVariableOverride]
        default=None,
        description="the status page's address; the demo where there is none",
    )
    database: str = Field(
        default="cachet.duckdb",
        description="DuckDB file: letters, digits and any of `_-.`, then `.duckdb`",
    )
    destination: str = Field(
        default="duckdb",
        description="dlt destination; its credentials come from `.dlt/secrets.toml` or `DESTINATION__…`",
    )
    dataset: str = Field(default="cachet_data", description="schema that the tables are in")
    subscribers_required: bool = Field(
        default=False, description="whether a token that may not read the subscribers fails the sync"
    )
    max_loss: Fraction = Field(
        default=0.5,
        description="share of a table's rows that one load may lose; what would lose more, or all, keeps them",
    )
    moved_from: str | None = Field(
        default=None,
        description="the page's former address: lets a dataset that holds it be loaded from the new one",
    )
    audience: Literal["public", "all"] = Field(
        default="public", description="whose view figures take: `public`, or `all` with hidden rows"
    )
    title: str = Field(
        default="", description="what reports call the page; the host of its address where it is empty"
    )
    reports: str = Field(default="reports", description="folder that reports are written to")
    report_timelines: Count = Field(
        default=3, description="how many incidents a report tells step by step, the longest ones"
    )
    maintenance_cap: Number = Field(
        default=24.0, description="hours after which maintenance without an end is taken to be over"
    )
    slo_targets: Names = Field(
        default=(),
        description="promised uptime, comma-separated: `component=0.999, page=0.99/90, group:3=0.9995/28/strict`",
    )
    lock_wait: Number = Field(default=600.0, description="seconds to wait for whoever holds the database")
    keep_loads: Count = Field(
        default=1_000, description="dlt's own load records kept in the database; older ones are removed"
    )

    @field_validator("slo_targets", mode="before")
    @classmethod
    def _targets(cls, value: Any) -> Any:
        names = value.split(",") if isinstance(value, str) else value
        targets = tuple(name.strip() for name in names if name.strip())
        for target in targets:
            SloTarget.parse(target)
        return targets

    @field_validator("base_url", mode="before")
    @classmethod
    def _blank_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("base_url", "moved_from")
    @classmethod
    def _page(cls, value: str | None) -> str | None:
        return normalize_base_url(value) if value else None

    @field_validator("dataset")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not value.isidentifier() or not value.islower() or value.endswith("_staging"):
            raise SettingsError(
                f"the dataset {value!r} is no name that every database takes",
                "Set {dataset} to small letters, digits and _, beginning with a letter.",
            )
        return value

    def cachet(self, **given: Any) -> CachetSettings:
        """Return how the Cachet is read; `given` values win."""
        values = {name: getattr(self, name) for name in CachetSettings.model_fields}
        return CachetSettings(**{**values, **given})


class LoadTimeSettings(SettingsModel):
    """What Dagster has to know of a page when the code location loads."""

    base_url: str = Field(default="", description="the status page's address")
    destination: str = Field(default="duckdb", description="dlt destination")
    dataset: str = Field(default="", description="schema that the tables are in")
    exclude_endpoints: Names = Field(default=(), description="endpoints to leave out, comma-separated")
    sync_cron: str = Field(
        default="0 * * * *", description="when everything but points is loaded; `off` for never"
    )
    points_cron: str = Field(default="30 * * * *", description="when the points are loaded; `off` for never")
    full_refresh_cron: str = Field(
        default="15 3 * * *", description="when everything is read anew, once it is switched on"
    )
    schedule_timezone: str = Field(default="UTC", description="the schedules' time zone")
    sensor_seconds: str = Field(
        default="60",
        description="seconds between two looks for changes; what was loaded is looked for half as often, new metrics a "
        "fifth; `off` for no sensors",
    )
    keep_runs_days: str = Field(
        default="30",
        description="days after which the page's runs are deleted, but those that hold what is newest; "
        "`off` for never",
    )
    failure_webhook: str = Field(default="", description="URL that gets a JSON post when a run fails")

    @field_validator("exclude_endpoints", mode="before")
    @classmethod
    def _parted(cls, value: Any) -> Any:
        names = value.split(",") if isinstance(value, str) else value
        return tuple(name.strip() for name in names if name.strip())

    @property
    def has_sensors(self) -> bool:
        """Whether anything happens between the schedules."""
        return self.sensor_seconds.strip().lower() != OFF

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Endpoints that are loaded: what shares a list with an excluded one goes with it."""
        gone = set(self.exclude_endpoints)
        gone |= {name for name, endpoint in ENDPOINTS.items() if endpoint.of in gone}
        gone |= {"metric_points"} if "metrics" in gone else set()
        return tuple(name for name in ENDPOINTS if name not in gone)

    @property
    def unknown_endpoints(self) -> tuple[str, ...]:
        """Excluded names that no endpoint has."""
        return tuple(name for name in self.exclude_endpoints if name not in ENDPOINTS)

    def problem(self, setting: str) -> SettingsError | None:
        """Return what is wrong with a setting that could only be replaced by its default; None where it can be used."""
        fits, wanted = USABLE[setting]
        text = getattr(self, setting).strip()
        off = text.lower() == OFF and setting not in _NEVER_OFF
        if not text or off or fits(text):
            return None
        return SettingsError(f"{{{setting}}} is {text!r}", f"Set it to {wanted}.")

    @property
    def unknown_endpoint(self) -> SettingsError | None:
        """What is wrong with the excluded endpoints: without it what was to stay out would be loaded."""
        if not self.unknown_endpoints:
            return None
        names = ", ".join(self.unknown_endpoints)
        return SettingsError(
            f"{{exclude_endpoints}} names {names}, and there is no such endpoint",
            f"The endpoints are: {', '.join(ENDPOINTS)}.",
        )

    @property
    def problems(self) -> list[SettingsError]:
        """What is wrong with each setting that cannot be used."""
        found = [self.unknown_endpoint, *map(self.problem, USABLE)]
        return [error for error in found if error]


class _FromEnvironment(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", env_file=".env", env_ignore_empty=True)


class _PageFromEnvironment(PageSettings, _FromEnvironment):
    api_token: SecretStr | None = None

    @model_validator(mode="after")
    def _token_by_its_public_name(self) -> _PageFromEnvironment:
        if self.api_key is None:
            token = CachetSettings(api_key=self.api_token).api_key
            object.__setattr__(self, "api_key", token)
        return self


class _LoadTimeFromEnvironment(LoadTimeSettings, _FromEnvironment):
    pass


def page_settings(env_prefix: str | None, given: dict[str, Any]) -> PageSettings:
    """Return a page's settings; `given` values win over variables.

    Args:
        env_prefix: What the page's variables begin with; None where it has none.
        given: Values by setting.

    Raises:
        SettingsError: A value cannot be used; the message names its variable.
    """
    if env_prefix is None or not PageSettings.model_fields.keys() >= given.keys():
        return PageSettings(**given)
    return _PageFromEnvironment(**given, _env_prefix=env_prefix)  # pyright: ignore[reportCallIssue]


def load_time_settings(env_prefix: str | None, given: dict[str, Any]) -> LoadTimeSettings:
    """Return what Dagster has to know of a page when the code location loads; see `page_settings`."""
    if env_prefix is None:
        return LoadTimeSettings(**given)
    return _LoadTimeFromEnvironment(**given, _env_prefix=env_prefix)  # pyright: ignore[reportCallIssue]
