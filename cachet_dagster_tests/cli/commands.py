"""Runs a command in a folder with nothing in it, and gives back all that it said: in this process, or in its own.

A command takes seconds, so the tests share each one's output through fixtures of their modules.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cachet_dagster.cli import main
from cachet_dagster.demo.answers import App, Receive, Scope, Send

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    """What a command left: its exit status, its output (errors included), and the folder that it ran in."""

    status: int
    output: str
    folder: Path

    @property
    def marks(self) -> dict[str, tuple[bool, str]]:
        """The lines of a report: whether it is good and what it says, by name."""
        lines = re.findall(r"^([✓✗]) (.{12})(.*)$", self.output, re.MULTILINE)
        return {name.strip(): (mark == "✓", text) for mark, name, text in lines}

    def row(self, asset: str) -> str:
        """Return the line of the table that begins with an asset's name, its blanks made one."""
        (line,) = re.findall(rf"^{asset} .*$", self.output, re.MULTILINE)
        return " ".join(line.split())

    def gives_away(self, token: str) -> bool:
        """Whether a token's secret part, what follows its number, is in the output."""
        return token.partition("|")[2] in self.output


def command(name: str, folder: Path, *arguments: str, **environment: str) -> Said:
    """Run a command in this process with these variables set; the database is `cachet.duckdb` in the folder."""
    output = io.StringIO()
    at_level = logging.getLogger("dlt").level
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        patch.chdir(folder)
        for variable, value in {**_variables(folder), **environment}.items():
            patch.setenv(variable, value)
        try:
            status = main([name, *arguments])
        finally:
            logging.getLogger("dlt").setLevel(at_level)
    return Said(status, output.getvalue(), folder)


def process(name: str, folder: Path, *arguments: str, **environment: str) -> Said:
    """Run a command as a person does: `python -m cachet_dagster NAME`. It takes seconds to start."""
    done = subprocess.run(
        [sys.executable, "-m", "cachet_dagster", name, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **_variables(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return Said(done.returncode, done.stdout, folder)


def _variables(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    settings = (PROJECT / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(settings.replace("base_dir: .dagster", f"base_dir: {home}"))
    return {"DAGSTER_HOME": str(home), "DLT_DATA_DIR": str(folder / "dlt")}


def down(suffix: str) -> Callable[[App], App]:
    """Return a middleware that answers 503 where a path ends so."""

    def around(app: App) -> App:
        async def failing(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].endswith(suffix):
                await app(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return failing

    return around
