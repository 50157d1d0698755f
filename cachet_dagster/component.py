"""The Dagster Component: a status page in YAML. `page_definitions` with attributes in front, and nothing else.

The attributes are the settings of `status_page/settings.py`, by the same names. A token is never one of them: what
YAML resolves when the code location loads would stand in clear in what Dagster stores. Its variable is named instead,
and read by each run.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin

import dagster as dg
from dagster.components.scaffold.scaffold import ScaffoldRequest
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from dagster_dlt.translator import DltResourceTranslatorData
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, create_model

from cachet_dagster.source.settings import variable
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.settings import Automation, PageSettings

SETTINGS = {
    name: setting
    for name, setting in {**PageSettings.model_fields, **Automation.model_fields}.items()
    if SecretStr not in get_args(setting.annotation)
}
"""Settings that are attributes, by name: all but secrets, which no file holds."""


def _plain(annotation: Any) -> Any:
    """Return the type that YAML has for a setting."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return str
    if get_origin(annotation) is tuple:
        return Sequence[str]
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return _plain(kinds[0]) if kinds else annotation


_Settings: Any = create_model(  # pyright: ignore[reportCallIssue]
    "_Settings",
    __base__=dg.Model,
    **{  # pyright: ignore[reportArgumentType]
        name: (
            Annotated[
                Optional[_plain(setting.annotation)],  # noqa: UP045
                dg.Resolver.default(description=setting.description),
            ],
            None,
        )
        for name, setting in SETTINGS.items()
    },
)


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` takes."""

    base_url: str = Field(default="https://status.example.com", description="The status page's address.")
    token_variable: str = Field(
        default="", description="Variable of the environment that holds the API token."
    )
    timezone: str = Field(default="", description="The server's time zone, if it is not UTC.")
    database: str = Field(default="", description="DuckDB file; <name>.duckdb where it is not given.")


class StatusPageScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes a `defs.yaml` that says what can be set, with the defaults."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return what `dg scaffold defs` takes."""
        return ScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the file."""
        params = request.params or ScaffoldParams()
        path = Path(request.target_path)
        path.mkdir(parents=True, exist_ok=True)
        given = {name: value for name, value in params.model_dump().items() if value}
        (path / "defs.yaml").write_text(scaffolded(path.name, request.type_name, given), encoding="utf-8")


def scaffolded(name: str, type_name: str, given: dict[str, str]) -> str:
    """Return the text of a page's `defs.yaml`: what is given, and every other attribute as a comment."""
    lines = [
        f"# The status page {name}. What is commented out shows the default.",
        f"type: {type_name}",
        "",
        "attributes:",
    ]
    lines += [f"  {key}: {value!r}".replace("'", '"') for key, value in given.items()]
    if "token_variable" not in given:
        lines += ["  # Variable of the environment that holds the API token; a guest reads without one."]
        lines += [f"  # token_variable: {name.upper()}_API_TOKEN"]
    for key, setting in SETTINGS.items():
        if key not in given:
            default = {"database": f"{name}.duckdb", "dataset": f"{name}_data"}.get(key, setting.default)
            text = (
                ""
                if default is None or default == ()
                else str(default).lower()
                if isinstance(default, bool)
                else default
            )
            lines += textwrap.wrap(
                str(setting.description), 100, initial_indent="  # ", subsequent_indent="  # "
            )
            lines += [f"  # {key}: {_quoted(text)}".rstrip()]
    return "\n".join(lines) + "\n"


def _quoted(value: Any) -> str:
    text = str(value)
    return f'"{text}"' if "*" in text or ":" in text else text


@dg.scaffold_with(StatusPageScaffolder)
class StatusPageComponent(dg.Component, _Settings, dg.Resolvable):
    """A Cachet status page, loaded into a database: assets, checks, jobs, schedules and sensors."""

    name: Annotated[
        Optional[str],  # noqa: UP045
        dg.Resolver.default(
            description="name of the page, with which all names begin; the folder's where it is left out"
        ),
    ] = None
    env_prefix: Annotated[
        Optional[str],  # noqa: UP045
        dg.Resolver.default(description="what variables that set the rest begin with, such as `CACHET_`"),
    ] = None
    token_variable: Annotated[
        Optional[str],  # noqa: UP045
        dg.Resolver.default(
            description="variable that holds the API token, read by each run and stored nowhere"
        ),
    ] = None
    key_prefix: Annotated[
        Union[str, Sequence[str], None],  # noqa: UP007
        dg.Resolver.default(
            description="what the assets' keys begin with; the page's name where it is left out"
        ),
    ] = None
    group_name: Annotated[
        Optional[str],  # noqa: UP045
        dg.Resolver.default(description="asset group; the page's name where it is left out"),
    ] = None
    owners: Annotated[Sequence[str], dg.Resolver.default(description="owners of the assets")] = ()
    tags: Annotated[dict[str, str], dg.Resolver.default(description="tags of the assets")] = Field(
        default_factory=dict
    )
    checks: Annotated[bool, dg.Resolver.default(description="whether the tables have asset checks")] = True
    translation: (
        Annotated[
            TranslationFn[DltResourceTranslatorData],
            TranslationFnResolver[DltResourceTranslatorData](
                lambda data: {"resource": data.resource, "pipeline": data.pipeline}
            ),
        ]
        | None
    ) = None

    _built: StatusPage | None = PrivateAttr(default=None)

    def get_asset_spec(self, spec: dg.AssetSpec, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """Return what asset a dlt resource is. Override it to change keys, groups, metadata and the like.

        Args:
            spec: The asset as this package has it.
            data: The dlt resource.
        """
        return self.translation(spec, data) if self.translation else spec

    def page(self, context: dg.ComponentLoadContext) -> StatusPage:
        """Return the page that the attributes describe.

        Raises:
            SettingsError: A value cannot be used.
        """
        values = {name: getattr(self, name) for name in SETTINGS}
        name = self.name or context.path.name
        return StatusPage(
            name=name,
            values={key: value for key, value in values.items() if value is not None},
            env_prefix=self.env_prefix,
            token_variable=self.token_variable,
            key_prefix=[self.key_prefix] if isinstance(self.key_prefix, str) else self.key_prefix or (),
            group_name=self.group_name or "",
            owners=self.owners,
            tags=self.tags,
            checks=self.checks,
            translate=self.get_asset_spec if self._translates else None,
            terms=lambda setting: (
                variable(setting, self.env_prefix)
                if self.env_prefix
                else "`token_variable`"
                if setting == "api_key"
                else f"`{setting}` in the defs.yaml of {name}"
                if setting in SETTINGS
                else f"`env_prefix`, and the variable <env_prefix>{variable(setting, '')},"
            ),
        )

    @property
    def built_page(self) -> StatusPage:
        """The page whose definitions were built last."""
        assert self._built is not None, "build_defs comes first"
        return self._built

    @property
    def _translates(self) -> bool:
        overridden = type(self).get_asset_spec is not StatusPageComponent.get_asset_spec
        return overridden or self.translation is not None

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return all that Dagster has of the page."""
        page = self._built = self.page(context)
        if not self.env_prefix:
            page.validate()
        return page_definitions(page)
