"""The README's table of settings is what the model has: names, defaults, descriptions.

It is written anew by `UPDATE_SNAPSHOTS=1 python -m pytest cachet_dagster_tests/test_settings_table.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic.fields import FieldInfo

import cachet_dagster
from cachet_dagster.source.settings import variable
from cachet_dagster.status_page.settings import Automation, PageSettings

README = Path(cachet_dagster.__file__).parents[1] / "README.md"
BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->\n"


def rows() -> str:
    settings = {**Automation.model_fields, **PageSettings.model_fields}
    order = [*PageSettings.model_fields, *Automation.model_fields]
    lines = [
        f"| `{variable(name)}` | {default(settings[name])} | {settings[name].description} |"
        for name in dict.fromkeys(order)
    ]
    return "\n".join(["| variable | default | |", "|---|---|---|", *lines, ""])


def default(setting: FieldInfo) -> str:
    value = setting.default
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        value = ",".join(value)
    text = f"{value:g}" if isinstance(value, float) else str(value).lower() if value is False else str(value)
    return f"`{text}`"


def test_the_table_of_settings_is_the_models():
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)

    if os.environ.get("UPDATE_SNAPSHOTS"):
        README.write_text(f"{before}{BEGIN}{rows()}{END}{after}", encoding="utf-8")
        return

    assert table == rows()
