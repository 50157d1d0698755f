"""The reference is what the code declares: settings, tables, models, schedules, sensors, checks, commands."""

from __future__ import annotations

import os

import pytest

from .reference import PAGES, PROJECT

BEGIN, END = "<!-- generated -->\n", "<!-- /generated -->\n"


@pytest.mark.parametrize("page", PAGES)
def test_the_reference_is_what_the_code_declares(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # as wide as argparse prints help
    file = PROJECT / page
    before, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    written, _, after = rest.partition(END)
    generated = PAGES[page]()

    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(f"{before}{BEGIN}{generated}{END}{after}", encoding="utf-8")
        return

    assert written == generated
