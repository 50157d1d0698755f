"""The Dagster Component: a status page in YAML. `page_definitions` with attributes in front, and nothing else.

The attributes are the settings of `status_page/settings.py`, by the same names. A token is never one of them: what
YAML resolves when the code location loads would stand in clear in what Dagster stores. Its variable is named instead,
and read by each run.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin

import dagster as dg
from dagster.components.scaffold.scaffold import ScaffoldRequest
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from dagster_dlt.translator import DltResourceTranslatorData
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, create_model

from cachet_dagster.source.errors import SettingsError, variable
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.settings import OFF, LoadTimeSettings, PageSettings

SETTINGS = {
    name: setting
    for name, setting in {**PageSettings.model_fields, **LoadTimeSettings.model_fields}.items()
    if SecretStr not in get_args(setting.annotation)
}
"""Settings that are attributes, by name: all but secrets, which no file holds."""


def _yaml_type(annotation: Any) -> Any:
    """Return the type that YAML has for a setting.

    A text may look like something else there: `60`, `2`, and `off`, which is YAML's false.
    """
    if get_origin(annotation) is Annotated:
        return _yaml_type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return Union[str, int]  # noqa: UP007
    if get_origin(annotation) is tuple:
        return Union[str, Sequence[str]]  # noqa: UP007
    if annotation is str:
        return Union[str, int, bool]  # noqa: UP007
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return _yaml_type(kinds[0]) if kinds else annotation


_Settings: Any = create_model(  # pyright: ignore[reportCallIssue]
    "_Settings",
    __base__=dg.Model,
    **{  # pyright: ignore[reportArgumentType]
        name: (
            Annotated[
                Optional[_yaml_type(setting.annotation)],  # noqa: UP045
                dg.Resolver.default(description=setting.description),
            ],
            None,
        )
        for name, setting in SETTINGS.items()
    },
)


class ScaffoldParams(BaseModel):
    """A status page, to be written into a `defs.yaml`."""

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


def scaffolded(folder: str, type_name: str, given: dict[str, str]) -> str:
    """Return the text of a page's `defs.yaml`: what is given, and every other attribute as a comment."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    name = name if name[:1].isalpha() else f"page_{name}".rstrip("_")
    if name != folder:
        given = {"name": name, **given}
    lines = [
        f"# The status page {name}. What is commented out shows the default, or an example.",
        f"type: {type_name}",
        "",
        "attributes:",
        *[f"  {key}: {json.dumps(value)}" for key, value in given.items()],
    ]
    for key, value, description in _attributes(name):
        if key not in given:
            text = "" if value is None else json.dumps(value, ensure_ascii=False)
            lines += textwrap.wrap(description, 100, initial_indent="  # ", subsequent_indent="  # ")
            lines += [f"  # {key}: {text}".rstrip()]
    return "\n".join(lines) + "\n"


def _attributes(name: str) -> Iterator[tuple[str, Any, str]]:
    """Yield each attribute's name, its default or an example of it, and what it is."""
    examples = {
        "name": name,
        "token_variable": f"{name.upper()}_API_TOKEN",
        "pool": f"{name}_api",
        "database": f"{name}.duckdb",
        "dataset": f"{name}_data",
        "key_prefix": [name],
        "group_name": name,
        "checks": True,
    }
    for key, description in _OWN.items():
        yield key, examples.get(key), description
    for key, setting in SETTINGS.items():
        default = examples.get(key, setting.default)
        yield key, None if default in ((), "") else default, str(setting.description)


_OWN = {
    "name": "name of the page, with which all names begin; the folder's where it is left out",
    "token_variable": "variable of the environment that holds the API token, read by each run and stored nowhere; a "
    "guest reads where it is left out",
    "env_prefix": "what variables that set the rest begin with, such as `CACHET_`",
    "pool": "Dagster's pool of what asks this Cachet, one run at a time; `<name>_api` where it is left out. Pages of "
    "one server share a pool, so that its rate limit is spent once",
    "key_prefix": "what the assets' keys begin with; the page's name where it is left out",
    "group_name": "asset group; the page's name where it is left out",
    "owners": "owners of the assets: e-mail addresses, or `team:…`",
    "tags": "tags of the assets",
    "checks": "whether the tables have asset checks",
}
"""Attributes that are no settings, and what they are."""


