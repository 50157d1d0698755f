"""Runs several `dg` commands in one process, since each alone takes seconds to import what they have in common.

A script of its own, so that the Python of any project can run it: `python dg_commands.py` in the project's folder, the
commands as a JSON list of lists on standard input, what came of them as a JSON list on standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status, what it printed on standard output, and all that it printed."""

    status: int
    stdout: str
    output: str

    @property
    def json(self) -> Any:
        """The JSON that it printed."""
        return json.loads(self.stdout)


def dg(python: str | Path, project: Path, *commands: list[str], **environment: str) -> list[Done]:
    """Run `dg` commands in a project, with the Python that the project has."""
    done = subprocess.run(
        [str(python), __file__],
        input=json.dumps(commands),
        cwd=project,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [Done(**result) for result in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Run the commands."""
    from click.testing import CliRunner
    from dagster_dg_cli.cli import cli

    found = []
    for command in json.load(sys.stdin):
        result = CliRunner().invoke(cli, command)
        # An error that `dg` does not catch, a person sees as a traceback.
        error = f"{result.exception}" if result.exception else ""
        found.append(
            {"status": result.exit_code, "stdout": result.stdout, "output": f"{result.output}{error}"}
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
