"""The generated pages of the documentation: what the code declares, as Markdown.

`UPDATE_SNAPSHOTS=1 python -m pytest cachet_dagster_tests/docs/test_reference.py` writes them again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path

from dagster import AssetsDefinition, DefaultScheduleStatus, DefaultSensorStatus, Definitions
from pydantic.fields import FieldInfo

import cachet_dagster
from cachet_dagster.analytics.tables import HISTORY, MODELS
from cachet_dagster.cli import COMMANDS, main
from cachet_dagster.source.destinations import DESTINATIONS
from cachet_dagster.source.endpoints import FILLED_BY
from cachet_dagster.source.errors import variable
from cachet_dagster.source.tables import TABLES, Table
from cachet_dagster.status_page.definitions import page_definitions
from cachet_dagster.status_page.page import StatusPage
from cachet_dagster.status_page.settings import LoadTimeSettings, PageSettings

PROJECT = Path(cachet_dagster.__file__).parents[1]


def settings() -> str:
    """Return the table of settings: variables, defaults, descriptions."""
    fields = {**PageSettings.model_fields, **LoadTimeSettings.model_fields}
    rows = [
        (f"`{variable(name)}`", _default(field), field.description or "") for name, field in fields.items()
    ]
    return markdown_table(("variable", "default", ""), rows)


def _default(setting: FieldInfo) -> str:
    value = setting.default
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        value = ",".join(value)
    text = f"{value:g}" if isinstance(value, float) else str(value).lower() if value is False else str(value)
    return f"`{text}`"


def tables() -> str:
    """Return each loaded table and each table of history with its columns."""
    loaded = [
        *(
            _described(table, f"Filled by the endpoint `{FILLED_BY[name].name}`.")
            for name, table in TABLES.items()
        )
    ]
    history = [_described(table) for table in HISTORY.values()]
    return "\n".join(["## Loaded tables\n", *loaded, "## History\n", *history])


def models() -> str:
    """Return each model with its columns."""
    return "\n".join(_described(table) for table in MODELS.values())


def _described(table: Table, more: str = "") -> str:
    rows = [
        (
            f"`{column.name}`" + (" (key)" if column.name in table.key else ""),
            column.data_type,
            column.description,
        )
        for column in table.columns
    ]
    text = " ".join(filter(None, (table.description, more)))
    return f"### {table.name}\n\n{text}\n\n{markdown_table(('column', 'type', ''), rows)}\n"


def overview() -> str:
    """Return every table and model with its first sentence."""
    lines = [
        f"- `{schema}.{name}`: {re.split(r'[.:;] |[.:;]$', table.description)[0]}."
        for schema, declared in (("cachet_data", {**TABLES, **HISTORY}), ("cachet_analytics", MODELS))
        for name, table in declared.items()
    ]
    return "\n".join(lines) + "\n"


def destinations() -> str:
    """Return the table of strategies as the guide to destinations has it."""
    columns = {
        "destination": lambda one: f"{one.title} (`{one.name}`)",
        "points": lambda one: one.merge,
        "tables": lambda one: "atomic overwrite" if one.table_format else one.replace,
        "rows as": lambda one: one.table_format or one.file_format,
        "staged in": lambda one: one.staging,
        "a kill leaves old or new": lambda one: "yes" if one.transactions else "no",
        "lock": lambda one: one.lock,
        "models, report": lambda one: "yes" if one.models else "no",
        "tested": lambda one: one.tested,
        "why": lambda one: one.why,
    }
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(one) for cell in columns.values())} |" for one in DESTINATIONS.values()]
    return "\n".join(lines) + "\n"


def automation() -> str:
    """Return the schedules, sensors, jobs and checks of a page that is named `cachet`."""
    definitions = page_definitions(StatusPage())
    return "\n".join(
        [
            "## Schedules\n",
            markdown_table(("schedule", "on from the start", "when", ""), _schedules(definitions)),
            "## Sensors\n",
            markdown_table(("sensor", "on from the start", "at least every", ""), _sensors(definitions)),
            "## Jobs\n",
            markdown_table(("job", ""), _jobs(definitions)),
            "## Checks\n",
            markdown_table(("check", "of a table such as `incidents`"), _checks(definitions)),
        ]
    )


def _schedules(definitions: Definitions) -> Iterator[tuple[str, ...]]:
    for one in definitions.schedules or ():
        on = "yes" if one.default_status is DefaultScheduleStatus.RUNNING else "no"
        yield f"`{one.name}`", on, f"`{one.cron_schedule}`", one.description or ""


def _sensors(definitions: Definitions) -> Iterator[tuple[str, ...]]:
    for one in definitions.sensors or ():
        on = "yes" if one.default_status is DefaultSensorStatus.RUNNING else "no"
        yield f"`{one.name}`", on, f"{one.minimum_interval_seconds} s", one.description or ""


def _jobs(definitions: Definitions) -> Iterator[tuple[str, ...]]:
    for one in definitions.jobs or ():
        yield f"`{one.name}`", one.description or ""


def _checks(definitions: Definitions) -> Iterator[tuple[str, ...]]:
    specs = [
        check
        for asset in definitions.assets or ()
        if isinstance(asset, AssetsDefinition)
        for check in asset.check_specs
        if check.asset_key.path[-1] == "incidents"
    ]
    for one in sorted(specs, key=lambda spec: spec.name):
        yield f"`{one.name}`", one.description or ""


def commands() -> str:
    """Return the help of each command."""
    return "\n".join(f"## {name}\n\n```text\n{_help(name)}```\n" for name in COMMANDS)


def _help(command: str) -> str:
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        main([command, "--help"])
    return printed.getvalue()


def markdown_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [
        head,
        tuple("---" for _ in head),
        *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/settings.md": settings,
    "docs/reference/tables.md": tables,
    "docs/reference/models.md": models,
    "docs/reference/automation.md": automation,
    "docs/reference/commands.md": commands,
    "docs/guides/destinations.md": destinations,
    "AGENTS.md": overview,
}
"""Files of the documentation, each with what stands between its two markers."""
