"""What the tests share: the recorded world on a real server, and dlt folders of a test's own.

Nothing of the person who runs them leaks in: dlt's configuration and data folders, proxies and tokens in the
environment are set aside before dlt is imported, so that a guest is a guest on every machine. The tests, and the
processes that they start, run in an empty folder, since this project and Dagster each read a `.env` in the current
one, and Dagster's reading wins over the environment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parents[1]
_MEMORY = Path("/dev/shm")
_roomy = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 4_000_000_000
if "TMPDIR" not in os.environ and _roomy:
    # Dagster's SQLite waits for the disk at each event, which is a fifth of the tests' time.
    os.environ["TMPDIR"] = str(_MEMORY)
_OWN = Path(tempfile.mkdtemp(prefix="cachet_dagster_tests-"))
for _name in [*os.environ]:
    if _name.upper().startswith(("CACHET_", "SOURCES__", "DESTINATION__")) or _name == "DAGSTER_HOME":
        del os.environ[_name]
os.environ |= {
    # For processes that are started there.
    "PYTHONPATH": os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH")))),
    "DLT_PROJECT_DIR": str(_OWN),
    "DLT_DATA_DIR": str(_OWN / "dlt"),
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "WARNING",
    "NO_PROXY": "*",
    # What `make soak` found to fail is tried first the next time.
    "HYPOTHESIS_STORAGE_DIRECTORY": str(_PROJECT / ".hypothesis"),
}

import dlt  # noqa: E402
import hypothesis  # noqa: E402
import pytest  # noqa: E402

from cachet_dagster.demo import DemoServer, World  # noqa: E402
from cachet_dagster_tests import recordings  # noqa: E402
from cachet_dagster_tests.truth import RECORDED_AT  # noqa: E402

# A change is judged by the same examples each time; `make soak` looks for others.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("others", deadline=None)
hypothesis.settings.load_profile("same")

TOKENS = recordings.tokens("v3")
ADMIN = TOKENS["admin"]
Serve = Callable[..., DemoServer]


def pytest_collectstart() -> None:
    # No sooner: pytest looks for its arguments, and xdist starts its workers, in the folder they were called in.
    os.chdir(_OWN)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.chdir(config.invocation_params.dir)
    shutil.rmtree(_OWN, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    from cachet_dagster_tests.warehouse.summary import summarise

    summarise(terminalreporter)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """Return a PostgreSQL server; one that cannot be started is an error, never a skip."""
    from cachet_dagster_tests.warehouse.postgres import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """Return an S3; one that cannot be started is an error, never a skip."""
    from cachet_dagster_tests.warehouse.stores import s3_store

    with s3_store() as store:
        yield store


@pytest.fixture(scope="session")
def azure() -> Iterator[Any]:
    """Return an Azure blob storage, where npm's azurite is on PATH."""
    from cachet_dagster_tests.warehouse.stores import azure_store, azurite

    program = azurite()
    if program is None:
        pytest.skip("npm's azurite is not on PATH")
    with azure_store(program) as store:
        yield store


@pytest.fixture
def world() -> World:
    """Return the recorded rows, to be changed at will."""
    return World(recordings.world("v3"))


def serve_recorded(world: World | None = None, **options: Any) -> DemoServer:
    """Return a server, not started, of the recorded world (or another), its clock and its admin's token."""
    given = {"clock": lambda: RECORDED_AT, "tokens": {ADMIN: {"*"}}, **options}
    return DemoServer(world or World(recordings.world("v3")), **given)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server, as `serve_recorded` takes it, for as long as the test runs."""
    with ExitStack() as running:
        yield lambda world=None, **options: running.enter_context(serve_recorded(world, **options))


def new_pipeline(folder: Path, name: str = "cachet_pipeline") -> dlt.Pipeline:
    """Return the pipeline of the public recipe, its database and its working folder in a folder of its own."""
    return dlt.pipeline(
        name,
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(folder / "cachet.duckdb")),
        dataset_name="cachet_data",
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> dlt.Pipeline:
    """Return a dlt pipeline into a database of the test's own."""
    return new_pipeline(tmp_path)
