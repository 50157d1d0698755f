"""`dagster dev` as a newcomer starts it: a fresh home, a free port, and a page to load, while a test lasts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
MODULE = "cachet_dagster.definitions"


@contextmanager
def dagster_dev(
    folder: Path, environment: Mapping[str, str], *, module: str = MODULE, wait: float = 120
) -> Iterator[str]:
    """Run `dagster dev` in a folder and yield the UI's address.

    Args:
        folder: Where its home, its database and its log are kept.
        environment: Variables to set beside those of this process.
        module: The code location.
        wait: Seconds that it may take to start.
    """
    served = _served(folder, new_home(folder), environment, "dagster", "dev", module=module, wait=wait)
    with served as address:
        yield address


@contextmanager
def webserver(
    folder: Path, home: Path, environment: Mapping[str, str], *, wait: float = 120
) -> Iterator[str]:
    """Run the UI alone, over a home that there is already, and yield its address; as `dagster_dev` otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    with _served(folder, home, environment, "dagster-webserver", wait=wait) as address:
        yield address


def new_home(folder: Path) -> Path:
    """Make a home of Dagster's with the project's settings in a folder, and return it."""
    home = folder / "home"
    home.mkdir(parents=True)
    settings = (PROJECT / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(settings.replace("base_dir: .dagster", f"base_dir: {home}"))
    return home


@contextmanager
def _served(
    folder: Path,
    home: Path,
    environment: Mapping[str, str],
    program: str,
    *arguments: str,
    module: str = MODULE,
    wait: float,
) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CACHET_")}
    with (folder / f"{program}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name(program)),
                *(*arguments, "-m", module, "-h", "127.0.0.1", "-p", str(port)),
            ],
            cwd=folder,
            env={**inherited, "DAGSTER_HOME": str(home), "DLT_DATA_DIR": str(folder / "dlt"), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(f"{address}/server_info", process, time.monotonic() + wait)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def graphql(address: str, query: str, **variables: Any) -> Any:
    """Ask the UI's GraphQL, as the UI itself does; return the answer's data."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def chromium() -> str | None:
    """Return the path of a Chromium on PATH, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _wait_for(address: str, process: subprocess.Popen[bytes], deadline: float) -> None:
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("the UI did not start; see its log") from None
            time.sleep(0.5)