def _own(name: str) -> Any:
    return dg.Resolver.default(description=_OWN[name])


@dg.scaffold_with(StatusPageScaffolder)
class StatusPageComponent(dg.Component, _Settings, dg.Resolvable):
    """A Cachet status page, loaded into a database: assets, checks, jobs, schedules and sensors."""

    name: Annotated[Optional[str], _own("name")] = None  # noqa: UP045
    env_prefix: Annotated[Optional[str], _own("env_prefix")] = None  # noqa: UP045
    token_variable: Annotated[Optional[str], _own("token_variable")] = None  # noqa: UP045
    pool: Annotated[Optional[str], _own("pool")] = None  # noqa: UP045
    key_prefix: Annotated[Union[str, Sequence[str], None], _own("key_prefix")] = None  # noqa: UP007
    group_name: Annotated[Optional[str], _own("group_name")] = None  # noqa: UP045
    owners: Annotated[Optional[Sequence[str]], _own("owners")] = None  # noqa: UP045
    tags: Annotated[Optional[dict[str, Union[str, int, float, bool]]], _own("tags")] = None  # noqa: UP007, UP045
    checks: Annotated[bool, _own("checks")] = True
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
        name = self.name or context.path.name
        values = {key: _setting(key, getattr(self, key)) for key in SETTINGS}
        return StatusPage(
            name=name,
            values={key: value for key, value in values.items() if value is not None},
            env_prefix=self.env_prefix,
            token_variable=self.token_variable,
            api_pool=self.pool or "",
            key_prefix=[self.key_prefix] if isinstance(self.key_prefix, str) else self.key_prefix or (),
            group_name=self.group_name or "",
            owners=self.owners or (),
            tags={key: str(value) for key, value in (self.tags or {}).items()},
            checks=self.checks,
            translate=self.get_asset_spec if self._translates else None,
            terms=lambda setting: self._term(setting, name),
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

    def _term(self, setting: str, page: str) -> str:
        """Return what a setting is called here: a variable where variables set what the YAML does not."""
        attribute = "token_variable" if setting == "api_key" else setting
        if self.env_prefix and getattr(self, attribute, None) is None:
            return variable(setting, self.env_prefix)
        if setting not in SETTINGS and not hasattr(self, attribute):
            # A secret, which no file holds.
            prefix = f"{page.upper()}_"
            return f"the variable {variable(setting, prefix)} (with `env_prefix: {prefix}` in the defs.yaml of {page})"
        return f"`{attribute}` in the defs.yaml of {page}"

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return all that Dagster has of the page.

        Raises:
            SettingsError: A value cannot be used, or another page of the project has the name or the dataset.
        """
        page = self._built = self.page(context)
        if not self.env_prefix:
            page.configuration.validate()
        others = context.component_tree.get_all_components(of_type=StatusPageComponent)
        _check_apart(page, [other._built for other in others if other is not self and other._built])
        return page_definitions(page)


def _setting(name: str, value: Any) -> Any:
    """Return a setting's value as its model takes it; see `_yaml_type`."""
    annotation = SETTINGS[name].annotation
    if value is False and annotation is str:
        return OFF
    is_text = isinstance(value, int) and not isinstance(value, bool) and get_origin(annotation) is Literal
    return str(value) if is_text else value


def _check_apart(page: StatusPage, others: Sequence[StatusPage]) -> None:
    """Raise SettingsError where two pages could not be told apart, or would load into the same tables."""
    for other in others:
        if other.name == page.name:
            raise SettingsError(
                f"two pages are named {page.name}", "Give one of them another `name` in its defs.yaml."
            )
        place = page.configuration.place()
        if place is not None and place == other.configuration.place():
            raise SettingsError(
                f"the pages {other.name} and {page.name} would both be loaded into the dataset {place[1]} of "
                f"{place[0]}",
                f"Set `database` or `dataset` in the defs.yaml of {page.name} to another one.",
            )
