"""Code in a process of its own, as a person runs it in an empty folder with nothing set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cachet_dagster


def python(folder: Path, code: str, **environment: str) -> str:
    """Run code in a new process in a folder, with nothing set but what is given, and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            # Root's is another folder, whatever its home is.
            "DLT_DATA_DIR": str(folder / ".dlt-data"),
            "PYTHONPATH": str(Path(cachet_dagster.__file__).parents[1]),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "NO_PROXY": "*",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
